-- What the person said they open records for when they chose the worksite, as
-- v3-ActReason; empty before.
ALTER TABLE auth_session ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
