-- What each message told of one chart, whether it was new or known: for what a
-- message was about may turn out to be sensitive later, and then nothing of what
-- it brought along may be known from it.
CREATE TABLE said (
	chart   @key   NOT NULL,
	message BIGINT NOT NULL, -- inbox.id
	context TEXT   NOT NULL, -- what hides all that the message brought along, as it was judged whole; '' when nothing does
	facts   @bytes NOT NULL, -- see said.go
	PRIMARY KEY (chart, message)
) @clustered;
