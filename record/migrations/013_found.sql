-- By which identifiers a source finds what it pushed. Rows are never removed:
-- each candidate is read and compared.
CREATE TABLE given (
	source @key NOT NULL,
	type   @key NOT NULL,
	value  @key NOT NULL, -- digest of an identifier's value
	id     @key NOT NULL,
	PRIMARY KEY (source, type, value, id)
) @clustered;

-- Rows to lock: those of one source that look for something are applied one
-- after another.
CREATE TABLE looker (
	source @key NOT NULL PRIMARY KEY
) @clustered;

-- What messages left to be found, and what it was when they were applied: a
-- replay finds the same.
CREATE TABLE found (
	id  @number,       -- inbox.id
	ids TEXT NOT NULL  -- as in rest.Plan, joined by commas
);
