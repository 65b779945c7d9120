-- Which reading of the clients below is the newest: each change counts it up, and
-- whoever relies on an earlier reading reads anew.
CREATE TABLE smart_version (
	id      @key PRIMARY KEY,      -- "clients"
	version BIGINT NOT NULL
) @clustered;

INSERT INTO smart_version (id, version) VALUES ('clients', 1);

-- What was decided on a client: on one of the configuration, or on one that
-- registered itself, which then stands here whole. A client of the configuration
-- of which nothing was decided has no row. What was let in once and is deleted
-- stays by its id, so that nothing of its goes on.
CREATE TABLE smart_client (
	id         @key PRIMARY KEY,
	state      TEXT NOT NULL,      -- "pending", "active", "refused", "suspended" or "deleted"
	registered TEXT NOT NULL,      -- as JSON; empty: of the configuration, or deleted
	access     TEXT NOT NULL,      -- hash of what it reads and deletes its registration with
	address    TEXT NOT NULL,      -- from which it was registered
	api        BIGINT NOT NULL,    -- requests a minute; 0: what the configuration says
	token      BIGINT NOT NULL,
	made       BIGINT NOT NULL,    -- when it was registered, or first decided on
	since      BIGINT NOT NULL,    -- when its state was reached
	who        TEXT NOT NULL,      -- decided so
	reason     TEXT NOT NULL
) @clustered;

-- How often each client asked, for the operators: behind by some seconds.
CREATE TABLE smart_use (
	client   @key PRIMARY KEY,
	requests BIGINT NOT NULL,
	refused  BIGINT NOT NULL,      -- of them, because of a limit or its state
	last     BIGINT NOT NULL
) @clustered;
