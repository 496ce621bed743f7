/* What only a store on a server does: it goes away and comes back, others write to it, it speaks TLS. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "store/engines.h"

static struct nx_store_source source(const char *id, const char *name, uint32_t version)
{
	return (struct nx_store_source){ .id = nx_str(id),
					 .name = nx_str(name),
					 .type = NX_STR("t"),
					 .status = NX_STR("draft"),
					 .config = NX_STR("{}"),
					 .created_at = NX_STR("x"),
					 .updated_at = NX_STR("y"),
					 .version = version };
}

static struct nx_store *start(void)
{
	if (!on_server())
		NX_SKIP("no MariaDB");
	fresh_database();
	return open_server(INT_MAX);
}

static enum nx_code count(const struct nx_store_source *row, void *arg, struct nx_error *err)
{
	(void)row, (void)err;
	++*(int *)arg;
	return NX_OK;
}

static int sources(struct nx_store *s)
{
	int n = 0;
	struct nx_error err;
	if (nx_store_sources(s, count, &n, &err))
		nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	return n;
}

/* Ends the connection behind a store's back. */
static void cut(struct nx_store *s)
{
	int64_t id = 0;
	char sql[64];
	NX_EQ_I(NX_OK, s->ops->number(s, "SELECT connection_id()", &id, NULL));
	struct nx_store *other = open_server(INT_MAX);
	NX_CHECK(snprintf(sql, sizeof(sql), "KILL %lld", (long long)id) > 0);
	must_exec(other, sql);
	nx_store_close(other);
}

NX_TEST(a_lost_connection_is_made_anew)
{
	struct nx_store *s = start();
	struct nx_error err;
	struct nx_store_source a = source("a", "A", 1), b = source("b", "B", 1);
	NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	cut(s);
	NX_EQ_I(1, sources(s)); /* a read */
	cut(s);
	NX_EQ_I(NX_OK, nx_store_source_put(s, &b, &err)); /* a write */
	NX_EQ_I(2, sources(s));
	/* inside of a transaction it is an error, and nothing of it stays */
	pthread_mutex_lock(&s->lock);
	NX_EQ_I(NX_OK, nx_store_begin(s, NX_TOPIC_SHARED, &err));
	struct nx_st *st = nx_st(s, NX_ST_SOURCE_DELETE);
	nx_st_text(st, 1, NX_STR("a"));
	NX_EQ_I(NX_OK, nx_st_run(st, &err));
	cut(s);
	st = nx_st(s, NX_ST_SOURCE_DELETE);
	nx_st_text(st, 1, NX_STR("b"));
	enum nx_code c = nx_st_run(st, &err);
	NX_EQ_I(NX_E_STORE_FAILED, c);
	NX_EQ_I(NX_E_STORE_FAILED, nx_store_end(s, c, &err));
	pthread_mutex_unlock(&s->lock);
	NX_EQ_I(2, sources(s));
	nx_store_close(s);
}

/* A server that hangs costs one timeout; then calls fail at once, until it is back. */
NX_TEST(a_server_that_hangs)
{
	struct nx_store *s = start();
	nx_store_close(s);
	struct nx_store_config cfg = server_config("nxs");
	struct nx_error err;
	cfg.timeout_ms = 1000;
	NX_EQ_I(NX_OK, nx_store_connect(&cfg, &s, &err));
	pid_t pid = (pid_t)strtol(getenv("NX_MARIADB_PID"), NULL, 10);
	NX_CHECK(kill(pid, SIGSTOP) == 0);
	int64_t t = nx_now();
	uint64_t n;
	enum nx_code c = nx_store_changes(s, &n, &err);
	int64_t first = nx_now() - t;
	t = nx_now();
	enum nx_code c2 = nx_store_changes(s, &n, &err);
	int64_t second = nx_now() - t;
	NX_CHECK(kill(pid, SIGCONT) == 0);
	printf("# the first call failed after %lld ms, the second after %lld us\n",
	       (long long)(first / NX_MS), (long long)(second / 1000));
	NX_EQ_I(NX_E_STORE_FAILED, c);
	NX_EQ_I(NX_E_STORE_FAILED, c2);
	NX_CHECK(first < 4 * NX_SEC && second < 100 * NX_MS);
	for (int i = 0; i < 100 && nx_store_changes(s, &n, &err); i++)
		nanosleep(&(struct timespec){ 0, 100 * NX_MS }, NULL);
	NX_EQ_I(NX_OK, nx_store_changes(s, &n, &err));
	nx_store_close(s);
}

/* Two instances count one source's version up, each by what it has read. */
static pthread_barrier_t together;

static void *edit(void *arg)
{
	int *won = arg;
	struct nx_store *s = open_server(INT_MAX);
	pthread_barrier_wait(&together);
	for (uint32_t v = 2; v <= 40; v++) {
		struct nx_error err;
		struct nx_store_source a = source("a", "A", v);
		enum nx_code c = nx_store_source_put(s, &a, &err);
		if (c && c != NX_E_SOURCE_CHANGED)
			nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
		if (!c)
			++*won;
		else
			v--;
		int64_t now = 0;
		NX_EQ_I(NX_OK, s->ops->number(s, "SELECT version FROM sources WHERE id = 'a'", &now,
					      NULL));
		v = (uint32_t)now;
	}
	nx_store_close(s);
	return NULL;
}

NX_TEST(of_two_edits_at_once_one_wins)
{
	struct nx_store *s = start();
	struct nx_error err;
	struct nx_store_source a = source("a", "A", 1);
	NX_EQ_I(NX_OK, nx_store_source_put(s, &a, &err));
	pthread_t t[3];
	int won[3] = { 0 };
	NX_CHECK(pthread_barrier_init(&together, NULL, 3) == 0);
	for (int i = 0; i < 3; i++)
		NX_CHECK(pthread_create(&t[i], NULL, edit, &won[i]) == 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	printf("# won: %d, %d, %d\n", won[0], won[1], won[2]);
	NX_EQ_I(39, won[0] + won[1] + won[2]); /* each version once */
	nx_store_close(s);
}

static void *log_some(void *arg)
{
	struct nx_store *s = open_server(INT_MAX);
	struct nx_store_history rows[20] = { 0 };
	for (int i = 0; i < 20; i++)
		rows[i].principal = nx_str(arg);
	for (int i = 0; i < 20; i++) {
		struct nx_error err;
		if (nx_store_history_add(s, rows, 20, 100000, &err))
			nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	}
	nx_store_close(s);
	return NULL;
}

static enum nx_code count_history(const struct nx_store_history *r, void *arg, struct nx_error *err)
{
	(void)r, (void)err;
	++*(int *)arg;
	return NX_OK;
}

static bool by_bob(const struct nx_store_history *row, void *arg)
{
	(void)arg;
	return nx_str_is(row->principal, "bob");
}

NX_TEST(history_of_two)
{
	struct nx_store *s = start();
	pthread_t t[2];
	char who[2][4] = { "ann", "bob" };
	struct nx_error err;
	for (int i = 0; i < 2; i++)
		NX_CHECK(pthread_create(&t[i], NULL, log_some, who[i]) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	int n = 0, bob = 0;
	NX_EQ_I(NX_OK, nx_store_history_list(s, NULL, 0, 10000, count_history, &n, &err));
	NX_EQ_I(NX_OK, nx_store_history_list(s, by_bob, 0, 10000, count_history, &bob, &err));
	NX_EQ_I(800, n);
	NX_EQ_I(400, bob);
	nx_store_close(s);
}

static void *open_it(void *arg)
{
	(void)arg;
	nx_store_close(open_server(INT_MAX));
	return NULL;
}

NX_TEST(instances_that_start_together_migrate_once)
{
	if (!on_server())
		NX_SKIP("no MariaDB");
	fresh_database();
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		NX_CHECK(pthread_create(&t[i], NULL, open_it, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	struct nx_store *s = open_server(INT_MAX);
	int64_t n = 0, newest = 0;
	NX_EQ_I(NX_OK, s->ops->number(s, "SELECT count(*) FROM schema_migrations", &n, NULL));
	NX_EQ_I(NX_OK,
		s->ops->number(s, "SELECT max(version) FROM schema_migrations", &newest, NULL));
	NX_EQ_I(newest, n);
	NX_EQ_I(NX_OK,
		s->ops->number(
			s,
			"SELECT count(*) FROM information_schema.tables WHERE table_schema = "
			"database() AND (engine <> 'InnoDB' OR table_collation <> "
			"'utf8mb4_bin')",
			&n, NULL));
	NX_EQ_I(0, n);
	nx_store_close(s);
}

NX_TEST(what_does_not_fit_is_refused)
{
	struct nx_store *s = start();
	struct nx_error err;
	char name[300];
	memset(name, 'n', sizeof(name));
	struct nx_store_source a = source("a", "A", 1);
	a.name = nx_strn(name, sizeof(name));
	NX_EQ_I(NX_E_BAD_VALUE, nx_store_source_put(s, &a, &err));
	a.name = NX_STR("\xff\xfe");
	NX_EQ_I(NX_E_BAD_VALUE, nx_store_source_put(s, &a, &err));
	NX_EQ_I(0, sources(s));
	nx_store_close(s);
}

static const char *refusal(struct nx_store_config *cfg, const char *url)
{
	static struct nx_error err;
	struct nx_store *s = NULL;
	if (url)
		cfg->url = url;
	cfg->timeout_ms = 1000;
	enum nx_code c = nx_store_connect(cfg, &s, &err);
	NX_CHECK(c != NX_OK && s == NULL);
	if (strstr(err.message, "hush") || strstr(err.detail, "hush"))
		nx_test_fail(__FILE__, __LINE__, "%s | %s", err.message, err.detail);
	return err.message;
}

NX_TEST(tls)
{
	struct nx_store *s = start();
	nx_store_close(s);
	struct nx_store_config cfg = server_config("nxs");
	struct nx_error err;
	cfg.tls = true;
	NX_EQ_I(NX_OK, nx_store_connect(&cfg, &s, &err));
	struct nx_arena *a = nx_arena_new(0);
	int64_t n = 0;
	NX_EQ_I(NX_OK,
		s->ops->number(s,
			       "SELECT count(*) FROM information_schema.session_status WHERE "
			       "variable_name = 'Ssl_version' AND variable_value LIKE 'TLSv1.%'",
			       &n, &err));
	NX_EQ_I(1, n);
	nx_arena_free(a);
	nx_store_close(s);
	cfg.verify = true;
	(void)refusal(&cfg, NULL); /* the system's authorities do not know it */
	cfg.ca_file = getenv("NX_MARIADB_CA");
	NX_EQ_I(NX_OK, nx_store_connect(&cfg, &s, &err));
	nx_store_close(s);
}

NX_TEST(what_cannot_be_connected_to)
{
	struct nx_store_config cfg = { .password = "hush" };
	static const char *const wrong[] = {
		"mysql",
		"postgres://u@h/d",
		"mysql://h/d",
		"mysql://u@h",
		"mysql://@h/d",
		"mysql://u@/d",
		"mysql://u@h/",
		"mysql://u@h:0/d",
		"mysql://u@h:65536/d",
		"mysql://u@h:x/d",
		"mysql://u@h/d?x=1",
		"mysql://u%4@h/d",
		"mysql://u%00@h/d",
		"mysql://u@h;port=1/d",
		"mysql://u@h,g/d",
		"mysql://u@[::1/d",
		"mysql://u@[::1]x/d",
	};
	for (size_t i = 0; i < NX_COUNTOF(wrong); i++)
		if (!strstr(refusal(&cfg, wrong[i]), "store.url must be"))
			nx_test_fail(__FILE__, __LINE__, "%s: taken", wrong[i]);
	NX_CHECK(strstr(refusal(&cfg, "mysql://u:hush@h/d"), "store.password"));
	NX_CHECK(strstr(refusal(&cfg, "mysql://u@127.0.0.1:1/d"), "cannot be reached"));
	NX_CHECK(strstr(refusal(&cfg, "mysql://u@[::1]:1/d"), "cannot be reached"));
	if (!on_server())
		return;
	struct nx_store_config there = server_config("nx");
	there.password = "hush";
	NX_CHECK(strstr(refusal(&there, NULL), "refuses user and password"));
	there = server_config("no_such_database");
	NX_CHECK(strstr(refusal(&there, NULL), "does not exist"));
}
