/* Reads the corpora of corpus/README.md; for tests and tools only. */
#ifndef NX_SQL_CORPUS_H
#define NX_SQL_CORPUS_H

#include "sql/gate.h"

struct nx_corpus_case {
	unsigned line; /* in its file */
	char code[32]; /* .refuse: the expected code */
	struct nx_str sql; /* expanded; owned by the reader until the next call */
	struct nx_gate_policy policy;
	bool live; /* runs on the reference server */
};

struct nx_corpus;

/* NULL: the file cannot be read. `refuse`: lines begin with a code. */
struct nx_corpus *nx_corpus_open(const char *path, bool refuse);
bool nx_corpus_next(struct nx_corpus *c, struct nx_corpus_case *ret);
void nx_corpus_free(struct nx_corpus *c);

#endif
