-- Where an attempt that runs alone stands: the ordinal of a picture. The process of a row that nobody runs died there.
ALTER TABLE task ADD COLUMN stands_at BIGINT;
-- The ordinal at which it died last, and those at which it died twice, as a JSON list.
ALTER TABLE task ADD COLUMN suspect BIGINT;
ALTER TABLE task ADD COLUMN poison TEXT COLLATE "C" NOT NULL DEFAULT '[]';

-- Why a job could not be planned so far.
ALTER TABLE job ADD COLUMN error TEXT COLLATE "C";
