-- What is addressed to the systems of sources, in order of entry. A row is
-- written with the version that it brings. state: 0 waiting, 1 refused, 2 sent,
-- 3 answered, 4 dropped.
CREATE TABLE outbox (
	id          @serial,
	feed        @key   NOT NULL, -- to whom
	chart       @key   NOT NULL,
	type        @key   NOT NULL,
	resource_id @key   NOT NULL,
	message     BIGINT NOT NULL, -- inbox.id that brought it
	version     @key   NOT NULL,
	body        BIGINT NOT NULL, -- body.id
	number      @key   NOT NULL, -- of the request, the same for all versions
	control     @key   NOT NULL, -- of this row
	entered     BIGINT NOT NULL,
	state       BIGINT NOT NULL,
	attempts    BIGINT NOT NULL,
	due         BIGINT NOT NULL,
	changed     BIGINT NOT NULL, -- when state or reason did
	reason      TEXT   NOT NULL, -- why it is not sent; no patient's data
	answer      TEXT   NOT NULL, -- what the receiver called it
	became      TEXT   NOT NULL  -- Type/id of the resource that answered
);
CREATE UNIQUE INDEX outbox_once ON outbox (chart, type, resource_id, feed, message);
CREATE INDEX outbox_open ON outbox (feed, chart, id) WHERE state < 2;
CREATE INDEX outbox_number ON outbox (number);

-- Whose turn it is to deliver to a feed. The token counts takers, so that one
-- who slept cannot write; beat changes while the taker lives, -1 once it let go.
CREATE TABLE outbox_turn (
	feed  @key   NOT NULL PRIMARY KEY,
	token BIGINT NOT NULL,
	beat  BIGINT NOT NULL
) @clustered;
