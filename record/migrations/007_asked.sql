-- Sources that are asked for what they have. How far that has come, by the name
-- of the task; one row for each resource taken from one and not deleted there.
CREATE TABLE asked (
	source @key   NOT NULL,
	name   @key   NOT NULL,
	state  @bytes NOT NULL,
	PRIMARY KEY (source, name)
) @clustered;
CREATE TABLE asked_copy (
	source  @key   NOT NULL,
	type    @key   NOT NULL,
	id      @key   NOT NULL, -- as the source calls it
	owner   TEXT   NOT NULL, -- id of its patient, as the source calls it
	updated BIGINT NOT NULL, -- by the source's clock
	round   BIGINT NOT NULL, -- latest listing that it was seen in
	PRIMARY KEY (source, type, id)
) @clustered;
