-- Messages held because they contradict whose the chart is known to be, and those
-- held beside them that say nothing but the number.
CREATE TABLE doubt (
	chart   @key   NOT NULL,
	message BIGINT NOT NULL, -- inbox.id
	context TEXT   NOT NULL, -- as in said
	other   BIGINT NOT NULL, -- 1: it contradicts
	PRIMARY KEY (chart, message)
) @clustered;
CREATE INDEX doubt_message ON doubt (message, chart);

-- Messages of which somebody said that they are of the patient they name.
CREATE TABLE vouched (
	id  @number, -- inbox.id
	who TEXT   NOT NULL,
	at  BIGINT NOT NULL
);
