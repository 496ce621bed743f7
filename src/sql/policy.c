/* The lists of policy/ are kept as text, grouped by reason, because people must be able to review
 * them; here they become one hash table per dialect, once. */
#include "sql/policy.h"

#include <pthread.h>

#define SLOTS 4096 /* per dialect; a power of two, at most three quarters full */
#define PREFIXES 512

struct entry {
	const char *name;
	uint8_t len;
	char effect;
};

static struct table {
	struct entry slots[SLOTS];
	struct entry prefixes[PREFIXES];
	struct entry packages[PREFIXES];
	uint32_t used, nprefixes, npackages;
	bool full;
} tables[NX_DIALECT_COUNT];

static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t hash(const char *s, size_t len)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h ^ h >> 15;
}

static struct entry *find(struct table *t, const char *name, size_t len)
{
	uint32_t i = hash(name, len) & (SLOTS - 1);
	while (t->slots[i].name) {
		if (t->slots[i].len == len && memcmp(t->slots[i].name, name, len) == 0)
			return &t->slots[i];
		i = (i + 1) & (SLOTS - 1);
	}
	return &t->slots[i];
}

static void add(struct table *t, const char *name, size_t len, char effect)
{
	struct entry e = { name, (uint8_t)len, effect };
	if (len == 0 || len > 63) {
		t->full = true;
	} else if (name[len - 1] == '.') {
		e.len--;
		if (t->npackages == PREFIXES)
			t->full = true;
		else
			t->packages[t->npackages++] = e;
	} else if (name[len - 1] == '*') {
		e.len--;
		if (t->nprefixes == PREFIXES)
			t->full = true;
		else
			t->prefixes[t->nprefixes++] = e;
	} else {
		struct entry *slot = find(t, name, len);
		if (slot->name) {
			/* a refusal wins, then a table function, whichever came first */
			bool deny = e.effect < 'a' || slot->effect < 'a';
			if (deny ? e.effect < slot->effect : e.effect > slot->effect)
				slot->effect = e.effect;
			return;
		}
		if (t->used >= SLOTS / 4 * 3) {
			t->full = true;
			return;
		}
		*slot = e;
		t->used++;
	}
}

static void build(void)
{
	for (unsigned d = 0; d < NX_DIALECT_COUNT; d++)
		for (const struct nx_fn_list *l = nx_dialect_row(d)->functions; l->effect; l++)
			for (const char *p = l->names; *p;) {
				size_t n = strcspn(p, " ");
				if (n > 0)
					add(&tables[d], p, n, l->effect);
				p += n + (p[n] == ' ');
			}
}

static bool part_matches(const struct entry *e, struct nx_str q)
{
	if (e->len > 0 && e->name[e->len - 1] == '*')
		return q.len >= e->len - 1u && memcmp(q.ptr, e->name, e->len - 1u) == 0;
	return q.len == e->len && memcmp(q.ptr, e->name, e->len) == 0;
}

/* Any part of the qualifier, or all of it, may name the package. */
static bool package_matches(const struct entry *e, struct nx_str q)
{
	if (part_matches(e, q))
		return true;
	while (q.len > 0) {
		const char *dot = memchr(q.ptr, '.', q.len);
		size_t len = dot ? (size_t)(dot - q.ptr) : q.len;
		if (part_matches(e, nx_strn(q.ptr, len)))
			return true;
		q.ptr += len + (dot != NULL);
		q.len -= len + (dot != NULL);
	}
	return false;
}

enum nx_effect nx_policy_function(enum nx_dialect d, struct nx_str qualifier, struct nx_str name)
{
	pthread_once(&once, build);
	struct table *t = &tables[d];
	if (t->full)
		return NX_FN_EXECUTES; /* a list outgrew its table: a bug, seen by every test */
	char both[132];
	if (qualifier.len > 0 && qualifier.len + name.len + 1 <= sizeof(both)) {
		memcpy(both, qualifier.ptr, qualifier.len);
		both[qualifier.len] = '.';
		memcpy(both + qualifier.len + 1, name.ptr, name.len);
		struct entry *e = find(t, both, qualifier.len + 1 + name.len);
		if (e->name)
			return (enum nx_effect)e->effect;
		/* catalog.system.f: a table function may be listed without its catalog */
		char *dot = memchr(both, '.', qualifier.len);
		if (dot) {
			e = find(t, dot + 1, (size_t)(both + qualifier.len + name.len - dot));
			if (e->name && e->effect == NX_FN_TABLE)
				return NX_FN_TABLE;
		}
	}
	struct entry *e = find(t, name.ptr, name.len);
	if (e->name && (e->effect < 'a' || qualifier.len == 0))
		return (enum nx_effect)e->effect;
	if (qualifier.len > 0)
		for (uint32_t i = 0; i < t->npackages; i++)
			if (package_matches(&t->packages[i], qualifier))
				return (enum nx_effect)t->packages[i].effect;
	if (e->name)
		return (enum nx_effect)e->effect;
	for (uint32_t i = 0; i < t->nprefixes; i++)
		if (name.len >= t->prefixes[i].len && name.ptr[0] == t->prefixes[i].name[0] &&
		    memcmp(name.ptr, t->prefixes[i].name, t->prefixes[i].len) == 0)
			return (enum nx_effect)t->prefixes[i].effect;
	return NX_FN_UNKNOWN;
}

enum nx_effect nx_policy_package(enum nx_dialect d, struct nx_str qualifier)
{
	pthread_once(&once, build);
	const struct table *t = &tables[d];
	for (uint32_t i = 0; i < t->npackages; i++)
		if (t->packages[i].name[t->packages[i].len - 1] == '*' &&
		    package_matches(&t->packages[i], qualifier))
			return (enum nx_effect)t->packages[i].effect;
	return NX_FN_UNKNOWN;
}

const char *nx_effect_text(enum nx_effect e)
{
	switch (e) {
	case NX_FN_WRITES:
		return "writes data or catalog";
	case NX_FN_LOCKS:
		return "takes locks that others wait for";
	case NX_FN_FILES:
		return "reads or writes files";
	case NX_FN_NETWORK:
		return "opens a connection from the source";
	case NX_FN_SLEEPS:
		return "waits or burns time inside the source";
	case NX_FN_SESSION:
	case NX_FN_EMPTY:
		return "changes or leaks the state of the session";
	case NX_FN_ADMIN:
		return "administers the source or other sessions";
	case NX_FN_EXECUTES:
		return "runs text or code that cannot be judged";
	case NX_FN_SECRETS:
		return "shows secrets or other users' statements";
	case NX_FN_COSTS:
		return "calls a paid or remote service";
	case NX_FN_UNKNOWN:
	case NX_FN_PURE:
	case NX_FN_READ:
	case NX_FN_TABLE:
		return NULL;
	}
	return NULL;
}

bool nx_policy_listed(const char *list, struct nx_str word)
{
	if (!list)
		return false;
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, " ");
		bool wild = n > 0 && p[n - 1] == '*';
		size_t cmp = wild ? n - 1 : n;
		if ((wild ? word.len >= cmp : word.len == cmp) &&
		    nx_str_ieq(nx_strn(p, cmp), nx_strn(word.ptr, cmp)))
			return true;
		p += n + (p[n] == ' ');
	}
	return false;
}

bool nx_policy_named(const struct nx_str *list, uint32_t n, struct nx_str full, struct nx_str name)
{
	for (uint32_t i = 0; i < n; i++) {
		if (nx_str_eq(list[i], name))
			return true;
		if (nx_str_ends(full, list[i]) && list[i].len &&
		    memchr(list[i].ptr, '.', list[i].len) &&
		    (full.len == list[i].len || full.ptr[full.len - list[i].len - 1] == '.'))
			return true;
	}
	return false;
}
