-- What clients asked to be told of; see record/subscription.go.
CREATE TABLE subscription (
	id       @key   NOT NULL PRIMARY KEY,
	owner    @key   NOT NULL, -- whose it is: issuer, client, subject and patient of the token
	standing TEXT   NOT NULL, -- JSON of what it is allowed by
	spec     TEXT   NOT NULL, -- JSON of what was asked, as far as it is shown again
	secret   @bytes NOT NULL, -- headers of what is sent, sealed
	status   TEXT   NOT NULL,
	reason   TEXT   NOT NULL, -- why it is in error
	edition  BIGINT NOT NULL, -- counts its changes
	updated  BIGINT NOT NULL,
	told     BIGINT NOT NULL, -- when something was last sent, or began to be due
	events   BIGINT NOT NULL  -- of which it was told or is to be, ever
) @clustered;
CREATE INDEX subscription_owner ON subscription (owner, id);

-- What its questions found in each chart at the last round, as digests of versions.
CREATE TABLE subscription_seen (
	subscription @key   NOT NULL,
	chart        @key   NOT NULL,
	seen         @bytes NOT NULL,
	PRIMARY KEY (subscription, chart)
) @clustered;

-- What was new to it.
CREATE TABLE subscription_event (
	subscription @key   NOT NULL,
	n            BIGINT NOT NULL,
	at           BIGINT NOT NULL, -- the round
	chart        @key   NOT NULL,
	type         TEXT   NOT NULL,
	resource     TEXT   NOT NULL, -- its id
	PRIMARY KEY (subscription, n)
) @clustered;

-- What is to be sent, until its receiver has it: in order, one after another.
CREATE TABLE subscription_notice (
	subscription @key   NOT NULL,
	n            BIGINT NOT NULL,
	kind         TEXT   NOT NULL,
	first        BIGINT NOT NULL, -- event; of events alone
	last         BIGINT NOT NULL,
	due          BIGINT NOT NULL,
	attempts     BIGINT NOT NULL,
	PRIMARY KEY (subscription, n)
) @clustered;
