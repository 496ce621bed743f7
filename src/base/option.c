#include "nexus/option.h"

#include <stdlib.h>

#include "nexus/buf.h"

/* Few options per source (some dozens): a list is enough, and reads happen at open only. */
struct entry {
	struct entry *next;
	const struct nx_option *spec;
	char *text; /* NUL-terminated; owned */
	size_t len;
	int64_t num; /* INT, SECONDS (ms), BOOL */
};

struct nx_options {
	struct entry *first;
};

const struct nx_option nx_options_common[] = {
	{ "maxPoolSize", NX_OPT_INT, NX_OPTF_POOL, "10", 1, 1000, NULL,
	  "Connections kept to this source at most." },
	{ "maxStreams", NX_OPT_INT, NX_OPTF_POOL, "4", 0, 1000, NULL,
	  "Connections beyond maxPoolSize that long results may hold." },
	{ "maxQueue", NX_OPT_INT, NX_OPTF_POOL, "1000", 0, 100000, NULL,
	  "Queries that may wait for a connection; more are refused with QUEUE_FULL." },
	{ "queueTimeout", NX_OPT_SECONDS, NX_OPTF_POOL, "10", 1, 600000, NULL,
	  "Seconds a query may wait for a connection." },
	{ "idleTimeout", NX_OPT_SECONDS, NX_OPTF_POOL, "600", 100, 86400000, NULL,
	  "Seconds an unused connection is kept." },
	{ "maxLifetime", NX_OPT_SECONDS, NX_OPTF_POOL, "1800", 1000, 604800000, NULL,
	  "Seconds after which a connection is replaced." },
	{ "connectTimeout", NX_OPT_SECONDS, NX_OPTF_POOL, "30", 10, 600000, NULL,
	  "Seconds a connection attempt may take." },
	{ "timeout", NX_OPT_SECONDS, NX_OPTF_POOL, "60", 10, 86400000, NULL,
	  "Seconds a query may run." },
	{ "maxRows", NX_OPT_INT, NX_OPTF_POOL, "0", 0, INT64_MAX, NULL,
	  "Rows a query may return; 0: no limit." },
	{ "maxBytes", NX_OPT_INT, NX_OPTF_POOL, "0", 0, INT64_MAX, NULL,
	  "Bytes of encoded result a query may return; 0: no limit." },
	{ "readOnlyAccount", NX_OPT_ENUM, NX_OPTF_POOL, "any", 0, 0, "any|no-superuser|required",
	  "What the account must not be able to do for the source to become active: anything "
	  "(any), be a superuser, or write at all (required)." },
	{ "traceContext", NX_OPT_ENUM, NX_OPTF_POOL, "none", 0, 0, "none|applicationName|comment",
	  "How the source learns of the trace of a traced query: not at all, by the session's "
	  "application_name (PostgreSQL), or by a comment behind the statement." },
	{ "allowMetadataStatements", NX_OPT_BOOL, NX_OPTF_POOL, "false", 0, 0, NULL,
	  "Lets SHOW, DESCRIBE, EXPLAIN, VALUES and TABLE pass where they only read." },
	{ "functions", NX_OPT_ENUM, NX_OPTF_POOL, "deny-list", 0, 0, "deny-list|built-in|catalog",
	  "Which functions a query may call: all but the known harmful ones; only known harmless "
	  "ones; or (PostgreSQL) these and what the server's own catalog says only reads, as most "
	  "functions of extensions do." },
	{ "allowFunctions", NX_OPT_STRING, NX_OPTF_POOL, NULL, 0, 0, NULL,
	  "Functions allowed in addition, separated by commas; schema.name counts for that schema "
	  "only." },
	{ "denyFunctions", NX_OPT_STRING, NX_OPTF_POOL, NULL, 0, 0, NULL,
	  "Functions refused in addition, separated by commas; wins over allowFunctions." },
	{ .key = NULL },
};

struct nx_options *nx_options_new(void)
{
	return calloc(1, sizeof(struct nx_options));
}

static void entry_free(struct entry *e)
{
	if (e->text)
		nx_wipe(e->text, e->len);
	free(e->text);
	free(e);
}

void nx_options_free(struct nx_options *o)
{
	if (!o)
		return;
	while (o->first) {
		struct entry *e = o->first;
		o->first = e->next;
		entry_free(e);
	}
	free(o);
}

const struct nx_option *nx_option_find(const struct nx_option *table, struct nx_str key)
{
	for (const struct nx_option *t = table; t->key; t++)
		if (nx_str_is(key, t->key))
			return t;
	return NULL;
}

static bool one_of(const char *choices, struct nx_str v, struct nx_str *ret)
{
	for (const char *p = choices; *p;) {
		const char *end = strchr(p, '|');
		size_t len = end ? (size_t)(end - p) : strlen(p);
		if (nx_str_ieq(nx_strn(p, len), v)) {
			*ret = nx_strn(p, len);
			return true;
		}
		p += len + (end ? 1 : 0);
	}
	return false;
}

static bool parse_ms(struct nx_str v, int64_t *ret)
{
	double d;
	if (!nx_str_to_f64(v, &d) || !(d >= 0) || d > 1e9)
		return false;
	*ret = (int64_t)(d * 1000 + 0.5);
	return true;
}

static bool parse_ratio(struct nx_str v, int64_t *ret)
{
	double d;
	if (!nx_str_to_f64(v, &d) || !(d >= 0 && d <= 1))
		return false;
	*ret = (int64_t)(d * 1000000 + 0.5);
	return true;
}

static enum nx_code check(const struct nx_option *spec, struct nx_str *value, int64_t *num,
			  struct nx_error *err)
{
	bool ok = true;
	switch (spec->type) {
	case NX_OPT_STRING:
	case NX_OPT_SECRET:
		ok = value->len <= 65536 && (value->len == 0 || !memchr(value->ptr, 0, value->len));
		break;
	case NX_OPT_INT:
		ok = nx_str_to_i64(*value, num);
		break;
	case NX_OPT_SECONDS:
		ok = parse_ms(*value, num);
		break;
	case NX_OPT_RATIO:
		ok = parse_ratio(*value, num);
		break;
	case NX_OPT_BOOL:
		*num = nx_str_is(*value, "true");
		ok = *num || nx_str_is(*value, "false");
		break;
	case NX_OPT_ENUM:
		ok = one_of(spec->choices, *value, value);
		break;
	}
	bool ranged = (spec->type == NX_OPT_INT || spec->type == NX_OPT_SECONDS) &&
		      (spec->min || spec->max);
	if (ok && ranged && (*num < spec->min || *num > spec->max))
		ok = false;
	if (ok)
		return NX_OK;
	if (spec->type == NX_OPT_ENUM)
		return nx_fail(err, NX_E_CONFIG_INVALID, "%s must be one of %s.", spec->key,
			       spec->choices);
	if (spec->type == NX_OPT_RATIO)
		return nx_fail(err, NX_E_CONFIG_INVALID, "%s must be 0 to 1.", spec->key);
	if (ranged && spec->type == NX_OPT_SECONDS)
		return nx_fail(err, NX_E_CONFIG_INVALID, "%s must be %g to %g seconds.", spec->key,
			       (double)spec->min / 1000, (double)spec->max / 1000);
	if (ranged)
		return nx_fail(err, NX_E_CONFIG_INVALID, "%s must be %lld to %lld.", spec->key,
			       (long long)spec->min, (long long)spec->max);
	return nx_fail(err, NX_E_CONFIG_INVALID, "%s has a wrong type or form.", spec->key);
}

enum nx_code nx_options_set(struct nx_options *o, const struct nx_option *spec, struct nx_str value,
			    struct nx_error *err)
{
	int64_t num = 0;
	enum nx_code c = check(spec, &value, &num, err);
	if (c)
		return c;
	struct entry *e = calloc(1, sizeof(*e));
	char *text = malloc(value.len + 1);
	if (!e || !text) {
		free(e);
		free(text);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	if (value.len > 0)
		memcpy(text, value.ptr, value.len);
	text[value.len] = '\0';
	*e = (struct entry){ NULL, spec, text, value.len, num };
	struct entry **p = &o->first;
	while (*p && strcmp((*p)->spec->key, spec->key) != 0)
		p = &(*p)->next;
	if (*p) {
		struct entry *old = *p;
		e->next = old->next;
		entry_free(old);
	}
	*p = e;
	return NX_OK;
}

static struct entry *find(const struct nx_options *o, const char *key)
{
	for (struct entry *e = o->first; e; e = e->next)
		if (strcmp(e->spec->key, key) == 0)
			return e;
	return NULL;
}

enum nx_code nx_options_defaults(struct nx_options *o, const struct nx_option *table,
				 struct nx_error *err)
{
	for (const struct nx_option *t = table; t->key; t++) {
		if (find(o, t->key))
			continue;
		if (t->fallback) {
			enum nx_code c = nx_options_set(o, t, nx_str(t->fallback), err);
			if (c)
				return c;
		} else if (t->flags & NX_OPTF_REQUIRED) {
			return nx_fail(err, NX_E_CONFIG_INVALID, "%s is required.", t->key);
		}
	}
	return NX_OK;
}

const char *nx_opt_str(const struct nx_options *o, const char *key, const char *fallback)
{
	struct entry *e = find(o, key);
	return e ? e->text : fallback;
}

int64_t nx_opt_int(const struct nx_options *o, const char *key, int64_t fallback)
{
	struct entry *e = find(o, key);
	return e ? e->num : fallback;
}

int64_t nx_opt_ms(const struct nx_options *o, const char *key, int64_t fallback)
{
	return nx_opt_int(o, key, fallback);
}

bool nx_opt_bool(const struct nx_options *o, const char *key, bool fallback)
{
	return nx_opt_int(o, key, fallback) != 0;
}

bool nx_opt_has(const struct nx_options *o, const char *key)
{
	return find(o, key) != NULL;
}

static bool covers(const struct nx_options *a, const struct nx_options *b)
{
	for (const struct entry *e = b->first; e; e = e->next) {
		const struct entry *f = find(a, e->spec->key);
		if (!f || f->len != e->len || memcmp(f->text, e->text, e->len) != 0)
			return false;
	}
	return true;
}

bool nx_options_equal(const struct nx_options *a, const struct nx_options *b)
{
	return covers(a, b) && covers(b, a);
}
