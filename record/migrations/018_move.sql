-- Visits that messages say are another patient's than was thought: each is a
-- word, of which the latest on a visit counts. visit is the end of the ids of its
-- Encounters, which is the same in each chart.
CREATE TABLE move (
	visit      @key   NOT NULL,
	chart      @key   NOT NULL, -- that it was taken for
	into_chart @key   NOT NULL,
	subject    TEXT   NOT NULL, -- JSON of inbox.Subject: the number of the patient of into_chart
	at         BIGINT NOT NULL,
	seq        BIGINT NOT NULL, -- inbox.id
	PRIMARY KEY (visit, chart, into_chart, seq)
) @clustered;
CREATE INDEX move_chart ON move (chart, visit);
CREATE INDEX move_into ON move (into_chart, visit);
CREATE INDEX move_seq ON move (seq);

-- With which moves a message was applied, where there were any.
CREATE TABLE moved (
	id    @number,          -- inbox.id
	home  @key NOT NULL,    -- chart of the patient it names
	moves TEXT NOT NULL     -- JSON of inbox.Move
);
