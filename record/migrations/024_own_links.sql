-- Which links of charts were decided at this gateway: they hold for those alone who see
-- both charts.
ALTER TABLE word ADD COLUMN own BIGINT NOT NULL DEFAULT 0;
UPDATE word SET own = 1 WHERE seq IN (SELECT id FROM inbox WHERE source = 'firebreak');
CREATE INDEX word_own ON word (chart) WHERE own = 1;
