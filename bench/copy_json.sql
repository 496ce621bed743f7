-- The measure to beat: DuckDB's own JSON writer on the same file, with the workers' settings.
SET threads = 2;
SET memory_limit = '512MB';
COPY (SELECT * FROM 'bench.parquet') TO '/dev/null' (FORMAT json);
COPY (SELECT * FROM 'bench.parquet') TO '/dev/null' (FORMAT json);
SET preserve_insertion_order = false;
COPY (SELECT * FROM 'bench.parquet') TO '/dev/null' (FORMAT json);
COPY (SELECT * FROM 'bench.parquet') TO '/dev/null' (FORMAT json);
