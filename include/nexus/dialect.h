/* The SQL dialects the gateway can judge; src/sql/dialects.def is the one list. */
#ifndef NEXUS_DIALECT_H
#define NEXUS_DIALECT_H

#include "nexus/str.h"

enum nx_dialect {
#define NX_DIALECT(NAME, text) NX_D_##NAME,
#include "nexus/dialects.def"
#undef NX_DIALECT
	NX_DIALECT_COUNT
};

const char *nx_dialect_name(enum nx_dialect d);

#endif
