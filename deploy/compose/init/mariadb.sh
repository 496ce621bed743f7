#!/bin/bash
# Sample rows and an account that can only read.
set -eu
mariadb -uroot -p"$MARIADB_ROOT_PASSWORD" <<SQL
CREATE DATABASE shop CHARACTER SET utf8mb4;
CREATE TABLE shop.products (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, price DECIMAL(10, 2));
INSERT INTO shop.products SELECT seq, CONCAT('product ', seq), seq * 0.99 FROM seq_1_to_200;
CREATE USER nexus@'%' IDENTIFIED BY '$SHOP_PASSWORD';
GRANT SELECT, SHOW VIEW ON shop.* TO nexus@'%';
SQL
