-- A swap of beds names two patients; either's visits may have been moved.
ALTER TABLE moved ADD COLUMN other @key NOT NULL DEFAULT ''; -- chart of the second, '' where there is none
