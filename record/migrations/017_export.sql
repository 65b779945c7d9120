-- What clients ordered in bulk, until it expires.
CREATE TABLE export (
	id      @key   NOT NULL PRIMARY KEY,
	client  TEXT   NOT NULL, -- whose it is: issuer, client and subject
	request TEXT   NOT NULL, -- the address that was asked
	spec    TEXT   NOT NULL, -- JSON of what was asked
	began   BIGINT NOT NULL,
	ends    BIGINT NOT NULL,
	reached TEXT   NOT NULL, -- the chart up to which its files are known
	people  BIGINT NOT NULL, -- with something to see, up to there
	done    BIGINT NOT NULL  -- 1: all its files are known
) @clustered;

-- Its files: of which charts, in the order of their keys, and which type. What is in
-- them is read when they are asked for, by what may be seen then.
CREATE TABLE export_file (
	export @key   NOT NULL,
	n      BIGINT NOT NULL,
	type   TEXT   NOT NULL,
	after  TEXT   NOT NULL,
	until  TEXT   NOT NULL,
	PRIMARY KEY (export, n)
) @clustered;
