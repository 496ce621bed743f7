-- The bundled sample data: made by hashing row numbers, so it is the same everywhere.
--   cities.csv      12 cities
--   trips.parquet   200,000 bicycle trips between them
--   orders.parquet  100,000 shop orders
--   events.json     5,000 events, one JSON object a line, nested

CREATE TABLE city AS SELECT * FROM (VALUES
	(1, 'Beijing', '北京', 'North', 39.9042, 116.4074, 21893000, DATE '1949-10-01'),
	(2, 'Shanghai', '上海', 'East', 31.2304, 121.4737, 24870000, DATE '1949-05-27'),
	(3, 'Guangzhou', '广州', 'South', 23.1291, 113.2644, 18676000, NULL),
	(4, 'Shenzhen', '深圳', 'South', 22.5431, 114.0579, 17560000, DATE '1979-03-05'),
	(5, 'Chengdu', '成都', 'West', 30.5728, 104.0668, 20937000, NULL),
	(6, 'Hangzhou', '杭州', 'East', 30.2741, 120.1551, 11936000, NULL),
	(7, 'Wuhan', '武汉', 'Central', 30.5928, 114.3055, 12326000, DATE '1949-05-24'),
	(8, 'Xi''an', '西安', 'West', 34.3416, 108.9398, 12952000, NULL),
	(9, 'Nanjing', '南京', 'East', 32.0603, 118.7969, 9314000, NULL),
	(10, 'Chongqing', '重庆', 'West', 29.4316, 106.9123, 32054000, DATE '1997-06-18'),
	(11, 'Harbin', '哈尔滨', 'North', 45.8038, 126.5350, 10009000, NULL),
	(12, 'Kunming', '昆明', 'South', 24.8801, 102.8329, 8460000, NULL)
) t(city_id, name, name_zh, region, latitude, longitude, population, founded);
COPY city TO 'cities.csv' (HEADER);

COPY (
	SELECT i AS trip_id,
	       TIMESTAMP '2025-01-01' + to_seconds((i * 157)::BIGINT + (hash(i) % 150)::BIGINT) AS started_at,
	       TIMESTAMP '2025-01-01' + to_seconds((i * 157)::BIGINT + (hash(i) % 150 + 180 + hash(i + 1) % 5400)::BIGINT) AS ended_at,
	       (1 + hash(i + 2) % 12)::INTEGER AS city_id,
	       ['人民广场', '火车站', '大学城', '科技园', '博物馆', '机场'][1 + (hash(i + 3) % 6)::INT] AS from_station,
	       ['人民广场', '火车站', '大学城', '科技园', '博物馆', '机场'][1 + (hash(i + 4) % 6)::INT] AS to_station,
	       round((0.3 + (hash(i + 5) % 12000) / 1000.0), 3)::DOUBLE AS distance_km,
	       ((150 + hash(i + 6) % 2850) / 100.0)::DECIMAL(8,2) AS fare,
	       CASE hash(i + 7) % 10 WHEN 0 THEN 'card' WHEN 1 THEN 'cash' WHEN 2 THEN NULL ELSE 'app' END AS payment,
	       hash(i + 8) % 4 = 0 AS member,
	       CASE WHEN hash(i + 9) % 5 = 0 THEN (1 + hash(i + 10) % 5)::TINYINT END AS rating,
	       CASE hash(i + 11) % 40 WHEN 0 THEN '车铃坏了' WHEN 1 THEN 'said "fine", paid' WHEN 2 THEN '' END AS note
	FROM range(1, 200001) t(i)
) TO 'trips.parquet' (FORMAT parquet, COMPRESSION snappy);

COPY (
	SELECT i AS order_id,
	       DATE '2024-01-01' + (i // 137)::INT AS ordered_on,
	       ['North', 'East', 'South', 'West', 'Central'][1 + (hash(i) % 5)::INT] AS region,
	       (SELECT list(name ORDER BY city_id) FROM city)[1 + (hash(i + 1) % 12)::INT] AS city,
	       ['茶叶', '自行车', 'Laptop', '图书', 'Coffee'][1 + (hash(i + 2) % 5)::INT] AS product,
	       (1 + hash(i + 3) % 9)::INTEGER AS quantity,
	       ((500 + hash(i + 4) % 99500) / 100.0)::DECIMAL(12,2) AS amount,
	       hash(i + 5) % 20 = 0 AS returned
	FROM range(1, 100001) t(i)
) TO 'orders.parquet' (FORMAT parquet, COMPRESSION snappy);

COPY (
	SELECT i AS id,
	       TIMESTAMP '2025-06-01' + to_seconds((i * 53)::BIGINT) AS at,
	       ['unlock', 'lock', 'repair', 'move'][1 + (hash(i) % 4)::INT] AS kind,
	       {'id': (hash(i + 1) % 3000)::INT, 'model': ['S1', 'S2', 'E1'][1 + (hash(i + 2) % 3)::INT]} AS bike,
	       [round(22.5 + (hash(i + 3) % 23000) / 1000.0, 4), round(102.8 + (hash(i + 4) % 23000) / 1000.0, 4)] AS position,
	       CASE WHEN hash(i + 5) % 3 = 0 THEN ['夜间', 'vip'] WHEN hash(i + 5) % 3 = 1 THEN [] END AS tags
	FROM range(1, 5001) t(i)
) TO 'events.json' (FORMAT json);
