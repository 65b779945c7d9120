-- What a person left on the desk: charts opened lately, and how pages look.
-- patient is the record's opaque id; nothing else about a patient is here.
-- Times are microseconds since 1970, UTC.

CREATE TABLE registry_recent (
	person   @key NOT NULL,
	worksite @key NOT NULL,
	patient  @key NOT NULL,
	seen     BIGINT NOT NULL,
	PRIMARY KEY (person, worksite, patient)
);

CREATE TABLE registry_setting (
	person @key PRIMARY KEY,
	value  TEXT NOT NULL
);
