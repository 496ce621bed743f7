/* What judging costs. `gate_bench [dialect]`: median and tail per statement for a 200-byte SELECT; with a
 * dialect also the time per byte of long ones of many shapes, which must not grow with the length. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sql/gate.h"

#include <time.h>

static const char point[] =
	"SELECT o.id, o.customer_id, c.name, sum(l.price * l.quantity) AS total FROM orders o JOIN "
	"customers c ON c.id = o.customer_id JOIN lines l ON l.order_id = o.id WHERE o.id = ? "
	"GROUP BY "
	"o.id, 2, 3";

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void measure(enum nx_dialect d, const struct nx_gate_policy *p, const char *what,
		    struct nx_str sql, unsigned rounds)
{
	uint64_t *ns = calloc(rounds, sizeof(*ns));
	struct nx_arena *a = nx_arena_new(0);
	struct nx_verdict v;
	struct nx_error err;
	if (!ns || !a)
		exit(1);
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t start = now_ns();
		enum nx_code rc = nx_gate_check(d, p, "$%u", sql, a, &v, &err);
		ns[i] = now_ns() - start;
		if (rc != NX_OK) {
			fprintf(stderr, "%s: %s\n", what, err.message);
			exit(1);
		}
		nx_arena_reset(a);
	}
	qsort(ns, rounds, sizeof(*ns), compare);
	printf("| %-10s | %-22s | %7zu | %9.2f | %9.2f | %6.2f |\n", nx_dialect_name(d), what,
	       sql.len, (double)ns[rounds / 2] / 1000, (double)ns[rounds * 99 / 100] / 1000,
	       (double)ns[rounds / 2] / (double)sql.len);
	nx_arena_free(a);
	free(ns);
}

/* SELECT with a list of `bytes` bytes of columns. */
static char *long_select(size_t bytes)
{
	char *s = malloc(bytes + 64);
	if (!s)
		exit(1);
	size_t n = (size_t)snprintf(s, 64, "SELECT 1");
	while (n < bytes - 40)
		n += (size_t)snprintf(s + n, 40, ", lower(t.name) AS c%zu", n);
	(void)snprintf(s + n, 40, " FROM t");
	return s;
}

/* What a mean client would send: `unit` again and again between `head` and `tail`, `bytes` in all. */
static char *shape(const char *head, const char *unit, const char *tail, size_t bytes)
{
	size_t h = strlen(head), u = strlen(unit), t = strlen(tail), n = (bytes - h - t) / u;
	char *s = malloc(bytes + 1);
	if (!s)
		exit(1);
	memcpy(s, head, h);
	for (size_t i = 0; i < n; i++)
		memcpy(s + h + i * u, unit, u);
	memcpy(s + h + n * u, tail, t + 1);
	return s;
}

static void measure_shapes(enum nx_dialect d, const struct nx_gate_policy *p)
{
	static const struct {
		const char *what, *head, *unit, *tail;
		size_t max;
	} shapes[] = {
		{ "IN list", "SELECT a FROM t WHERE a IN (1", ",1", ")", 20000 },
		{ "one comment", "SELECT 1 /*", "ab ", "*/", 100000 },
		{ "many comments", "SELECT 1 ", "/* c */", "", 100000 },
		{ "one literal", "SELECT '", "''", "'", 100000 },
		{ "many literals", "SELECT 'x'", ",''", "", 100000 },
		{ "operators", "SELECT 1", "+1", "", 100000 },
		{ "OR of comparisons", "SELECT a FROM t WHERE a = 1", " OR a = 1", "", 100000 },
		{ "opened and closed", "SELECT 1", "+(1)", "", 100000 },
		{ "calls", "SELECT 1", "+abs(1)", "", 100000 },
		{ "subqueries", "SELECT 1", ",(SELECT 1)", "", 100000 },
	};
	for (size_t i = 0; i < NX_COUNTOF(shapes); i++)
		for (size_t bytes = shapes[i].max / 10; bytes <= shapes[i].max; bytes *= 10) {
			char *s = shape(shapes[i].head, shapes[i].unit, shapes[i].tail, bytes);
			measure(d, p, shapes[i].what, nx_str(s), (unsigned)(20000000 / bytes));
			free(s);
		}
}

int main(int argc, char **argv)
{
	struct nx_gate_policy p = { .max_joins = 100, .one_opinion = true };
	printf("| dialect    | statement              |   bytes |    p50 us |    p99 us |  ns/B "
	       "|\n");
	printf("|---|---|---|---|---|---|\n");
	for (unsigned d = 0; d < NX_DIALECT_COUNT; d++) {
		if (argc > 1 && strcmp(argv[1], nx_dialect_name((enum nx_dialect)d)) != 0)
			continue;
		measure((enum nx_dialect)d, &p, "three joins", nx_str(point), 100000);
		if (argc < 2)
			continue;
		for (size_t bytes = 1000; bytes <= 100000; bytes *= 10) {
			char *s = long_select(bytes);
			measure((enum nx_dialect)d, &p, "long select list", nx_str(s),
				(unsigned)(20000000 / bytes));
			free(s);
		}
		measure_shapes((enum nx_dialect)d, &p);
		if (d == NX_D_POSTGRESQL) {
			p.one_opinion = false;
			measure((enum nx_dialect)d, &p, "with second opinion", nx_str(point),
				20000);
			p.one_opinion = true;
		}
	}
	return 0;
}
