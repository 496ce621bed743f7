/* Names of the enums that come from .def tables. */
#include "nexus/batch.h"
#include "nexus/dialect.h"

static const char *const type_names[] = {
#define NX_TYPE(name, text) [NX_T_##name] = text,
#include "nexus/types.def"
#undef NX_TYPE
};

const char *nx_type_name(enum nx_type t)
{
	return t < NX_TYPE_COUNT ? type_names[t] : "unknown";
}

static const char *const dialect_names[] = {
#define NX_DIALECT(name, text) [NX_D_##name] = text,
#include "nexus/dialects.def"
#undef NX_DIALECT
};

const char *nx_dialect_name(enum nx_dialect d)
{
	return d < NX_DIALECT_COUNT ? dialect_names[d] : "unknown";
}
