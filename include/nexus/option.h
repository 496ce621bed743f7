/* Options of a data source: one table per driver drives parsing, defaults, docs, OpenAPI, redaction.
 *
 * Keys are as in the JSON config, camelCase; a dot descends into an object ("authentication.type").
 * Threads: a filled nx_options is read-only and may be shared. Secrets: values of type SECRET are
 * wiped when the set is freed and have no print function. */
#ifndef NEXUS_OPTION_H
#define NEXUS_OPTION_H

#include "nexus/arena.h"
#include "nexus/error.h"
#include "nexus/str.h"

enum nx_opt_type {
	NX_OPT_STRING,
	NX_OPT_INT,      /* min..max */
	NX_OPT_BOOL,
	NX_OPT_SECONDS,  /* whole or decimal seconds, kept as milliseconds; min..max in ms */
	NX_OPT_RATIO,    /* 0..1 with up to six decimals, kept as millionths */
	NX_OPT_ENUM,     /* one of choices, "a|b|c", matched without case, kept as listed */
	NX_OPT_SECRET,   /* string; encrypted at rest, never shown */
};

enum nx_opt_flag {
	NX_OPTF_REQUIRED = 1u << 0,
	NX_OPTF_PROPS = 1u << 1, /* lives in additionalProps in the JSON config */
	NX_OPTF_POOL = 1u << 2,  /* read by the gateway, not by the driver */
	NX_OPTF_LIVE = 1u << 3,  /* a configuration key that a reload changes; others need a restart */
};

struct nx_option {
	const char *key;      /* NULL ends a table */
	enum nx_opt_type type;
	unsigned flags;
	const char *fallback; /* default as text; NULL: absent */
	int64_t min, max;     /* INT and SECONDS; both 0: no range */
	const char *choices;  /* ENUM */
	const char *help;     /* one sentence */
};

/* What every source understands; the gateway adds these to each driver's table. */
extern const struct nx_option nx_options_common[];
/* host port database username password ssl...: a network driver lists it first via .base. */

struct nx_options; /* validated values, made by the catalog */

struct nx_options *nx_options_new(void);
void nx_options_free(struct nx_options *o); /* wipes secrets */
/* Sets one value given as text, checked against `spec`. The message names the key, never the value. */
NX_NODISCARD enum nx_code nx_options_set(struct nx_options *o, const struct nx_option *spec,
					 struct nx_str value, struct nx_error *err);
/* Fills defaults of `table` for keys not set; a missing required key is NX_E_CONFIG_INVALID. */
NX_NODISCARD enum nx_code nx_options_defaults(struct nx_options *o, const struct nx_option *table,
					      struct nx_error *err);
const struct nx_option *nx_option_find(const struct nx_option *table, struct nx_str key);

/* Absent: fallback as given. Strings are NUL-terminated and live as long as `o`. */
const char *nx_opt_str(const struct nx_options *o, const char *key, const char *fallback);
int64_t nx_opt_int(const struct nx_options *o, const char *key, int64_t fallback);
int64_t nx_opt_ms(const struct nx_options *o, const char *key, int64_t fallback);
bool nx_opt_bool(const struct nx_options *o, const char *key, bool fallback);
bool nx_opt_has(const struct nx_options *o, const char *key);
/* The same keys with the same values? Secrets count. */
bool nx_options_equal(const struct nx_options *a, const struct nx_options *b);

#endif
