-- Once, after the first node has started: psql -h db-a -U smsgw -f tables.sql smsgw
--
-- Rows of these tables live for a moment: as many are removed in a minute as the table ever has at a time. So they are
-- vacuumed after a number of rows, not after a share of them, and the workers do not rest in between.
ALTER TABLE queue SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000,
    autovacuum_vacuum_cost_delay = 0,
    -- Room in each page, so that a row that is taken (a column without an index) is changed in its place.
    fillfactor = 70
);
ALTER TABLE outbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);
-- A row or two, changed by every transaction.
ALTER TABLE commit_mark SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0, fillfactor = 10
);
ALTER TABLE balance SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0, fillfactor = 50
);
ALTER TABLE usage SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0, fillfactor = 50
);
