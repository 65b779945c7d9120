-- Held messages that an operator has set aside: nobody waits for them any more.
CREATE TABLE aside (
	id     @number, -- inbox.id
	held   TEXT   NOT NULL, -- why it was held
	reason TEXT   NOT NULL, -- why it was set aside; no patient's data
	who    TEXT   NOT NULL,
	at     BIGINT NOT NULL
);
