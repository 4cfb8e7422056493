-- Pictures that are to have no vector any more, in no collection.
CREATE TABLE takedown (
    number INTEGER PRIMARY KEY, -- grows with every row
    key    TEXT NOT NULL UNIQUE,
    at     INTEGER NOT NULL,
    why    TEXT NOT NULL
) STRICT;

CREATE INDEX ledger_rejected_takedown ON ledger_rejected (key) WHERE reason = 'takedown';

-- The last attempts of each task that did not succeed. Those that did stand in the task's own row.
CREATE TABLE attempt (
    task   TEXT NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    worker TEXT,
    began  INTEGER,
    ended  INTEGER NOT NULL,
    how    TEXT NOT NULL,
    error  TEXT,
    PRIMARY KEY (task, number)
) STRICT, WITHOUT ROWID;

-- Somebody asked the session's worker to drain.
ALTER TABLE session ADD COLUMN drain INTEGER NOT NULL DEFAULT 0;

-- A task's removal looks for what names it.
CREATE INDEX ledger_chunk_task ON ledger_chunk (task);
