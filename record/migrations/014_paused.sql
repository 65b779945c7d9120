-- Feeds that an operator has paused: what comes from them is kept and not
-- applied, on every node.
CREATE TABLE paused (
	source @key   NOT NULL PRIMARY KEY,
	who    TEXT   NOT NULL,
	since  BIGINT NOT NULL
) @clustered;
