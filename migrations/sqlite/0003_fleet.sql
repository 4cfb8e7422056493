-- Protocol 2: workers of protocol 1 would not see all that a collection says. Ended rows too, for they may be opened again.
UPDATE task SET queue = substr(queue, 1, length(queue) - 1) || '2' WHERE queue GLOB '*.p1';

-- Tasks that a session runs at a time.
ALTER TABLE session ADD COLUMN slots INTEGER NOT NULL DEFAULT 1;
