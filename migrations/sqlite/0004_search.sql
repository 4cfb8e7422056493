-- A text that somebody waits for, as a job of one task.
ALTER TABLE job ADD COLUMN search INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_search ON job (created) WHERE search;
