-- How many messages came, by feed and quarter of an hour. Each node counts for
-- itself, so that two never wait for one another's row.
CREATE TABLE tally (
	slot   BIGINT NOT NULL, -- quarters of an hour since 1970
	source @key   NOT NULL,
	node   @key   NOT NULL,
	n      BIGINT NOT NULL,
	PRIMARY KEY (slot, source, node)
) @clustered;

-- Held messages in whose place a corrected copy was put in. Both stay in inbox.
CREATE TABLE mended (
	id   @number, -- inbox.id
	copy BIGINT NOT NULL, -- inbox.id of the copy
	who  TEXT   NOT NULL,
	at   BIGINT NOT NULL
);
CREATE INDEX mended_copy ON mended (copy);
