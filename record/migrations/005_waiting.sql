-- Results that their patients do not know of, as policy.Waiting finds them in a
-- chart, under the surviving record. It is made from the charts and can be made
-- anew from them.
CREATE TABLE waiting (
	chart  @key   NOT NULL,
	type   @key   NOT NULL,
	id     @key   NOT NULL,
	held   BIGINT NOT NULL, -- 1: withheld from the patient, who was not told
	since  BIGINT NOT NULL,
	labels TEXT   NOT NULL, -- that withhold it, joined by commas
	number TEXT   NOT NULL, -- of the patient
	ord    TEXT   NOT NULL, -- of the order or report
	PRIMARY KEY (chart, type, id)
) @clustered;
CREATE INDEX waiting_since ON waiting (held, since, chart, type, id);

-- Charts that changed since they were last looked through for it.
CREATE TABLE changed (
	chart @key NOT NULL PRIMARY KEY
) @clustered;
