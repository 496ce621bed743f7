CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int, x int, y int, n int, s text, name text,
	note text, d date, ts timestamp, j json, created_at timestamp, updated_at timestamp,
	deleted int, is_deleted int, call_count int, exec_time int, grant_type text, lock_version int,
	"update" int, "delete" int, "into" int);
INSERT INTO t (id, a, b, c, x, s, name, d, ts, j, "update", "into")
	VALUES (1, 1, 2, 3, 4, 'abc', 'one', '2024-01-01', '2024-01-01 10:00', '{"a":1}', 1, 1),
	       (2, 2, 1, 1, 5, 'x', 'two', '2024-01-02', '2024-01-02 10:00', '{"x":[1,2]}', 2, 2);
CREATE TABLE u (id int, t_id int, v int, name text);
INSERT INTO u VALUES (1, 1, 10, 'a'), (2, 2, 20, 'b');
CREATE TABLE audit (id int, stmt text, note text, op text);
INSERT INTO audit VALUES (1, 'INSERT INTO x', 'select into outfile', 'DELETE');
CREATE TABLE 员工 (姓名 text, 部门 text, 备注 text);
INSERT INTO 员工 VALUES ('王芳', '研发', '删除；DROP');
CREATE TABLE "drop" ("update" int, "delete" int);
CREATE TABLE "my;table" (a int);
CREATE TABLE "a""b" (a int);
COPY (SELECT 1 AS a, 'x' AS s) TO 'sample.csv' (HEADER);
COPY (SELECT 1 AS a, 'x' AS s) TO 'sample.parquet';
COPY (SELECT 1 AS a, 'x' AS s) TO 'sample.json';
COPY (SELECT 1 AS a, 'x' AS s) TO 'dir/one.csv' (HEADER);
COPY (SELECT 2 AS a, 'y' AS s) TO 'dir/two.csv' (HEADER);
