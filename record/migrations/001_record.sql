-- Every clinical table begins with the patient's chart, which is also what the
-- data would be distributed by over several machines. Times are microseconds
-- since 1970. What crosses patients (ident, person, alias) holds keys only.

-- What was received, whole. Rows never change.
CREATE TABLE inbox (
	id       @serial,
	source   @key   NOT NULL,
	kind     TEXT   NOT NULL,
	control  @key   NOT NULL,
	digest   @bytes NOT NULL, -- first 16 bytes of SHA-256 of body
	peer     TEXT   NOT NULL,
	received BIGINT NOT NULL,
	flagged  BIGINT NOT NULL, -- 1: control was known with another body
	body     @bytes NOT NULL
);
CREATE UNIQUE INDEX inbox_once ON inbox (source, control, digest);

-- Messages that are not done. What is in inbox and not here is done.
CREATE TABLE todo (
	id     @number, -- inbox.id
	held   BIGINT NOT NULL, -- 1: cannot be mapped
	reason TEXT   NOT NULL
);

CREATE TABLE chart (
	chart   @key   NOT NULL PRIMARY KEY,
	version BIGINT NOT NULL, -- counts changes that may show
	updated BIGINT NOT NULL, -- latest version.recorded
	root    @key   NOT NULL  -- chart that this one was merged into in the end; '' when none
) @clustered;
CREATE INDEX chart_updated ON chart (updated, chart);
CREATE INDEX chart_root ON chart (root, chart) WHERE root <> '';

-- One row for each time a resource changed. It held from (at, seq) to at least
-- (until, until_seq); seq is inbox.id and decides when times are equal.
CREATE TABLE version (
	chart     @key   NOT NULL,
	type      @key   NOT NULL,
	id        @key   NOT NULL,
	version   @key   NOT NULL,
	at        BIGINT NOT NULL,
	seq       BIGINT NOT NULL,
	until     BIGINT NOT NULL,
	until_seq BIGINT NOT NULL,
	recorded  BIGINT NOT NULL,
	source    TEXT   NOT NULL,
	deleted   BIGINT NOT NULL,
	body      BIGINT NOT NULL,
	rules     TEXT   NOT NULL, -- version of the rules that gave the labels
	labels    TEXT   NOT NULL, -- sorted, joined by commas
	PRIMARY KEY (chart, type, id, version)
) @clustered;

-- The content of versions, appended and never changed; versions with the same
-- content share it.
CREATE TABLE body (
	id      @serial,
	chart   @key   NOT NULL,
	message BIGINT NOT NULL, -- inbox.id that brought it first
	json    @bytes NOT NULL
);

-- Why labels were given, for the few bodies that have any.
CREATE TABLE reason (
	chart   @key   NOT NULL,
	body    BIGINT NOT NULL,
	reasons TEXT   NOT NULL, -- JSON array of label.Reason
	PRIMARY KEY (chart, body)
) @clustered;

-- Merges: the latest word on each pair.
CREATE TABLE link (
	chart      @key   NOT NULL, -- merged from
	into_chart @key   NOT NULL,
	at         BIGINT NOT NULL,
	seq        BIGINT NOT NULL,
	undo       BIGINT NOT NULL,
	PRIMARY KEY (chart, into_chart)
) @clustered;
CREATE INDEX link_into ON link (into_chart, chart);

-- Candidates for questions that cross patients. Rows are never removed: each
-- candidate is checked against the caller's view.
CREATE TABLE ident (
	value  @key NOT NULL,
	system @key NOT NULL, -- "?" for a value without its spaces and dashes
	chart  @key NOT NULL,
	PRIMARY KEY (value, system, chart)
) @clustered;
CREATE TABLE person (
	family @key NOT NULL, -- folded
	birth  @key NOT NULL, -- as given: YYYY, YYYY-MM or YYYY-MM-DD
	chart  @key NOT NULL,
	PRIMARY KEY (family, birth, chart)
) @clustered;

-- Where a resource lies whose id its source gave.
CREATE TABLE alias (
	type  @key NOT NULL,
	id    @key NOT NULL,
	chart @key NOT NULL,
	PRIMARY KEY (type, id)
) @clustered;

CREATE TABLE feed (
	source   @key   NOT NULL PRIMARY KEY,
	received BIGINT NOT NULL
) @clustered;

-- Keys made by the database's first opening, and marks of jobs that were done.
CREATE TABLE setting (
	name  @key   NOT NULL PRIMARY KEY,
	value @bytes NOT NULL
) @clustered;

-- Entries of each node's audit log, pinned down here.
CREATE TABLE anchor (
	node @key   NOT NULL,
	n    BIGINT NOT NULL,
	hash TEXT   NOT NULL,
	PRIMARY KEY (node, n)
) @clustered;
