-- Pictures that are to have no vector any more, in no collection.
CREATE TABLE takedown (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- grows with every row
    key    TEXT COLLATE "C" NOT NULL UNIQUE,
    at     BIGINT NOT NULL,
    why    TEXT COLLATE "C" NOT NULL
);

CREATE INDEX ledger_rejected_takedown ON ledger_rejected (key) WHERE reason = 'takedown';

-- The last attempts of each task that did not succeed. Those that did stand in the task's own row.
CREATE TABLE attempt (
    task   UUID NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    worker TEXT COLLATE "C",
    began  BIGINT,
    ended  BIGINT NOT NULL,
    how    TEXT COLLATE "C" NOT NULL,
    error  TEXT COLLATE "C",
    PRIMARY KEY (task, number)
);

-- Somebody asked the session's worker to drain.
ALTER TABLE session ADD COLUMN drain BOOLEAN NOT NULL DEFAULT FALSE;

-- A task's removal looks for what names it.
CREATE INDEX ledger_chunk_task ON ledger_chunk (task);
