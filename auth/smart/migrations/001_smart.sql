-- Times are microseconds since 1970, UTC; nought is never. What a browser, an
-- app or a client holds is kept as its SHA-256: a copy of these tables opens nothing.

-- One authorization under way, between the app's request and the person's answer.
CREATE TABLE smart_request (
	id        @key PRIMARY KEY,
	client    @key NOT NULL,
	redirect  TEXT NOT NULL,
	state     TEXT NOT NULL,
	stated    BIGINT NOT NULL,   -- 1 when a state was sent
	scope     TEXT NOT NULL,     -- asked, as far as the client may have it
	nonce     TEXT NOT NULL,
	challenge TEXT NOT NULL,
	session   TEXT NOT NULL,     -- of whoever answers, empty before
	patient   TEXT NOT NULL,     -- chosen, empty before
	expires   BIGINT NOT NULL
) @clustered;

CREATE INDEX smart_request_expires ON smart_request (expires);

-- What was granted: a family of tokens. Revoking this row ends them all.
CREATE TABLE smart_grant (
	id         @key PRIMARY KEY,
	client     @key NOT NULL,
	issuer     @key NOT NULL,
	subject    @key NOT NULL,
	person     TEXT NOT NULL,    -- registry id
	name       TEXT NOT NULL,
	worksite   TEXT NOT NULL,
	acting_for TEXT NOT NULL,
	scope      TEXT NOT NULL,
	patient    TEXT NOT NULL,
	nonce      TEXT NOT NULL,
	session    @key NOT NULL,    -- in which it was given; empty for a client's own
	offline    BIGINT NOT NULL,  -- 1: outlives the session
	started    BIGINT NOT NULL,
	ends       BIGINT NOT NULL,
	revoked    BIGINT NOT NULL
) @clustered;

CREATE INDEX smart_grant_person ON smart_grant (issuer, subject);

CREATE INDEX smart_grant_session ON smart_grant (session);

CREATE INDEX smart_grant_ends ON smart_grant (ends);

-- A code, an access token or a refresh token. Codes and refresh tokens count once.
CREATE TABLE smart_token (
	id        @key PRIMARY KEY,
	grant_id  @key NOT NULL,
	kind      TEXT NOT NULL,     -- "code", "access" or "refresh"
	scope     TEXT NOT NULL,
	redirect  TEXT NOT NULL,     -- of a code
	challenge TEXT NOT NULL,     -- of a code
	made      BIGINT NOT NULL,
	expires   BIGINT NOT NULL,
	used      BIGINT NOT NULL
) @clustered;

CREATE INDEX smart_token_expires ON smart_token (expires);

-- Ids of client assertions that were shown.
CREATE TABLE smart_jti (
	id      @key PRIMARY KEY,    -- hash of client and jti
	expires BIGINT NOT NULL
) @clustered;

CREATE INDEX smart_jti_expires ON smart_jti (expires);

-- Signing keys, sealed with a key derived from the gateway's.
CREATE TABLE smart_key (
	id     @key PRIMARY KEY,     -- algorithm and slot: one of each
	slot   BIGINT NOT NULL,      -- in which it signs
	sealed @bytes NOT NULL
) @clustered;
