-- Local codes that the rules do not know, or that somebody classified. One row
-- for each source, system, code and name.
CREATE TABLE code (
	key     @key   NOT NULL PRIMARY KEY, -- hash of the four
	source  TEXT   NOT NULL,
	system  TEXT   NOT NULL,
	code    TEXT   NOT NULL,
	display TEXT   NOT NULL,
	element TEXT   NOT NULL, -- where it stood first: "Observation.code"
	found   BIGINT NOT NULL, -- when
	latest  BIGINT NOT NULL,
	round   BIGINT NOT NULL, -- counts decisions; 0: nobody has decided
	labels  TEXT   NOT NULL, -- the decision, joined by commas; '' when harmless
	who     TEXT   NOT NULL,
	decided BIGINT NOT NULL,
	behind  BIGINT NOT NULL  -- 1: contents may have been judged by an earlier round
) @clustered;

-- The contents whose label depends on such a code.
CREATE TABLE code_use (
	key     @key   NOT NULL,
	body    BIGINT NOT NULL,
	chart   @key   NOT NULL,
	message BIGINT NOT NULL, -- body.message; its contents lie from first to last
	first   BIGINT NOT NULL,
	last    BIGINT NOT NULL,
	round   BIGINT NOT NULL, -- that it was judged by
	PRIMARY KEY (key, body)
) @clustered;
