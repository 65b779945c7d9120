-- Causes that staff are told of, until they are over.
CREATE TABLE alarm (
	key   @key   NOT NULL PRIMARY KEY,
	whom  TEXT   NOT NULL,
	text  TEXT   NOT NULL, -- no patient's data
	since BIGINT NOT NULL
) @clustered;

-- By which channels they were told.
CREATE TABLE alarm_told (
	key     @key   NOT NULL,
	channel @key   NOT NULL,
	claimed BIGINT NOT NULL, -- when somebody set out to
	told    BIGINT NOT NULL, -- 1: it is done
	PRIMARY KEY (key, channel)
) @clustered;
