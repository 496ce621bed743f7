-- Benchmark input: rows x 8 columns. nexus-engine --script bench/make_parquet.sql DIR rows=10000000
COPY (
	SELECT i::BIGINT AS id,
	       (hash(i) % 100000)::INT AS customer,
	       CASE WHEN i % 10 = 3 THEN NULL ELSE (hash(i + 1) % 1000000007) / 997.0 END AS score,
	       CASE i % 7
	       WHEN 0 THEN 'plain text of some length ' || (hash(i + 2) % 100000)
	       WHEN 1 THEN 'he said "hi" ' || (hash(i + 3) % 1000)
	       WHEN 2 THEN E'line\nbreak\t' || (hash(i + 4) % 1000)
	       WHEN 3 THEN '中文文本 ' || (hash(i + 5) % 1000)
	       ELSE 'customer comment ' || (hash(i + 6) % 10000000) END AS note,
	       DATE '1992-01-02' + (i // 4000)::INT AS day,
	       ((hash(i + 7) % 100000000) / 100.0)::DECIMAL(12,2) AS amount,
	       TIMESTAMP '2020-01-01' + to_microseconds((i * 1234567)::BIGINT) AS seen,
	       i % 3 = 0 AS active
	FROM range(coalesce(getvariable('rows'), '10000000')::BIGINT) t(i)
) TO 'bench.parquet' (FORMAT parquet, COMPRESSION snappy);
