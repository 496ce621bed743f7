#include "stats/audit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "test.h"

static char dir[200];

static void scratch(void)
{
	const char *tmp = getenv("TMPDIR");
	(void)snprintf(dir, sizeof(dir), "%s/nxaudit.XXXXXX", tmp ? tmp : P_tmpdir);
	NX_CHECK(mkdtemp(dir) != NULL);
}

static void clean(void)
{
	char cmd[256];
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	NX_EQ_I(0, system(cmd));
}

static struct nx_audit *start(uint64_t rotate, bool sql)
{
	struct nx_audit *a;
	struct nx_error err;
	struct nx_audit_config c = { .dir = dir, .rotate_bytes = rotate, .sql = sql };
	if (nx_audit_open(&c, &a, &err))
		nx_test_fail(__FILE__, __LINE__, "open: %s", err.message);
	return a;
}

static enum nx_code add(struct nx_audit *a, const char *sql, uint32_t wait_ms)
{
	struct nx_audit_event e = { .event = "query",
				    .action = "query",
				    .role = "analyst",
				    .principal = NX_STR("al\"ice"),
				    .client = NX_STR("127.0.0.1"),
				    .source = NX_STR("warehouse"),
				    .source_id = NX_STR("0a1b2c3d-0000-4000-8000-000000000000"),
				    .query_id = NX_STR("0a1b2c3d-0000-4000-8000-000000000001"),
				    .correlation_id =
					    NX_STR("0a1b2c3d-0000-4000-8000-000000000002"),
				    .sql = nx_str(sql),
				    .layers = NX_AUDIT_SHAPE | NX_AUDIT_SERVER,
				    .rows = 3,
				    .elapsed_us = 77 };
	return nx_audit_add(a, &e, wait_ms, NULL);
}

static char found[4096];

static void note(const char *file, uint64_t line, const char *what, void *arg)
{
	(void)arg;
	size_t n = strlen(found);
	(void)snprintf(found + n, sizeof(found) - n, "%s:%llu: %s\n", file,
		       (unsigned long long)line, what);
}

static struct nx_audit_report verify(void)
{
	struct nx_audit_report r;
	found[0] = '\0';
	NX_EQ_I(NX_OK, nx_audit_verify(dir, note, NULL, &r, NULL));
	return r;
}

static void fill(int n, uint64_t rotate)
{
	struct nx_audit *a = start(rotate, false);
	for (int i = 0; i < n; i++)
		NX_EQ_I(NX_OK, add(a, "SELECT 1", 1000));
	nx_audit_close(a);
}

/* Runs a shell line in the folder: the vandal. */
static void sh(const char *cmd)
{
	char line[1024];
	(void)snprintf(line, sizeof(line), "cd %s && %s", dir, cmd);
	NX_EQ_I(0, system(line));
}

NX_TEST(a_whole_chain_over_restarts_and_files)
{
	scratch();
	fill(10, 1 << 20);
	struct nx_audit_report r = verify();
	NX_EQ_S("", found);
	NX_EQ_I(12, r.records); /* open, 10, close */
	NX_CHECK(!r.open_ended && !r.begins_later);
	fill(1000, 65536);
	r = verify();
	NX_EQ_S("", found);
	NX_CHECK(r.files > 5);
	NX_EQ_I(r.records, r.last_seq);
	clean();
}

NX_TEST(records_hold_what_they_should)
{
	scratch();
	struct nx_audit *a = start(1 << 20, false);
	NX_EQ_I(NX_OK, add(a, "SELECT 'x'", 1000));
	nx_audit_close(a);
	/* sha256 of SELECT 'x' */
	sh("grep -q '\"fingerprint\":\"'$(printf \"SELECT 'x'\" | sha256sum | cut -c1-64) *.jsonl");
	sh("grep -q '\"principal\":\"al.\"ice\"' *.jsonl");
	sh("grep -q '\"layers\":\\[\"shape\",\"server\"\\]' *.jsonl");
	sh("! grep -q SELECT *.jsonl");
	sh("test $(stat -c %a audit-00000001.jsonl) = 600");
	a = start(1 << 20, true);
	NX_EQ_I(NX_OK, add(a, "SELECT 'x'", 1000));
	nx_audit_close(a);
	sh("grep -q \"SELECT 'x'\" audit-00000002.jsonl");
	clean();
}

static void expect(const char *cmd, const char *want)
{
	scratch();
	fill(50, 8192);
	verify();
	NX_EQ_S("", found);
	sh(cmd);
	NX_CHECK(verify().problems > 0);
	if (!strstr(found, want))
		nx_test_fail(__FILE__, __LINE__, "after %s: want %s, found %s", cmd, want, found);
	clean();
}

NX_TEST(what_was_done_to_the_log_is_found)
{
	expect("sed -i '5s/warehouse/warehousf/' audit-00000001.jsonl",
	       "audit-00000001.jsonl:5: the record was edited");
	expect("sed -i '5d' audit-00000001.jsonl",
	       "audit-00000001.jsonl:5: record 6 follows record 4");
	expect("sed -i '5{h;d};6{G}' audit-00000001.jsonl", "audit-00000001.jsonl:5: record 6");
	expect("sed -i '5p' audit-00000001.jsonl",
	       "audit-00000001.jsonl:6: record 5 follows record 5");
	expect("sed -i '1d' audit-00000002.jsonl", "does not begin with its opening record");
	expect("sed -i '$d' audit-00000001.jsonl", "audit-00000002.jsonl:1: record");
	expect("rm audit-00000002.jsonl", "files before this one are missing");
	expect("rm $(ls *.jsonl | tail -1)", "are missing at the end");
	expect("sed -i '$d' $(ls *.jsonl | tail -1)", "are missing at the end");
	expect("printf torn >> audit-00000001.jsonl", "was added or removed at the end");
	expect("echo '{}' >> audit-00000001.jsonl", "not a record");
	/* a forged record with a hash of its own does not fit what follows */
	expect("python3 -c \"import hashlib;p='audit-00000001.jsonl';l=open(p).read().split('\\n');"
	       "b=l[4][75:].replace('warehouse','w');"
	       "l[4]=l[4][:9]+hashlib.sha256(b.encode()).hexdigest()+l[4][73:75]+b;"
	       "open(p,'w').write('\\n'.join(l))\"",
	       "audit-00000001.jsonl:6: the record before was replaced");
}

NX_TEST(a_crash_in_the_middle_of_a_line)
{
	scratch();
	fill(5, 1 << 20);
	sh("truncate -s -20 audit-00000001.jsonl");
	sh("rm head"); /* the head file would tell of the record that is gone, rightly */
	fill(5, 1 << 20);
	struct nx_audit_report r = verify();
	NX_EQ_S("", found);
	NX_EQ_I(2, r.files);
	NX_EQ_I(13, r.records);
	clean();
}

static void *adder(void *arg)
{
	for (int i = 0; i < 5000; i++)
		if (add(arg, "SELECT 1", 5000))
			return arg;
	return NULL;
}

NX_TEST(many_threads_lose_nothing)
{
	scratch();
	struct nx_audit *a = start(1 << 20, false);
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, adder, a);
	for (int i = 0; i < 4; i++) {
		void *bad;
		pthread_join(t[i], &bad);
		NX_CHECK(bad == NULL);
	}
	nx_audit_close(a);
	struct nx_audit_report r = verify();
	NX_EQ_S("", found);
	NX_EQ_I(20000 + 2 * r.files, r.records);
	clean();
}

NX_TEST(a_disk_that_is_full_for_a_while)
{
	scratch();
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit l, full;
	getrlimit(RLIMIT_FSIZE, &l);
	struct nx_audit *a = start((uint64_t)1 << 30, false);
	full = l;
	full.rlim_cur = 20000; /* in the middle of a line */
	setrlimit(RLIMIT_FSIZE, &full);
	struct nx_audit_stats s;
	int kept = 0;
	for (int i = 0; i < 100; i++)
		kept += add(a, "SELECT 1", 0) == NX_OK;
	int64_t until = nx_now() + 5 * NX_SEC;
	do {
		usleep(1000);
		nx_audit_stats(a, &s);
	} while (!s.failing && nx_now() < until);
	NX_CHECK(s.failing && !nx_audit_ready(a));
	enum nx_code c = NX_OK;
	for (int i = 0; i < 10000 && !c; i++) {
		c = add(a, "SELECT 1", 1000);
		kept += !c;
	}
	NX_EQ_I(NX_E_AUDIT_FAILED, c); /* at once: nobody waits for a full disk */
	setrlimit(RLIMIT_FSIZE, &l);
	until = nx_now() + 5 * NX_SEC;
	while (!nx_audit_ready(a) && nx_now() < until)
		usleep(1000);
	NX_EQ_I(NX_OK, add(a, "SELECT 1", 1000));
	kept++;
	nx_audit_close(a);
	struct nx_audit_report r = verify();
	NX_EQ_S("", found);
	NX_EQ_I(kept + 3, r.records); /* open, lost, close */
	sh("grep -q '\"event\":\"lost\",\"records\":1}' *.jsonl");
	clean();
}

NX_TEST(cost)
{
	scratch();
	struct nx_audit *a = start((uint64_t)1 << 30, false);
	enum { N = 20000 };
	int64_t in_add = 0, from = nx_now();
	int failed = 0;
	for (int i = 0; i < N; i++) {
		int64_t t = nx_now();
		failed += add(a, "SELECT id, name FROM customers WHERE id = ?", 5000) != NX_OK;
		in_add += nx_now() - t;
		if (i % 100 == 0)
			usleep(3000); /* some 30 000 a second */
	}
	nx_audit_close(a);
	struct timespec cpu; /* of adder and writer; the adder's is small */
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	printf("# cpu %.0f ns a record\n", ((double)cpu.tv_sec * 1e9 + (double)cpu.tv_nsec) / N);
	printf("# add %.0f ns, all %.0f ns a record, %d failed\n", (double)in_add / N,
	       (double)(nx_now() - from) / N, failed);
	clean();
}
