-- A launch from a chart, until the app comes with it: once.
CREATE TABLE smart_launch (
	id        @key PRIMARY KEY,
	client    @key NOT NULL,
	session   TEXT NOT NULL,     -- in which it was pressed, which alone may answer
	patient   TEXT NOT NULL,
	encounter TEXT NOT NULL,     -- empty: none
	expires   BIGINT NOT NULL
) @clustered;

CREATE INDEX smart_launch_expires ON smart_launch (expires);

ALTER TABLE smart_request ADD COLUMN encounter TEXT NOT NULL DEFAULT '';
ALTER TABLE smart_grant ADD COLUMN encounter TEXT NOT NULL DEFAULT '';
