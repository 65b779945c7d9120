-- Charts that were opened by breaking the glass, and what a privacy officer
-- said of it. An id is random and names the alert; nothing else here names a
-- patient to whoever has no database.
CREATE TABLE glass (
	id        @key   NOT NULL PRIMARY KEY,
	chart     @key   NOT NULL,
	person    @key   NOT NULL, -- registry id
	worksite  @key   NOT NULL, -- registry id
	name      TEXT   NOT NULL, -- of the person, then
	role      TEXT   NOT NULL,
	place     TEXT   NOT NULL, -- name of the worksite, then
	reason    TEXT   NOT NULL, -- one of a list
	words     TEXT   NOT NULL,
	opened    BIGINT NOT NULL,
	ends      BIGINT NOT NULL, -- when it ended or will end
	closed    BIGINT NOT NULL, -- when an officer closed the alert; 0: open
	closer    TEXT   NOT NULL, -- name of the officer
	note      TEXT   NOT NULL
) @clustered;
CREATE INDEX glass_of ON glass (person, chart, ends);
CREATE INDEX glass_open ON glass (closed, opened);
