#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "store/engines.h"

/* ---- helpers ---- */

static char dir[128];

/* A path in a new scratch folder. */
static const char *scratch(void)
{
	static char path[160];
	const char *base = getenv("TMPDIR");
	if (on_server())
		NX_SKIP("about SQLite's file");
	NX_CHECK(snprintf(dir, sizeof(dir), "%s/nx-XXXXXX", base ? base : P_tmpdir) <
		 (int)sizeof(dir));
	NX_CHECK(mkdtemp(dir) != NULL);
	NX_CHECK(snprintf(path, sizeof(path), "%s/store.db", dir) > 0);
	return path;
}

static void sweep(void)
{
	char command[160];
	NX_CHECK(snprintf(command, sizeof(command), "rm -r %s", dir) > 0);
	NX_EQ_I(0, system(command));
}

static struct nx_store *must_open(const char *path)
{
	struct nx_store *s = NULL;
	struct nx_error err;
	if (on_server() && strcmp(path, ":memory:") == 0) {
		fresh_database();
		return open_server(INT_MAX);
	}
	if (nx_store_open(path, &s, &err))
		nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	return s;
}

static struct nx_store_source source(const char *id, const char *name, uint32_t version)
{
	return (struct nx_store_source){ .id = nx_str(id),
					 .name = nx_str(name),
					 .type = NX_STR("t"),
					 .description = NX_STR(""),
					 .status = NX_STR("draft"),
					 .config = NX_STR("{}"),
					 .secrets = NX_STR("\0\1\2"),
					 .created_at = NX_STR("2026-01-01T00:00:00.000Z"),
					 .updated_at = NX_STR("2026-01-02T00:00:00.000Z"),
					 .version = version };
}

struct tally {
	int rows;
	uint32_t version;
	char name[64], config[64];
	size_t secrets;
	enum nx_code stop;
};

static enum nx_code count(const struct nx_store_source *row, void *arg, struct nx_error *err)
{
	struct tally *t = arg;
	t->rows++;
	t->version = row->version;
	t->secrets = row->secrets.len;
	(void)snprintf(t->name, sizeof(t->name), NX_STR_FMT, NX_STR_ARG(row->name));
	(void)snprintf(t->config, sizeof(t->config), NX_STR_FMT, NX_STR_ARG(row->config));
	return t->stop ? nx_fail(err, t->stop, "stop") : NX_OK;
}

static int sources(struct nx_store *s)
{
	struct tally t = { 0 };
	struct nx_error err;
	NX_EQ_I(NX_OK, nx_store_sources(s, count, &t, &err));
	return t.rows;
}

static void mode_is_private(const char *path, const char *suffix)
{
	char name[200];
	struct stat st;
	NX_CHECK(snprintf(name, sizeof(name), "%s%s", path, suffix) > 0);
	if (stat(name, &st) != 0 || (st.st_mode & 0777) != 0600)
		nx_test_fail(__FILE__, __LINE__, "%s is not 0600", name);
}

/* ---- rows ---- */

NX_TEST(sources_and_their_versions)
{
	struct nx_store *s = must_open(":memory:");
	struct nx_error err;
	struct nx_store_source a = source("a", "A", 1), b = source("b", "B", 1);
	NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	NX_EQ_I(NX_E_SOURCE_CHANGED, nx_store_source_put(s, &a, &err)); /* version 1 is there */
	NX_EQ_I(NX_OK, nx_store_source_put(s, &b, &err));
	b.name = NX_STR("A");
	b.version = 2;
	NX_EQ_I(NX_E_SOURCE_EXISTS, nx_store_source_put(s, &b, &err));
	struct nx_store_source c = source("c", "A", 1);
	NX_EQ_I(NX_E_SOURCE_EXISTS, nx_store_source_put(s, &c, &err));
	c.name = NX_STR("C");
	c.version = 2;
	NX_EQ_I(NX_E_SOURCE_NOT_FOUND, nx_store_source_put(s, &c, &err));
	a.version = 3;
	NX_EQ_I(NX_E_SOURCE_CHANGED, nx_store_source_put(s, &a, &err));
	NX_EQ_I(2, sources(s));

	struct tally t = { 0 };
	NX_EQ_I(NX_OK, nx_store_source_versions(s, NX_STR("a"), count, &t, &err));
	NX_EQ_I(0, t.rows); /* the failed puts kept nothing */
	for (uint32_t v = 2; v <= 60; v++) {
		char config[32];
		NX_CHECK(snprintf(config, sizeof(config), "{\"v\":%u}", v) > 0);
		a.version = v;
		a.config = nx_str(config);
		NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	}
	NX_EQ_I(NX_OK, nx_store_source_versions(s, NX_STR("a"), count, &t, &err));
	NX_EQ_I(50, t.rows);
	NX_EQ_I(10, t.version); /* the oldest kept; 60 is current */
	NX_EQ_S("{\"v\":10}", t.config);
	NX_EQ_I(3, t.secrets);

	NX_EQ_I(NX_OK, nx_store_source_status(s, NX_STR("a"), NX_STR("active"), &err));
	NX_EQ_I(NX_E_SOURCE_NOT_FOUND,
		nx_store_source_status(s, NX_STR("x"), NX_STR("active"), &err));
	NX_EQ_I(NX_OK, nx_store_source_delete(s, NX_STR("a"), &err));
	NX_EQ_I(NX_E_SOURCE_NOT_FOUND, nx_store_source_delete(s, NX_STR("a"), &err));
	t.rows = 0;
	NX_EQ_I(NX_OK, nx_store_source_versions(s, NX_STR("a"), count, &t, &err));
	NX_EQ_I(0, t.rows); /* no secret outlives its source */
	NX_EQ_I(1, sources(s));
	nx_store_close(s);
}

NX_TEST(a_callback_can_stop_and_the_store_goes_on)
{
	struct nx_store *s = must_open(":memory:");
	struct nx_error err;
	struct nx_store_source a = source("a", "A", 1), b = source("b", "B", 1);
	NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	NX_EQ_I(NX_OK, nx_store_source_put(s, &b, &err));
	struct tally t = { .stop = NX_E_MEMORY };
	NX_EQ_I(NX_E_MEMORY, nx_store_sources(s, count, &t, &err));
	NX_EQ_I(1, t.rows);
	NX_EQ_S("stop", err.message);
	NX_EQ_I(2, sources(s));
	NX_EQ_I(NX_OK, nx_store_source_delete(s, NX_STR("a"), &err));
	nx_store_close(s);
}

NX_TEST(settings_hold_bytes)
{
	struct nx_store *s = must_open(":memory:");
	struct nx_arena *a = nx_arena_new(0);
	struct nx_error err;
	struct nx_str v = { 0 };
	NX_EQ_I(NX_E_NOT_FOUND, nx_store_setting_get(s, "x", a, &v, &err));
	NX_CHECK(v.ptr == NULL);
	NX_EQ_I(NX_OK, nx_store_setting_put(s, "x", NX_STR("a\0b"), &err));
	NX_EQ_I(NX_OK, nx_store_setting_get(s, "x", a, &v, &err));
	NX_EQ_STR(NX_STR("a\0b"), v);
	NX_EQ_I(NX_OK, nx_store_setting_put(s, "x", NX_STR(""), &err));
	NX_EQ_I(NX_OK, nx_store_setting_get(s, "x", a, &v, &err));
	NX_EQ_I(0, v.len);
	nx_arena_free(a);
	nx_store_close(s);
}

static enum nx_code last_key(const struct nx_store_key *k, void *arg, struct nx_error *err)
{
	(void)err;
	struct tally *t = arg;
	t->rows++;
	NX_EQ_I(7, k->hash[31]);
	(void)snprintf(t->name, sizeof(t->name), NX_STR_FMT "/" NX_STR_FMT, NX_STR_ARG(k->prefix),
		       NX_STR_ARG(k->expires_at));
	return NX_OK;
}

NX_TEST(keys)
{
	struct nx_store *s = must_open(":memory:");
	struct nx_error err;
	struct nx_store_key k = { .id = NX_STR("1"),
				  .name = NX_STR("n"),
				  .prefix = NX_STR("p"),
				  .role = NX_STR("r"),
				  .created_at = NX_STR("t") };
	k.hash[31] = 7;
	NX_EQ_I(NX_OK, nx_store_key_put(s, &k, &err));
	k.id = NX_STR("2");
	NX_EQ_I(NX_E_CONFLICT, nx_store_key_put(s, &k, &err)); /* same prefix */
	k.prefix = NX_STR("q");
	k.created_at = NX_STR("u");
	k.expires_at = NX_STR("never");
	NX_EQ_I(NX_OK, nx_store_key_put(s, &k, &err));
	struct tally t = { 0 };
	NX_EQ_I(NX_OK, nx_store_keys(s, last_key, &t, &err));
	NX_EQ_I(2, t.rows);
	NX_EQ_S("q/never", t.name);
	NX_EQ_I(NX_OK, nx_store_key_delete(s, NX_STR("2"), &err));
	NX_EQ_I(NX_E_NOT_FOUND, nx_store_key_delete(s, NX_STR("2"), &err));
	nx_store_close(s);
}

static uint64_t prints[64];
static int nprints;

static enum nx_code print(const struct nx_store_history *row, void *arg, struct nx_error *err)
{
	(void)arg, (void)err;
	NX_CHECK(nprints < 64);
	prints[nprints++] = row->fingerprint;
	NX_EQ_I(UINT64_MAX - row->fingerprint, row->rows);
	return NX_OK;
}

static bool by_ann(const struct nx_store_history *row, void *arg)
{
	(void)arg;
	return nx_str_is(row->principal, "ann");
}

static enum nx_code add_history(struct nx_store *s, const char *who, uint64_t first, uint32_t n,
				uint64_t keep, struct nx_error *err)
{
	struct nx_store_history rows[100];
	NX_CHECK(n <= 100);
	for (uint32_t i = 0; i < n; i++)
		rows[i] = (struct nx_store_history){ .query_id = NX_STR("q"),
						     .correlation_id = NX_STR("c"),
						     .principal = nx_str(who),
						     .source_id = NX_STR("s"),
						     .source_type = NX_STR("t"),
						     .status = NX_STR("success"),
						     .code = NX_STR(""),
						     .started_at = NX_STR("now"),
						     .fingerprint = first + i,
						     .rows = UINT64_MAX - first - i,
						     .bytes = 1,
						     .elapsed_us = 2 };
	return nx_store_history_add(s, rows, n, keep, err);
}

NX_TEST(history_is_newest_first_and_bounded)
{
	struct nx_store *s = must_open(":memory:");
	struct nx_error err;
	NX_EQ_I(NX_OK, add_history(s, "ann", 0, 0, 10, &err)); /* none */
	NX_EQ_I(NX_OK, add_history(s, "ann", UINT64_MAX - 9, 10, 30, &err));
	NX_EQ_I(NX_OK, add_history(s, "bob", 100, 10, 30, &err));
	NX_EQ_I(NX_OK, nx_store_history_list(s, NULL, 0, 3, print, NULL, &err));
	NX_EQ_I(3, nprints);
	NX_EQ_I(109, prints[0]);
	NX_EQ_I(107, prints[2]);
	nprints = 0;
	NX_EQ_I(NX_OK, nx_store_history_list(s, by_ann, 1, 50, print, NULL, &err));
	NX_EQ_I(9, nprints);
	NX_CHECK(prints[0] == UINT64_MAX - 1);
	for (uint64_t i = 0; i < 20; i++)
		NX_EQ_I(NX_OK, add_history(s, "eve", 1000 + i * 100, 100, 30, &err));
	nprints = 0;
	NX_EQ_I(NX_OK, nx_store_history_list(s, NULL, 0, 60, print, NULL, &err));
	NX_EQ_I(30, nprints);
	nprints = 0;
	NX_EQ_I(NX_OK, nx_store_history_list(s, by_ann, 0, 60, print, NULL, &err));
	NX_EQ_I(0, nprints);
	nx_store_close(s);
}

/* ---- the file ---- */

NX_TEST(files_are_private_and_survive_a_restart)
{
	const char *path = scratch();
	struct nx_error err;
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644); /* left open to all */
	NX_CHECK(fd >= 0 && fchmod(fd, 0644) == 0);
	close(fd);
	struct nx_store *s = must_open(path);
	struct nx_store_source a = source("a", "A", 1);
	NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	mode_is_private(path, "");
	mode_is_private(path, "-wal");
	mode_is_private(path, "-shm");
	mode_is_private(path, ".lock");
	nx_store_close(s);
	for (int i = 0; i < 3; i++) { /* migrations run once */
		s = must_open(path);
		NX_EQ_I(1, sources(s));
		nx_store_close(s);
	}
	sweep();
}

NX_TEST(a_second_instance_is_told_who_has_it)
{
	const char *path = scratch();
	struct nx_error err;
	struct nx_store *s = must_open(path), *other = NULL;
	char pid[16];
	pid_t child = fork();
	if (child == 0) {
		enum nx_code c = nx_store_open(path, &other, &err);
		NX_CHECK(snprintf(pid, sizeof(pid), "pid %d", (int)getppid()) > 0);
		_exit(c == NX_E_STORE_LOCKED && strstr(err.message, pid) ? 0 : 1);
	}
	int status;
	NX_CHECK(waitpid(child, &status, 0) == child);
	NX_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	NX_EQ_I(NX_E_STORE_LOCKED, nx_store_open(path, &other, &err)); /* also in this process */
	NX_CHECK(other == NULL);
	nx_store_close(s);
	nx_store_close(must_open(path));
	sweep();
}

/* A process that is killed loses nothing that it was told is stored, and frees the lock. */
NX_TEST(kill_9_loses_nothing)
{
	const char *path = scratch();
	int total = 0;
	for (int round = 0; round < 5; round++) {
		int fds[2];
		NX_CHECK(pipe(fds) == 0);
		pid_t child = fork();
		if (child == 0) {
			struct nx_store *s = must_open(path);
			for (int i = 0;; i++) {
				char id[32];
				struct nx_error err;
				(void)snprintf(id, sizeof(id), "%d-%d", round, i);
				struct nx_store_source a = source(id, id, 1);
				if (nx_store_source_put(s, &a, &err) || write(fds[1], "x", 1) != 1)
					_exit(1);
			}
		}
		close(fds[1]);
		char byte;
		int told = 0, want = 5 + round * 7;
		while (told < want && read(fds[0], &byte, 1) == 1)
			told++;
		NX_CHECK(kill(child, SIGKILL) == 0);
		NX_CHECK(waitpid(child, NULL, 0) == child);
		while (read(fds[0], &byte, 1) == 1)
			told++;
		close(fds[0]);
		NX_CHECK(told >= want);
		struct nx_store *s = must_open(path);
		int have = sources(s);
		/* one more may have been committed and not yet told */
		if (have < total + told || have > total + told + 1)
			nx_test_fail(__FILE__, __LINE__, "%d rows, told %d", have, total + told);
		total = have;
		nx_store_close(s);
	}
	sweep();
}

/* Fills until refused; then everything that was stored is there, and with room it goes on. */
static void fill(struct nx_store *s, const char *what)
{
	struct nx_error err;
	int stored = sources(s);
	char big[8192];
	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 5000; i++) {
		char id[32];
		NX_CHECK(snprintf(id, sizeof(id), "%s-%d", what, i) > 0);
		struct nx_store_source a = source(id, id, 1);
		a.config = nx_strn(big, sizeof(big));
		enum nx_code c = nx_store_source_put(s, &a, &err);
		if (!c) {
			stored++;
			continue;
		}
		if (c != NX_E_STORE_FULL)
			nx_test_fail(__FILE__, __LINE__, "%s: %s %s | %s", what, nx_code_name(c),
				     err.message, err.detail);
		NX_EQ_I(stored, sources(s));
		printf("# %s: full after %d rows: %s\n", what, stored, err.detail);
		return;
	}
	nx_test_fail(__FILE__, __LINE__, "%s: never full", what);
}

static void goes_on(struct nx_store *s, const char *id)
{
	struct nx_error err;
	struct nx_store_source a = source(id, id, 1);
	int before = sources(s);
	if (nx_store_source_put(s, &a, &err))
		nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	NX_EQ_I(before + 1, sources(s));
}

NX_TEST(full_by_page_limit)
{
	const char *path = scratch();
	struct nx_store *s = must_open(path);
	NX_EQ_I(SQLITE_OK,
		sqlite3_exec(nx_sqlite_db(s), "PRAGMA max_page_count = 100", NULL, NULL, NULL));
	fill(s, "pages");
	NX_EQ_I(SQLITE_OK,
		sqlite3_exec(nx_sqlite_db(s), "PRAGMA max_page_count = 100000", NULL, NULL, NULL));
	goes_on(s, "after");
	nx_store_close(s);
	sweep();
}

NX_TEST(full_by_file_size_limit)
{
	const char *path = scratch();
	struct rlimit was, tight;
	struct nx_store *s = must_open(path);
	NX_CHECK(getrlimit(RLIMIT_FSIZE, &was) == 0);
	tight = (struct rlimit){ 512 * 1024, was.rlim_max };
	NX_CHECK(setrlimit(RLIMIT_FSIZE, &tight) == 0);
	fill(s, "fsize");
	NX_CHECK(setrlimit(RLIMIT_FSIZE, &was) == 0);
	goes_on(s, "after");
	int have = sources(s);
	nx_store_close(s);
	s = must_open(path);
	NX_EQ_I(have, sources(s));
	nx_store_close(s);
	sweep();
}

NX_TEST(full_disk)
{
	const char *path = scratch();
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=1m") != 0) {
		sweep();
		NX_SKIP("a small tmpfs cannot be mounted here; the two tests before stand in");
	}
	struct nx_store *s = must_open(path);
	fill(s, "tmpfs");
	/* the next start, still full, works and shows all; deleting makes room */
	int have = sources(s);
	nx_store_close(s);
	s = must_open(path);
	NX_EQ_I(have, sources(s));
	nx_store_close(s);
	NX_CHECK(umount(dir) == 0);
	sweep();
}

static void put_file(const char *path, const char *text, size_t at)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	NX_CHECK(fd >= 0 && pwrite(fd, text, strlen(text), (off_t)at) == (ssize_t)strlen(text));
	close(fd);
}

NX_TEST(what_is_not_a_store_is_refused)
{
	const char *path = scratch();
	char text[2000], sub[200];
	struct nx_store *s = NULL;
	struct nx_error err;
	memset(text, 'z', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	put_file(path, text, 0);
	NX_EQ_I(NX_E_STORE_FAILED, nx_store_open(path, &s, &err));
	NX_CHECK(strstr(err.message, "damaged"));
	NX_CHECK(snprintf(sub, sizeof(sub), "%s/folder", dir) > 0 && mkdir(sub, 0700) == 0);
	NX_EQ_I(NX_E_STORE_FAILED, nx_store_open(sub, &s, &err));
	NX_CHECK(snprintf(sub, sizeof(sub), "%s/none/store.db", dir) > 0);
	NX_EQ_I(NX_E_STORE_FAILED, nx_store_open(sub, &s, &err));
	NX_EQ_I(NX_E_CONFIG, nx_store_open("", &s, &err));
	NX_CHECK(s == NULL);
	sweep();
}

NX_TEST(damage_inside_is_an_error_not_a_crash)
{
	const char *path = scratch();
	struct nx_store *s = must_open(path);
	struct nx_error err;
	char big[3000];
	memset(big, 'c', sizeof(big));
	for (int i = 0; i < 50; i++) {
		char id[32];
		NX_CHECK(snprintf(id, sizeof(id), "%d", i) > 0);
		struct nx_store_source a = source(id, id, 1);
		a.config = nx_strn(big, sizeof(big));
		NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	}
	nx_store_close(s);
	struct stat st;
	NX_CHECK(stat(path, &st) == 0);
	memset(big, '\xee', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (off_t at = 8192; at + 4096 <= st.st_size; at += 4096)
		put_file(path, big, (size_t)at);
	enum nx_code c = nx_store_open(path, &s, &err);
	if (c == NX_OK) {
		struct tally t = { 0 };
		c = nx_store_sources(s, count, &t, &err);
		nx_store_close(s);
	}
	NX_EQ_I(NX_E_STORE_FAILED, c);
	NX_CHECK(strstr(err.message, "damaged"));
	sweep();
}

NX_TEST(a_newer_schema_is_not_touched)
{
	const char *path = scratch();
	struct nx_store *s = must_open(path);
	struct nx_error err;
	NX_EQ_I(SQLITE_OK, sqlite3_exec(nx_sqlite_db(s),
					"INSERT INTO schema_migrations VALUES (999, 'x', 'y')",
					NULL, NULL, NULL));
	nx_store_close(s);
	NX_EQ_I(NX_E_STORE_FAILED, nx_store_open(path, &s, &err));
	NX_CHECK(strstr(err.message, "999"));
	sweep();
}

NX_TEST(another_program_in_the_database)
{
	const char *path = scratch();
	struct nx_store *s = must_open(path);
	struct nx_error err;
	sqlite3 *db;
	NX_EQ_I(SQLITE_OK, sqlite3_open(path, &db));
	NX_EQ_I(SQLITE_OK, sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
	sqlite3_busy_timeout(nx_sqlite_db(s), 50);
	struct nx_store_source a = source("a", "A", 1);
	NX_EQ_I(NX_E_STORE_LOCKED, nx_store_source_put(s, &a, &err));
	NX_EQ_I(0, sources(s)); /* reading goes on */
	NX_EQ_I(SQLITE_OK, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
	NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	NX_EQ_I(SQLITE_OK, sqlite3_close(db));
	nx_store_close(s);
	sweep();
}

/* ---- threads ---- */

static void *worker(void *arg)
{
	void **both = arg;
	struct nx_arena *a = nx_arena_new(0);
	for (int i = 0; i < 100; i++) {
		char id[32];
		struct nx_error err;
		struct nx_str v;
		NX_CHECK(snprintf(id, sizeof(id), "%p-%d", both[1], i) > 0);
		struct nx_store_source s = source(id, id, 1);
		NX_CHECK(nx_store_source_put(both[0], &s, &err) == NX_OK);
		NX_CHECK(nx_store_setting_put(both[0], id, nx_str(id), &err) == NX_OK);
		NX_CHECK(nx_store_setting_get(both[0], id, a, &v, &err) == NX_OK &&
			 nx_str_is(v, id));
		NX_CHECK(add_history(both[0], id, 1, 5, 100, &err) == NX_OK);
	}
	nx_arena_free(a);
	return NULL;
}

NX_TEST(threads_share_a_store)
{
	struct nx_store *s = must_open(":memory:");
	pthread_t t[4];
	void *args[4][2];
	for (int i = 0; i < 4; i++) {
		args[i][0] = s;
		args[i][1] = &t[i];
		NX_CHECK(pthread_create(&t[i], NULL, worker, args[i]) == 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	NX_EQ_I(400, sources(s));
	nx_store_close(s);
}

/* ---- the schema ---- */

enum { NEWEST = 5 };

static struct nx_store *open_at(const char *path, int schema)
{
	struct nx_store *s = NULL;
	struct nx_error err;
	if (on_server())
		return open_server(schema);
	if (nx_sqlite_open(path, schema, &s, &err))
		nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	return s;
}

static int64_t number(struct nx_store *s, const char *sql)
{
	int64_t n = -1;
	struct nx_error err;
	if (s->ops->number(s, sql, &n, &err))
		nx_test_fail(__FILE__, __LINE__, "%s: %s", sql, err.detail);
	return n;
}

static const char *new_place(void)
{
	if (!on_server())
		return scratch();
	fresh_database();
	return NULL;
}

/* What a gateway of that version wrote is there after the update, and works. */
NX_TEST(from_every_earlier_version)
{
	for (int v = 0; v <= NEWEST; v++) {
		const char *path = new_place();
		struct nx_store *s = open_at(path, v);
		if (v >= 1) {
			must_exec(
				s,
				"INSERT INTO sources (id, name, type, description, status, config,"
				" secrets, created_at, updated_at, version)"
				" VALUES ('a', 'A', 't', '', 'draft', '{}', '', 'x', 'y', 1)");
			must_exec(s,
				  "INSERT INTO api_keys (id, name, prefix, role, hash, created_at,"
				  " expires_at) VALUES ('k', 'n', 'p', 'r',"
				  " '0123456789012345678901234567890\a', 't', '')");
			must_exec(s, "INSERT INTO settings (name, value) VALUES ('s', 'v')");
		}
		if (v >= 2)
			must_exec(s, "INSERT INTO grants (source_id, list) VALUES ('a', '[]')");
		nx_store_close(s);
		s = open_at(path, INT_MAX);
		NX_EQ_I(NEWEST, number(s, "SELECT max(version) FROM schema_migrations"));
		NX_EQ_I(NEWEST, number(s, "SELECT count(*) FROM schema_migrations"));
		struct nx_error err;
		struct nx_store_source a = source("a", "A", v ? 2 : 1);
		NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
		struct tally t = { 0 };
		NX_EQ_I(NX_OK, nx_store_keys(s, last_key, &t, &err));
		NX_EQ_I(v ? 1 : 0, t.rows);
		NX_EQ_I(NX_OK, nx_store_grants_put(s, NX_STR("a"), NX_STR("[1]"), &err));
		NX_EQ_I(1, number(s, "SELECT count(*) FROM grants"));
		NX_EQ_I(NX_OK, add_history(s, "ann", 1, 5, 100, &err));
		nx_store_close(s);
		if (path)
			sweep();
	}
}

NX_TEST(an_update_that_was_cut_short_goes_on)
{
	if (!on_server())
		NX_SKIP("a step is one transaction in SQLite");
	fresh_database();
	for (int v = 0; v < NEWEST; v++) {
		struct nx_store *s = open_server(v);
		/* the first statement of the next step was done, and no more */
		static const char *const first[] = {
			"CREATE TABLE sources (id VARCHAR(64) NOT NULL PRIMARY KEY, name "
			"VARCHAR(255) NOT "
			"NULL UNIQUE, type VARCHAR(64) NOT NULL, description MEDIUMTEXT NOT NULL, "
			"status "
			"VARCHAR(64) NOT NULL, config MEDIUMTEXT NOT NULL, secrets LONGBLOB NOT "
			"NULL, "
			"created_at VARCHAR(32) NOT NULL, updated_at VARCHAR(32) NOT NULL, version "
			"BIGINT NOT "
			"NULL)",
			"CREATE TABLE grants (source_id VARCHAR(64) NOT NULL PRIMARY KEY, list "
			"MEDIUMTEXT "
			"NOT NULL)",
			"ALTER TABLE api_keys ADD COLUMN limits MEDIUMTEXT NOT NULL DEFAULT ('')",
			"ALTER TABLE sources ADD COLUMN changed_by VARCHAR(255) NOT NULL DEFAULT "
			"('')",
			"CREATE TABLE changes (topic VARCHAR(64) NOT NULL PRIMARY KEY, n BIGINT "
			"NOT NULL)",
		};
		must_exec(s, first[v]);
		nx_store_close(s);
		s = open_server(v + 1);
		NX_EQ_I(v + 1, number(s, "SELECT count(*) FROM schema_migrations"));
		nx_store_close(s);
	}
	struct nx_store *s = open_server(INT_MAX);
	struct nx_error err;
	struct nx_store_source a = source("a", "A", 1);
	NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	NX_EQ_I(2, number(s, "SELECT count(*) FROM changes"));
	nx_store_close(s);
}

NX_TEST(each_change_that_others_must_see_is_counted)
{
	struct nx_store *s = must_open(":memory:");
	struct nx_error err;
	struct nx_store_source a = source("a", "A", 1);
	struct nx_store_key k = { .id = NX_STR("1"), .name = NX_STR("n"), .prefix = NX_STR("p") };
	struct nx_store_key_use use = { NX_STR("1"), "2026-01-01T00:00:00.000Z" };
	uint64_t n = 0, now = 0;
	NX_EQ_I(NX_OK, nx_store_changes(s, &n, &err));
#define COUNTED(more, call)                                      \
	do {                                                     \
		(void)!(call);                                   \
		NX_EQ_I(NX_OK, nx_store_changes(s, &now, &err)); \
		NX_EQ_I(more, now - n);                          \
		n = now;                                         \
	} while (0)
	COUNTED(1, nx_store_source_put(s, &a, &err));
	COUNTED(0, nx_store_source_put(s, &a, &err)); /* refused */
	COUNTED(1, nx_store_source_status(s, NX_STR("a"), NX_STR("active"), &err));
	COUNTED(1, nx_store_source_status(s, NX_STR("a"), NX_STR("active"), &err)); /* as it was */
	COUNTED(0, nx_store_source_status(s, NX_STR("x"), NX_STR("active"), &err));
	COUNTED(1, nx_store_grants_put(s, NX_STR("a"), NX_STR("[]"), &err));
	COUNTED(1, nx_store_key_put(s, &k, &err));
	COUNTED(0, nx_store_key_put(s, &k, &err));
	COUNTED(0, nx_store_keys_used(s, &use, 1, &err));
	COUNTED(1, nx_store_key_delete(s, NX_STR("1"), &err));
	COUNTED(0, nx_store_key_delete(s, NX_STR("1"), &err));
	COUNTED(1, nx_store_setting_put(s, "x", NX_STR("y"), &err));
	COUNTED(0, add_history(s, "ann", 1, 5, 100, &err));
	COUNTED(1, nx_store_source_delete(s, NX_STR("a"), &err));
#undef COUNTED
	struct nx_arena *arena = nx_arena_new(0);
	struct nx_str v;
	NX_EQ_I(NX_OK, nx_store_setting_init(s, "x", NX_STR("z"), arena, &v, &err));
	NX_EQ_STR(NX_STR("y"), v);
	NX_EQ_I(NX_OK, nx_store_setting_init(s, "new", NX_STR("z"), arena, &v, &err));
	NX_EQ_STR(NX_STR("z"), v);
	NX_EQ_I(NX_E_CONFLICT, nx_store_setting_swap(s, "new", NX_STR(""), NX_STR("q"), &err));
	NX_EQ_I(NX_E_CONFLICT, nx_store_setting_swap(s, "new", NX_STR("y"), NX_STR("q"), &err));
	NX_EQ_I(NX_E_CONFLICT, nx_store_setting_swap(s, "none", NX_STR("y"), NX_STR("q"), &err));
	NX_EQ_I(NX_OK, nx_store_setting_swap(s, "new", NX_STR("z"), NX_STR("q"), &err));
	NX_EQ_I(NX_OK, nx_store_setting_swap(s, "none", NX_STR(""), NX_STR("q"), &err));
	NX_EQ_I(NX_OK, nx_store_setting_get(s, "new", arena, &v, &err));
	NX_EQ_STR(NX_STR("q"), v);
	nx_arena_free(arena);
	nx_store_close(s);
}

/* Bytes come back as they were, and equality is that of bytes. */
NX_TEST(texts_are_kept_byte_by_byte)
{
	struct nx_store *s = must_open(":memory:");
	struct nx_error err;
	struct nx_store_source a = source("a", "Zw\xc3\xb6lf", 1),
			       b = source("b", "zw\xc3\xb6lf", 1), c = source("c", "Zwolf", 1),
			       d = source("d", "Zw\xc3\xb6lf", 1);
	a.config = NX_STR("{\"x\":\"\xf0\x9f\x90\x98 '\\ \n\"}");
	NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	NX_EQ_I(NX_OK, nx_store_source_put(s, &b, &err));
	NX_EQ_I(NX_OK, nx_store_source_put(s, &c, &err));
	NX_EQ_I(NX_E_SOURCE_EXISTS, nx_store_source_put(s, &d, &err));
	a.version = 2;
	struct nx_str text = a.config;
	a.config = NX_STR("{}");
	NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	struct tally t = { 0 };
	NX_EQ_I(NX_OK, nx_store_source_versions(s, NX_STR("a"), count, &t, &err));
	NX_EQ_STR(text, nx_str(t.config));
	/* the order is that of bytes, too: capitals first */
	t = (struct tally){ .stop = NX_E_MEMORY };
	NX_EQ_I(NX_E_MEMORY, nx_store_sources(s, count, &t, &err));
	NX_EQ_S("Zwolf", t.name);
	nx_store_close(s);
}

NX_TEST(speed_of_a_durable_write_and_of_ten_thousand_rows)
{
	const char *path = scratch();
	struct nx_store *s = must_open(path);
	struct nx_error err;
	int64_t t = nx_now();
	for (int i = 0; i < 50; i++)
		NX_EQ_I(NX_OK, nx_store_setting_put(s, "x", NX_STR("y"), &err));
	printf("# one durable write: %lld us\n", (long long)(nx_now() - t) / 50000);
	t = nx_now();
	for (uint64_t i = 0; i < 100; i++)
		NX_EQ_I(NX_OK, add_history(s, "p", i * 100, 100, 100000, &err));
	printf("# 100 batches of 100 history rows: %lld us each\n",
	       (long long)(nx_now() - t) / 100000);
	NX_EQ_I(SQLITE_OK,
		sqlite3_exec(nx_sqlite_db(s),
			     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
			     " LIMIT 10000) INSERT INTO sources SELECT i, 'n' || i, 't', '', "
			     "'draft', '{}', '', '', '', 1, '' FROM n",
			     NULL, NULL, NULL));
	t = nx_now();
	NX_EQ_I(10000, sources(s));
	printf("# 10000 sources read in %lld us\n", (long long)(nx_now() - t) / 1000);
	nx_store_close(s);
	sweep();
}
