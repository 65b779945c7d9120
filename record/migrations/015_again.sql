-- A message that is applied again takes back what it no longer says: what it said
-- is found by its number, and so are the merges it told. By which dialect it was
-- read stands with what it said; '' by none.
ALTER TABLE said ADD COLUMN dialect TEXT NOT NULL DEFAULT '';
CREATE INDEX said_message ON said (message);
CREATE INDEX code_use_message ON code_use (message);

-- What each message said of a pair of charts; the latest word counts. Before
-- there was but the latest.
CREATE TABLE word (
	chart      @key   NOT NULL, -- merged from
	into_chart @key   NOT NULL,
	at         BIGINT NOT NULL,
	seq        BIGINT NOT NULL, -- inbox.id
	undo       BIGINT NOT NULL,
	PRIMARY KEY (chart, into_chart, seq)
) @clustered;
INSERT INTO word (chart, into_chart, at, seq, undo) SELECT chart, into_chart, at, seq, undo FROM link;
DROP TABLE link;
CREATE INDEX word_into ON word (into_chart, chart);
CREATE INDEX word_seq ON word (seq);
