-- Who may come in, and where from. No patient appears in these tables.
-- Times are microseconds since 1970, UTC; 0 in ends means no end. from_seed
-- marks what the registry file says, so that leaving the file ends it.

CREATE TABLE registry_worksite (
	id        @key PRIMARY KEY,
	name      TEXT NOT NULL,
	active    BIGINT NOT NULL,
	from_seed BIGINT NOT NULL
);

CREATE TABLE registry_person (
	id        @key PRIMARY KEY,
	issuer    @key NOT NULL,
	subject   @key NOT NULL,
	name      TEXT NOT NULL,
	active    BIGINT NOT NULL,
	from_seed BIGINT NOT NULL,
	UNIQUE (issuer, subject) -- one account, one person
);

CREATE TABLE registry_membership (
	id        @key PRIMARY KEY,
	person    @key NOT NULL REFERENCES registry_person (id),
	worksite  @key NOT NULL REFERENCES registry_worksite (id),
	role      TEXT NOT NULL,
	active    BIGINT NOT NULL,
	ends      BIGINT NOT NULL,
	from_seed BIGINT NOT NULL,
	UNIQUE (person, worksite, role)
);

CREATE TABLE registry_authorizer (
	assistant  @key NOT NULL REFERENCES registry_membership (id),
	authorizer @key NOT NULL REFERENCES registry_membership (id),
	active     BIGINT NOT NULL,
	from_seed  BIGINT NOT NULL,
	PRIMARY KEY (assistant, authorizer)
);

CREATE TABLE registry_client (
	issuer    @key NOT NULL,
	id        @key NOT NULL,
	name      TEXT NOT NULL,
	active    BIGINT NOT NULL,
	audience  TEXT NOT NULL,
	source    TEXT NOT NULL,
	scopes    TEXT NOT NULL,
	from_seed BIGINT NOT NULL,
	PRIMARY KEY (issuer, id)
);

-- Counts changes, so that every node notices that what it remembers is old.
CREATE TABLE registry_version (
	id      BIGINT PRIMARY KEY,
	version BIGINT NOT NULL
);

INSERT INTO registry_version (id, version) VALUES (1, 1);
