-- Messages that tell only what changes of an appointment, and with which others they
-- were mapped when they were last looked at.
CREATE TABLE part (
	id          @number,         -- inbox.id
	chart       @key   NOT NULL, -- that the appointment lies in
	appointment @key   NOT NULL, -- its id
	asked       BIGINT NOT NULL, -- 1: what changes of a request
	at          BIGINT NOT NULL, -- when it was sent
	basis       TEXT   NOT NULL  -- inbox.id of those that told of it before, the oldest first, joined by commas
);
CREATE INDEX part_appointment ON part (appointment);
CREATE INDEX part_chart ON part (chart);
