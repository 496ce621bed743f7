#!/bin/bash
# Sample rows and an account that can only read.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$ORDERS_PASSWORD" -U postgres <<'SQL'
CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12, 2), placed timestamptz);
INSERT INTO orders
SELECT i, 'customer ' || i % 50, i * 1.17, timestamptz '2026-01-01 00:00:00+00' + i * interval '1 hour'
FROM generate_series(1, 1000) i;
CREATE ROLE nexus LOGIN PASSWORD :'password';
GRANT pg_read_all_data TO nexus;
SQL
