-- Why a workflow is paused, where it was not by a person, and when a step met its last trouble.
ALTER TABLE workflow_state ADD COLUMN reason TEXT;
ALTER TABLE trouble ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
