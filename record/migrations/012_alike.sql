-- Pairs of charts (a < b) that are probably of one person. Rows nobody decided
-- can be made from the charts anew.
CREATE TABLE alike (
	a          @key   NOT NULL,
	b          @key   NOT NULL,
	agrees     TEXT   NOT NULL, -- beside name, birth date and sex, joined by commas
	since      BIGINT NOT NULL,
	decided    TEXT   NOT NULL, -- same, different; '' by nobody
	into_chart @key   NOT NULL, -- of those decided to be the same: the one that survives
	who        TEXT   NOT NULL,
	at         BIGINT NOT NULL,
	PRIMARY KEY (a, b)
) @clustered;
CREATE INDEX alike_b ON alike (b, a);
CREATE INDEX alike_decided ON alike (decided, since, a, b);
