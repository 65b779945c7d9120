-- Messages whose text was purged by policy: inbox.body is empty. What they told
-- stays, and so does their digest: the same message again is known.
CREATE TABLE purged (
	id @number, -- inbox.id
	at BIGINT NOT NULL
);
