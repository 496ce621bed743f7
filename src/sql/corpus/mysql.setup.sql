CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int, x int, y int, n int, s varchar(100),
	name varchar(100), note varchar(100), d date, ts datetime, j json, created_at datetime,
	updated_at datetime, deleted int, is_deleted int, call_count int, exec_time int,
	grant_type varchar(10), lock_version int, `update` int, `delete` int, `into` int);
INSERT INTO t (id, a, b, c, x, s, name, d, ts, j, `update`, `into`)
	VALUES (1, 1, 2, 3, 4, 'abc', 'one', '2024-01-01', '2024-01-01 10:00', '{"a":1}', 1, 1),
	       (2, 2, 1, 1, 5, 'x', 'two', '2024-01-02', '2024-01-02 10:00', '{"x":[1,2]}', 2, 2);
CREATE TABLE u (id int, t_id int, v int, name varchar(100));
INSERT INTO u VALUES (1, 1, 10, 'a'), (2, 2, 20, 'b');
CREATE TABLE audit (id int, stmt varchar(100), note varchar(100), op varchar(10));
INSERT INTO audit VALUES (1, 'INSERT INTO x', 'select into outfile', 'DELETE');
CREATE TABLE 员工 (姓名 varchar(20), 部门 varchar(20), 备注 varchar(100));
INSERT INTO 员工 VALUES ('王芳', '研发', '删除；DROP');
CREATE TABLE `drop` (`update` int, `delete` int);
CREATE TABLE `my;table` (a int);
CREATE TABLE `a``b` (a int);
