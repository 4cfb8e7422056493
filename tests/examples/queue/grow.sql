-- {rows} tasks of a job that has ended, as a large run leaves them behind.
SET search_path = {schema};
INSERT INTO corpus VALUES ('grown', '{}');
INSERT INTO collection VALUES ('grown', 'grown', '{}');
INSERT INTO job (id, name, spec, hash, corpus, collection, priority, max_tasks, state, stage, allow_delete, created, ended)
VALUES ('00000000-0000-0000-0000-00000000000a', 'grown', '{}', 'grown', 'grown', 'grown', 0, 0, 'succeeded', 'finalize', false, 0, 1);
INSERT INTO task (id, kind, stage, work, queue, corpus, collection, shard, version, chunk, state, attempt, failures,
                  crashes, run_after, artifact)
SELECT gen_random_uuid(), 'embed', 'embed',
       '{"kind":"embed","collection":"grown","chunk":{"shard":' || n / 25 || ',"version":1,"chunk":' || n % 25 || '}}',
       'embed.grown.p2', 'grown', 'grown', n / 25, 1, n % 25, 'succeeded', 1, 0, 0, 0,
       'tasks/00000000-0000-0000-0000-000000000000/1/embedded.txt'
FROM generate_series(1, {rows}) n;
INSERT INTO job_task SELECT '00000000-0000-0000-0000-00000000000a', id FROM task WHERE collection = 'grown';
ANALYZE;
