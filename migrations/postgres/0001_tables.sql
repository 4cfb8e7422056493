-- Times are milliseconds since the Unix epoch by this database's clock. Text compares bytewise.

CREATE TABLE corpus (
    id   TEXT COLLATE "C" PRIMARY KEY,
    spec TEXT COLLATE "C" NOT NULL -- JSON
);

CREATE TABLE collection (
    id     TEXT COLLATE "C" PRIMARY KEY,
    corpus TEXT COLLATE "C" NOT NULL REFERENCES corpus (id),
    spec   TEXT COLLATE "C" NOT NULL -- JSON
);

CREATE TABLE job (
    id             UUID PRIMARY KEY,
    name           TEXT COLLATE "C" NOT NULL,
    spec           TEXT COLLATE "C" NOT NULL,
    hash           TEXT COLLATE "C" NOT NULL UNIQUE,
    corpus         TEXT COLLATE "C" NOT NULL REFERENCES corpus (id),
    collection     TEXT COLLATE "C" NOT NULL REFERENCES collection (id),
    priority       BIGINT NOT NULL,
    max_tasks      BIGINT NOT NULL, -- 0 = no limit
    state          TEXT COLLATE "C" NOT NULL,
    paused         BOOLEAN NOT NULL DEFAULT FALSE,
    stage          TEXT COLLATE "C" NOT NULL,
    accept_dead    BOOLEAN NOT NULL DEFAULT FALSE,
    allow_delete   BOOLEAN NOT NULL,
    created        BIGINT NOT NULL,
    ended          BIGINT,
    -- What its results were last made from.
    fingerprint    TEXT COLLATE "C",
    -- What its last plan did, as JSON lists of paths.
    removed_shards TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    kept_shards    TEXT COLLATE "C" NOT NULL DEFAULT '[]'
);

CREATE TABLE shard (
    corpus  TEXT COLLATE "C" NOT NULL REFERENCES corpus (id),
    number  BIGINT NOT NULL,
    path    TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL DEFAULT 0,
    listing TEXT COLLATE "C" NOT NULL DEFAULT '',
    missing BIGINT NOT NULL DEFAULT 0,
    removed BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (corpus, number),
    UNIQUE (corpus, path)
);

-- The shards that a job searches.
CREATE TABLE job_shard (
    job    UUID NOT NULL REFERENCES job (id),
    corpus TEXT COLLATE "C" NOT NULL,
    shard  BIGINT NOT NULL,
    PRIMARY KEY (job, shard),
    FOREIGN KEY (corpus, shard) REFERENCES shard (corpus, number)
);

CREATE TABLE chunk (
    corpus     TEXT COLLATE "C" NOT NULL,
    shard      BIGINT NOT NULL,
    chunk      BIGINT NOT NULL,
    -- Empty: cut by the listing, for every collection. Else the rest that this collection's attempt split off.
    collection TEXT COLLATE "C" NOT NULL DEFAULT '',
    version    BIGINT NOT NULL,
    first      BIGINT NOT NULL,
    stop       BIGINT, -- one past its last entry
    "offset"   BIGINT NOT NULL,
    pictures   BIGINT,
    listing    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (corpus, shard, chunk),
    FOREIGN KEY (corpus, shard) REFERENCES shard (corpus, number)
);

-- Where a chunk ends for a collection that has split it.
CREATE TABLE chunk_cut (
    collection TEXT COLLATE "C" NOT NULL REFERENCES collection (id),
    corpus     TEXT COLLATE "C" NOT NULL,
    shard      BIGINT NOT NULL,
    chunk      BIGINT NOT NULL,
    stop       BIGINT NOT NULL,
    pictures   BIGINT,
    PRIMARY KEY (collection, shard, chunk),
    FOREIGN KEY (corpus, shard, chunk) REFERENCES chunk (corpus, shard, chunk) ON DELETE CASCADE
);

CREATE TABLE session (
    id      UUID PRIMARY KEY,
    worker  TEXT COLLATE "C" NOT NULL,
    slots   BIGINT NOT NULL,
    lease   BIGINT NOT NULL, -- ms
    expires BIGINT NOT NULL,
    ended   BIGINT
);

CREATE INDEX session_alive ON session (expires) WHERE ended IS NULL;

CREATE TABLE task (
    age           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- grows with every row
    id            UUID NOT NULL UNIQUE,
    kind          TEXT COLLATE "C" NOT NULL,
    stage         TEXT COLLATE "C" NOT NULL,
    work          TEXT COLLATE "C" NOT NULL, -- JSON
    queue         TEXT COLLATE "C" NOT NULL,
    -- What the work is about, as far as it has it.
    corpus        TEXT COLLATE "C",
    collection    TEXT COLLATE "C",
    shard         BIGINT,
    version       BIGINT,
    chunk         BIGINT,
    job           UUID REFERENCES job (id),
    -- The state machine's part.
    state         TEXT COLLATE "C" NOT NULL,
    attempt       BIGINT NOT NULL,
    failures      BIGINT NOT NULL,
    crashes       BIGINT NOT NULL,
    run_after     BIGINT NOT NULL,
    session       UUID REFERENCES session (id),
    claim         UUID,
    -- The publisher's part; empty unless ready.
    token         UUID,
    marked        BIGINT,
    published     BIGINT,
    publications  BIGINT NOT NULL DEFAULT 0,
    -- The attempt's part.
    epoch         BIGINT NOT NULL DEFAULT 0,
    done          BIGINT NOT NULL DEFAULT 0,
    error         TEXT COLLATE "C",
    artifact      TEXT COLLATE "C",
    -- When a session was last lost with it, and which one while that crash may be taken back.
    lost          BIGINT,
    lost_in       UUID,
    -- List: how often a chunk of the shard was superseded since it was last planned.
    supersessions BIGINT NOT NULL DEFAULT 0,
    -- Embed: the seal that had it embedded again.
    again         TEXT COLLATE "C",
    -- For people: when it was last claimed and by which worker, and when it last succeeded.
    claimed       BIGINT,
    worker        TEXT COLLATE "C",
    finished      BIGINT
);

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
    job  UUID NOT NULL REFERENCES job (id),
    task UUID NOT NULL REFERENCES task (id),
    PRIMARY KEY (job, task)
);

CREATE INDEX job_task_task ON job_task (task, job);

CREATE TABLE ledger_chunk (
    collection   TEXT COLLATE "C" NOT NULL REFERENCES collection (id),
    shard        BIGINT NOT NULL,
    chunk        BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    task         UUID NOT NULL REFERENCES task (id),
    attempt      BIGINT NOT NULL,
    epoch        BIGINT NOT NULL,
    seen         BIGINT NOT NULL,
    embedded     BIGINT NOT NULL,
    unattributed BIGINT NOT NULL,
    rejected     TEXT COLLATE "C" NOT NULL, -- JSON, by reason
    artifact     TEXT COLLATE "C" NOT NULL,
    -- What the stages of embedding took, as JSON; NULL where that was not measured.
    spent        TEXT COLLATE "C",
    PRIMARY KEY (collection, shard, chunk)
);

CREATE TABLE ledger_rejected (
    collection TEXT COLLATE "C" NOT NULL,
    shard      BIGINT NOT NULL,
    chunk      BIGINT NOT NULL,
    key        TEXT COLLATE "C" NOT NULL,
    path       TEXT COLLATE "C" NOT NULL,
    entry      TEXT COLLATE "C" NOT NULL,
    reason     TEXT COLLATE "C" NOT NULL,
    detail     TEXT COLLATE "C" NOT NULL,
    FOREIGN KEY (collection, shard, chunk) REFERENCES ledger_chunk (collection, shard, chunk) ON DELETE CASCADE
);

CREATE INDEX ledger_rejected_chunk ON ledger_rejected (collection, shard, chunk);

-- Fences writes to the index.
CREATE SEQUENCE epoch;

-- A list's elements, under the name that SQLite has for them: both databases run the same statements.
CREATE FUNCTION json_each(list TEXT[]) RETURNS TABLE (value TEXT)
    LANGUAGE sql IMMUTABLE ROWS 10 AS 'SELECT unnest(list)';
CREATE FUNCTION json_each(list UUID[]) RETURNS TABLE (value UUID)
    LANGUAGE sql IMMUTABLE ROWS 10 AS 'SELECT unnest(list)';
