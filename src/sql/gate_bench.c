/* What judging costs. `gate_bench [dialect]`: median and tail per statement for a 200-byte SELECT, and
 * time per byte for long ones, which must not grow with the length. */
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
		if (d == NX_D_POSTGRESQL) {
			p.one_opinion = false;
			measure((enum nx_dialect)d, &p, "with second opinion", nx_str(point),
				20000);
			p.one_opinion = true;
		}
	}
	return 0;
}
