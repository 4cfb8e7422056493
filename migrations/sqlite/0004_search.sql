-- A text that somebody waits for, as a job of one task.
ALTER TABLE job ADD COLUMN search BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX job_search ON job (created) WHERE search;
