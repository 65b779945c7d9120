-- Times are microseconds since 1970, UTC. Ids and states are SHA-256 of what
-- the browser holds, so that a copy of this table opens nothing.

CREATE TABLE auth_signin (
	state    @key PRIMARY KEY,
	browser  @key NOT NULL,     -- hash of the cookie of the browser that began
	verifier TEXT NOT NULL,     -- PKCE
	nonce    TEXT NOT NULL,
	back     TEXT NOT NULL,     -- local path to return to
	expires  BIGINT NOT NULL
) @clustered;

CREATE INDEX auth_signin_expires ON auth_signin (expires);

CREATE TABLE auth_session (
	id         @key PRIMARY KEY,
	issuer     @key NOT NULL,
	subject    @key NOT NULL,
	name       TEXT NOT NULL,
	id_token   TEXT NOT NULL,   -- hint for the provider when signing out
	worksite   TEXT NOT NULL,   -- chosen worksite, empty before
	acting_for TEXT NOT NULL,   -- person acted for, empty for oneself
	seen       BIGINT NOT NULL, -- last use
	started    BIGINT NOT NULL,
	ends       BIGINT NOT NULL  -- absolute limit
) @clustered;

CREATE INDEX auth_session_person ON auth_session (issuer, subject);

CREATE INDEX auth_session_seen ON auth_session (seen);

CREATE INDEX auth_session_ends ON auth_session (ends);
