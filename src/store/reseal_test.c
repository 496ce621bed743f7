#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "store/store_int.h"
#include "store/vault.h"
#include "test.h"

static const uint8_t old_key[32] = "old key old key old key old key", new_key[32] = "new key";
static struct nx_vault *from, *to;
static struct nx_arena *arena;
static char dir[150], path[170];

enum { SOURCES = 20 };

static struct nx_store *must_open(void)
{
	struct nx_store *s = NULL;
	struct nx_error err;
	if (nx_store_open(path, &s, &err))
		nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	return s;
}

static void put(struct nx_store *s, int i, uint32_t version, const char *secret)
{
	char id[8], name[8];
	(void)snprintf(id, sizeof(id), "id%02d", i);
	(void)snprintf(name, sizeof(name), "n%02d", i);
	struct nx_str sealed;
	NX_EQ_I(NX_OK, nx_vault_seal(from, nx_str(id), nx_str(secret), arena, &sealed, NULL));
	struct nx_store_source row = { .id = nx_str(id),
				       .name = nx_str(name),
				       .type = NX_STR("t"),
				       .status = NX_STR("draft"),
				       .config = NX_STR("{}"),
				       .secrets = sealed,
				       .created_at = NX_STR("x"),
				       .updated_at = NX_STR("x"),
				       .version = version };
	NX_EQ_I(NX_OK, nx_store_source_put(s, &row, NULL));
}

/* Twenty sources with two versions each; every fifth has no secret. */
static struct nx_store *set_up(void)
{
	const char *base = getenv("TMPDIR");
	arena = nx_arena_new(0);
	NX_EQ_I(NX_OK, nx_vault_new(old_key, &from, NULL));
	NX_EQ_I(NX_OK, nx_vault_new(new_key, &to, NULL));
	(void)snprintf(dir, sizeof(dir), "%s/nx-XXXXXX", base ? base : P_tmpdir);
	NX_CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/store.db", dir);
	struct nx_store *s = must_open();
	for (int i = 0; i < SOURCES; i++) {
		put(s, i, 1, i % 5 ? "first secret" : "");
		put(s, i, 2, i % 5 ? "secret" : "");
	}
	return s;
}

static void tear_down(struct nx_store *s)
{
	char command[200];
	nx_store_close(s);
	nx_vault_free(from);
	nx_vault_free(to);
	nx_arena_free(arena);
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	NX_EQ_I(0, system(command));
}

struct count {
	const struct nx_vault *v;
	int opened;
	struct nx_str id[SOURCES];
	int n;
};

static enum nx_code look(const struct nx_store_source *row, void *arg, struct nx_error *err)
{
	struct count *c = arg;
	struct nx_str plain;
	if (c->n < SOURCES)
		c->id[c->n++] = nx_arena_str(arena, row->id);
	if (row->secrets.len && !nx_vault_open(c->v, row->id, row->secrets, arena, &plain, err)) {
		NX_CHECK(nx_str_ends(plain, NX_STR("secret")));
		c->opened++;
	}
	return NX_OK;
}

/* How many texts this key opens. */
static int opened_by(struct nx_store *s, const struct nx_vault *v)
{
	struct count c = { .v = v };
	NX_EQ_I(NX_OK, nx_store_sources(s, look, &c, NULL));
	int n = c.n;
	for (int i = 0; i < n; i++)
		NX_EQ_I(NX_OK, nx_store_source_versions(s, c.id[i], look, &c, NULL));
	return c.opened;
}

NX_TEST(everything_changes_its_key)
{
	struct nx_store *s = set_up();
	uint32_t n = 0;
	struct nx_error err;
	NX_EQ_I(32, opened_by(s, from));
	if (nx_store_reseal(s, from, to, &n, &err))
		nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	NX_EQ_I(32, n);
	NX_EQ_I(32, opened_by(s, to));
	NX_EQ_I(0, opened_by(s, from));
	/* a second time with the same old key is told, not done */
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, nx_store_reseal(s, from, to, &n, &err));
	NX_CHECK(strstr(err.message, "CV-004") && strstr(err.message, "id01"));
	tear_down(s);
}

NX_TEST(one_that_cannot_be_opened_stops_all)
{
	struct nx_store *s = set_up();
	struct nx_error err;
	uint32_t n = 77;
	NX_EQ_I(SQLITE_OK, sqlite3_exec(nx_sqlite_db(s),
					"UPDATE sources SET secrets = x'010203' WHERE id = 'id19'",
					NULL, NULL, NULL));
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, nx_store_reseal(s, from, to, &n, &err));
	NX_EQ_I(77, n);
	NX_EQ_I(31, opened_by(s, from));
	NX_EQ_I(0, opened_by(s, to));
	tear_down(s);
}

static int updates;

static void die_in_the_middle(void *arg, int op, char const *db, char const *table,
			      sqlite3_int64 rowid)
{
	(void)op;
	(void)db;
	(void)table;
	(void)rowid;
	if (++updates == *(int *)arg)
		_exit(9);
}

/* The process dies after the nth text; the last time, between the last text and the commit. */
NX_TEST(a_crash_in_the_middle_changes_nothing)
{
	struct nx_store *s = set_up();
	for (int n = 1; n <= 32; n += n < 30 ? 7 : 1) {
		nx_store_close(s);
		pid_t pid = fork();
		if (pid == 0) {
			uint32_t done;
			s = must_open();
			(void)sqlite3_update_hook(nx_sqlite_db(s), die_in_the_middle, &n);
			_exit(nx_store_reseal(s, from, to, &done, NULL) == NX_OK ? 0 : 1);
		}
		int status;
		NX_EQ_I(pid, waitpid(pid, &status, 0));
		NX_EQ_I(9, WEXITSTATUS(status));
		s = must_open();
		NX_EQ_I(32, opened_by(s, from));
		NX_EQ_I(0, opened_by(s, to));
	}
	uint32_t done;
	NX_EQ_I(NX_OK, nx_store_reseal(s, from, to, &done, NULL));
	NX_EQ_I(32, opened_by(s, to));
	tear_down(s);
}
