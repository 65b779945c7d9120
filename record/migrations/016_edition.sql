-- Which version of which document a message is: another of the chart may replace it.
CREATE TABLE edition (
	chart    @key   NOT NULL,
	message  BIGINT NOT NULL, -- inbox.id
	source   TEXT   NOT NULL,
	name     TEXT   NOT NULL,
	series   TEXT   NOT NULL, -- what all versions share; '' when it names none
	number   BIGINT NOT NULL, -- in its series
	at       BIGINT NOT NULL,
	replaces TEXT   NOT NULL, -- JSON array of names
	whole    TEXT   NOT NULL, -- Type/id of what keeps it whole
	lasts    TEXT   NOT NULL, -- JSON array of body.id: what stays when it is replaced
	PRIMARY KEY (chart, message)
) @clustered;
