-- When a task was last claimed and by which worker, and when it last succeeded.
ALTER TABLE task ADD COLUMN claimed INTEGER;
ALTER TABLE task ADD COLUMN worker TEXT;
ALTER TABLE task ADD COLUMN finished INTEGER;

-- What the stages of embedding took for the chunk, as JSON; NULL where that was not measured.
ALTER TABLE ledger_chunk ADD COLUMN spent TEXT;
