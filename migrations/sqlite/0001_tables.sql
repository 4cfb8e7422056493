-- Ids are UUIDs as text, times are milliseconds since the Unix epoch by this database's clock. Text compares bytewise.

CREATE TABLE corpus (
    id   TEXT PRIMARY KEY,
    spec TEXT NOT NULL -- JSON
) STRICT;

CREATE TABLE collection (
    id     TEXT PRIMARY KEY,
    corpus TEXT NOT NULL REFERENCES corpus (id),
    spec   TEXT NOT NULL -- JSON
) STRICT;

CREATE TABLE job (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    spec           TEXT NOT NULL,
    hash           TEXT NOT NULL UNIQUE,
    corpus         TEXT NOT NULL REFERENCES corpus (id),
    collection     TEXT NOT NULL REFERENCES collection (id),
    priority       INTEGER NOT NULL,
    max_tasks      INTEGER NOT NULL, -- 0 = no limit
    state          TEXT NOT NULL,
    paused         INTEGER NOT NULL DEFAULT 0,
    stage          TEXT NOT NULL,
    accept_dead    INTEGER NOT NULL DEFAULT 0,
    allow_delete   INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    ended          INTEGER,
    -- What its results were last made from.
    fingerprint    TEXT,
    -- What its last plan did, as JSON lists of paths.
    removed_shards TEXT NOT NULL DEFAULT '[]',
    kept_shards    TEXT NOT NULL DEFAULT '[]'
) STRICT;

CREATE TABLE shard (
    corpus  TEXT NOT NULL REFERENCES corpus (id),
    number  INTEGER NOT NULL,
    path    TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,
    listing TEXT NOT NULL DEFAULT '',
    missing INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (corpus, number),
    UNIQUE (corpus, path)
) STRICT, WITHOUT ROWID;

-- The shards that a job searches.
CREATE TABLE job_shard (
    job    TEXT NOT NULL REFERENCES job (id),
    corpus TEXT NOT NULL,
    shard  INTEGER NOT NULL,
    PRIMARY KEY (job, shard),
    FOREIGN KEY (corpus, shard) REFERENCES shard (corpus, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE chunk (
    corpus     TEXT NOT NULL,
    shard      INTEGER NOT NULL,
    chunk      INTEGER NOT NULL,
    -- Empty: cut by the listing, for every collection. Else the rest that this collection's attempt split off.
    collection TEXT NOT NULL DEFAULT '',
    version    INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    stop       INTEGER, -- one past its last entry
    offset     INTEGER NOT NULL,
    pictures   INTEGER,
    listing    TEXT NOT NULL,
    PRIMARY KEY (corpus, shard, chunk),
    FOREIGN KEY (corpus, shard) REFERENCES shard (corpus, number)
) STRICT, WITHOUT ROWID;

-- Where a chunk ends for a collection that has split it.
CREATE TABLE chunk_cut (
    collection TEXT NOT NULL REFERENCES collection (id),
    corpus     TEXT NOT NULL,
    shard      INTEGER NOT NULL,
    chunk      INTEGER NOT NULL,
    stop       INTEGER NOT NULL,
    pictures   INTEGER,
    PRIMARY KEY (collection, shard, chunk),
    FOREIGN KEY (corpus, shard, chunk) REFERENCES chunk (corpus, shard, chunk) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    id      TEXT PRIMARY KEY,
    worker  TEXT NOT NULL,
    lease   INTEGER NOT NULL, -- ms
    expires INTEGER NOT NULL,
    ended   INTEGER
) STRICT;

CREATE INDEX session_alive ON session (expires) WHERE ended IS NULL;

CREATE TABLE task (
    age           INTEGER PRIMARY KEY, -- grows with every row
    id            TEXT NOT NULL UNIQUE,
    kind          TEXT NOT NULL,
    stage         TEXT NOT NULL,
    work          TEXT NOT NULL, -- JSON
    queue         TEXT NOT NULL,
    -- What the work is about, as far as it has it.
    corpus        TEXT,
    collection    TEXT,
    shard         INTEGER,
    version       INTEGER,
    chunk         INTEGER,
    job           TEXT REFERENCES job (id),
    -- The state machine's part.
    state         TEXT NOT NULL,
    attempt       INTEGER NOT NULL,
    failures      INTEGER NOT NULL,
    crashes       INTEGER NOT NULL,
    run_after     INTEGER NOT NULL,
    session       TEXT REFERENCES session (id),
    claim         TEXT,
    -- The publisher's part; empty unless ready.
    token         TEXT,
    marked        INTEGER,
    published     INTEGER,
    publications  INTEGER NOT NULL DEFAULT 0,
    -- The attempt's part.
    epoch         INTEGER NOT NULL DEFAULT 0,
    done          INTEGER NOT NULL DEFAULT 0,
    error         TEXT,
    artifact      TEXT,
    -- When a session was last lost with it, and which one while that crash may be taken back.
    lost          INTEGER,
    lost_in       TEXT,
    -- List: how often a chunk of the shard was superseded since it was last planned.
    supersessions INTEGER NOT NULL DEFAULT 0,
    -- Embed: the seal that had it embedded again.
    again         TEXT
) STRICT;

-- Each of these holds open rows only, so that ended ones cost nothing.
CREATE INDEX task_ready ON task (queue, run_after, age) WHERE state = 'ready';
CREATE INDEX task_token ON task (token) WHERE token IS NOT NULL;
CREATE INDEX task_running ON task (session) WHERE state = 'running';
CREATE INDEX task_open ON task (stage, id) WHERE state IN ('pending', 'ready', 'running');
CREATE INDEX task_lost ON task (lost_in) WHERE lost_in IS NOT NULL;

CREATE INDEX task_dead ON task (stage, id) WHERE state = 'dead';
CREATE INDEX task_shard ON task (corpus, shard) WHERE shard IS NOT NULL;
CREATE UNIQUE INDEX task_chunk ON task (collection, shard, chunk, version) WHERE kind = 'embed';
CREATE INDEX task_job ON task (job) WHERE job IS NOT NULL;

-- Which tasks a job needs: its own, and shared ones.
CREATE TABLE job_task (
    job  TEXT NOT NULL REFERENCES job (id),
    task TEXT NOT NULL REFERENCES task (id),
    PRIMARY KEY (job, task)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_task_task ON job_task (task, job);

CREATE TABLE ledger_chunk (
    collection   TEXT NOT NULL REFERENCES collection (id),
    shard        INTEGER NOT NULL,
    chunk        INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    task         TEXT NOT NULL REFERENCES task (id),
    attempt      INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    seen         INTEGER NOT NULL,
    embedded     INTEGER NOT NULL,
    unattributed INTEGER NOT NULL,
    rejected     TEXT NOT NULL, -- JSON, by reason
    artifact     TEXT NOT NULL,
    PRIMARY KEY (collection, shard, chunk)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_rejected (
    collection TEXT NOT NULL,
    shard      INTEGER NOT NULL,
    chunk      INTEGER NOT NULL,
    key        TEXT NOT NULL,
    path       TEXT NOT NULL,
    entry      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    detail     TEXT NOT NULL,
    FOREIGN KEY (collection, shard, chunk) REFERENCES ledger_chunk (collection, shard, chunk) ON DELETE CASCADE
) STRICT;

CREATE INDEX ledger_rejected_chunk ON ledger_rejected (collection, shard, chunk);

CREATE TABLE sequence (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO sequence VALUES ('epoch', 0);
