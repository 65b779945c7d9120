-- A message may say again what another said first, and bring more besides that
-- depends on it. Such a use counts for none: body is the first it brought.
ALTER TABLE code_use ADD COLUMN again BIGINT NOT NULL DEFAULT 0;
