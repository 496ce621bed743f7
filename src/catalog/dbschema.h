/* What a data source holds: its schemas, tables, columns and keys as one immutable, counted snapshot.
 *
 * A snapshot is filled row by row by one thread, finished, and from then on only read, by any thread.
 * It is bounded: rows beyond the limits are left out and `truncated` says so. All slices point into
 * the snapshot. No I/O. */
#ifndef NX_CATALOG_DBSCHEMA_H
#define NX_CATALOG_DBSCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "nexus/attr.h"
#include "nexus/dialect.h"
#include "nexus/str.h"

struct nx_db_column {
	struct nx_str name, native, key, comment, dflt; /* absent: ptr NULL, as all texts here */
	const char *type; /* as columns[].type of a result has it; NULL: not known beforehand */
	uint32_t position; /* from 1 */
	int8_t nullable;   /* 1 yes, 0 no, -1 unknown */
	uint32_t table;    /* index */
	struct nx_str of_schema, of_table; /* while it is filled */
};

enum nx_db_key_kind { NX_DB_PRIMARY, NX_DB_UNIQUE, NX_DB_FOREIGN, NX_DB_INDEX };

struct nx_db_key { /* a row for each column of a key; rows of one key stand together, in order */
	enum nx_db_key_kind kind;
	struct nx_str name, column, ref_schema, ref_table, ref_column;
	uint32_t position; /* from 1 */
	uint32_t table;
	struct nx_str of_schema, of_table;
};

struct nx_db_table {
	struct nx_str schema, name, kind, comment;
	int64_t row_estimate; /* -1: unknown */
	uint32_t column, ncolumns; /* in columns[] */
	uint32_t key, nkeys;       /* in keys[] */
};

struct nx_db_limits {
	uint32_t tables, columns; /* keys as columns */
	size_t bytes;
};

struct nx_dbschema {
	struct nx_db_table *tables; /* ordered by schema, name */
	struct nx_db_column *columns;
	struct nx_db_key *keys;
	struct nx_str *functions; /* that only read, by the source's word; ordered by bytes */
	uint32_t ntables, ncolumns, nkeys, nfunctions;
	bool truncated;  /* something was left out */
	bool keys_known; /* the driver told the keys */
	int64_t asked_at, loaded_at; /* nx_now(), set by the owner: before the first row, after the last */
	int64_t loaded_wall;         /* microseconds since 1970 */
};

/* NULL: out of memory. The caller owns one reference. */
struct nx_dbschema *nx_dbschema_new(enum nx_dialect dialect, const struct nx_db_limits *limits);
void nx_dbschema_ref(struct nx_dbschema *s);
void nx_dbschema_unref(struct nx_dbschema *s); /* NULL is fine */
size_t nx_dbschema_bytes(const struct nx_dbschema *s);

/* Each copies the row. False: a limit is reached, `truncated` is set, more of the kind is useless. */
NX_NODISCARD bool nx_dbschema_add_table(struct nx_dbschema *s, const struct nx_db_table *t);
NX_NODISCARD bool nx_dbschema_add_column(struct nx_dbschema *s, const struct nx_db_column *c);
NX_NODISCARD bool nx_dbschema_add_key(struct nx_dbschema *s, const struct nx_db_key *k);
NX_NODISCARD bool nx_dbschema_add_function(struct nx_dbschema *s, struct nx_str name);
/* Sorts and links; rows of tables that are not there go. */
void nx_dbschema_finish(struct nx_dbschema *s);

/* ---- reading; an empty slice of a name means any ---- */

/* The first table from index `from` on that has these names, ASCII case aside; ntables: none. */
uint32_t nx_dbschema_find(const struct nx_dbschema *s, struct nx_str schema, struct nx_str table,
			  uint32_t from);
bool nx_dbschema_has_schema(const struct nx_dbschema *s, struct nx_str schema);
const struct nx_db_column *nx_dbschema_column(const struct nx_dbschema *s, uint32_t table,
					      struct nx_str name);

/* How well the words of `search` (split at blanks) fit a table: its names, comment and columns. 0: one
 * of the words does not occur. */
uint32_t nx_dbschema_score(const struct nx_dbschema *s, uint32_t table, struct nx_str search);
bool nx_dbschema_word_in(struct nx_str text, struct nx_str search); /* does any word occur */

/* "Did you mean": up to `max` names near to the one given, nearest first; returns how many. */
#define NX_SUGGESTIONS 3
uint32_t nx_dbschema_near_tables(const struct nx_dbschema *s, struct nx_str schema, struct nx_str name,
				 struct nx_str ret[NX_SUGGESTIONS]);
uint32_t nx_dbschema_near_columns(const struct nx_dbschema *s, uint32_t table, struct nx_str name,
				  struct nx_str ret[NX_SUGGESTIONS]);
/* Edits (insert, delete, replace, swap) from a to b, ASCII case aside; limit + 1: more than limit. */
unsigned nx_edit_distance(struct nx_str a, struct nx_str b, unsigned limit);

/* The logical type a column of this declared type has in a result; NULL: only a query can tell. */
const char *nx_db_type(enum nx_dialect d, struct nx_str native);

#endif
