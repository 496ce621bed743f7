/* Advice from the cached schema [QV-005]: tables and columns that are not there, and what may have been
 * meant. It asks no source: without a cached schema there is none. */
#ifndef NX_GATE_ADVISE_H
#define NX_GATE_ADVISE_H

#include "catalog/dbschema.h"
#include "nexus/error.h"

struct nx_buf;
struct nx_request;

struct nx_advice {
	struct nx_str table;  /* that is unknown, or holds no such column; may be empty */
	struct nx_str column; /* empty: it is about the table */
	uint32_t position;    /* byte offset in the SQL */
	bool certain;         /* the schema is fresh and whole, and nothing else could be meant */
	uint32_t nsuggestions;
	struct nx_str suggestions[NX_SUGGESTIONS];
};

#define NX_ADVICE_MAX 20

/* About r's statement, which has passed validate. The texts live in r's arena. */
uint32_t nx_advise(struct nx_request *r, struct nx_advice ret[NX_ADVICE_MAX]);
/* "There is no column x in t; did you mean y?" */
void nx_advice_text(const struct nx_advice *a, struct nx_buf *b);

#endif
