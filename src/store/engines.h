/* For tests: a new, empty store of the engine that the test runs on, SQLite's or, when a MariaDB is
 * there (tests/servers/mariadb.sh run), its. */
#ifndef NX_STORE_ENGINES_H
#define NX_STORE_ENGINES_H

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/store_int.h"
#include "test.h"

static inline bool on_server(void)
{
	return getenv("NX_MARIADB_PORT") != NULL;
}

static inline struct nx_store_config server_config(const char *database)
{
	static _Thread_local char url[300]; /* until the next call */
	NX_CHECK(snprintf(url, sizeof(url), "mysql://%s@127.0.0.1:%s/%s", getenv("NX_MARIADB_USER"),
			  getenv("NX_MARIADB_PORT"), database) < (int)sizeof(url));
	return (struct nx_store_config){ .url = url,
					 .password = getenv("NX_MARIADB_PASSWORD"),
					 .timeout_ms = 5000 };
}

static inline void must_exec(struct nx_store *s, const char *sql)
{
	struct nx_error err;
	if (s->ops->exec(s, sql, &err))
		nx_test_fail(__FILE__, __LINE__, "%s: %s | %s", sql, err.message, err.detail);
}

static inline struct nx_store *open_server(int schema)
{
	struct nx_store_config c = server_config("nxs");
	struct nx_store *s = NULL;
	struct nx_error err;
	if (nx_mysql_open(&c, schema, &s, &err))
		nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	return s;
}

static inline void fresh_database(void)
{
	struct nx_store_config c = server_config("nx");
	struct nx_store *s = NULL;
	struct nx_error err;
	if (nx_mysql_open(&c, 0, &s, &err))
		nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	must_exec(s, "DROP DATABASE IF EXISTS nxs");
	/* on purpose not what we want: the tables must not depend on it */
	must_exec(s, "CREATE DATABASE nxs CHARACTER SET latin1");
	nx_store_close(s);
}

#endif
