#include "sqlite_int.h"

/* SQLITE_ERROR covers most of what can be wrong with a statement; only its text tells which. */
static enum nx_code statement_error(const char *text, bool preparing, const char **sqlstate)
{
	static const struct {
		const char *starts;
		enum nx_code code;
		const char *sqlstate;
	} known[] = {
		{ "no such table", NX_E_UNDEFINED_OBJECT, "42P01" },
		{ "no such column", NX_E_UNDEFINED_OBJECT, "42703" },
		{ "no such function", NX_E_UNDEFINED_OBJECT, "42883" },
		{ "no such ", NX_E_UNDEFINED_OBJECT, "42704" },
		{ "wrong number of arguments", NX_E_SQL_ERROR, "42883" },
		{ "ambiguous column name", NX_E_SQL_ERROR, "42702" },
		{ "not authorized to use function", NX_E_RO_FUNCTION, "25006" },
		{ "not authorized", NX_E_RO_SERVER, "25006" },
		{ "near ", NX_E_SQL_ERROR, "42601" },
		{ "incomplete input", NX_E_SQL_ERROR, "42601" },
		{ "unrecognized token", NX_E_SQL_ERROR, "42601" },
	};
	for (size_t i = 0; i < NX_COUNTOF(known); i++) {
		if (strncmp(text, known[i].starts, strlen(known[i].starts)) == 0) {
			*sqlstate = known[i].sqlstate;
			return known[i].code;
		}
	}
	*sqlstate = NULL;
	if (strstr(text, "may not be modified"))
		return NX_E_RO_SERVER;
	return preparing ? NX_E_SQL_ERROR : NX_E_DATA_ERROR;
}

static enum nx_code code_of(int rc, const char *text, bool preparing, const char **sqlstate)
{
	*sqlstate = NULL;
	switch (rc & 0xff) {
	case SQLITE_ERROR:
		return statement_error(text, preparing, sqlstate);
	case SQLITE_AUTH:
		return strstr(text, "function") ? NX_E_RO_FUNCTION : NX_E_RO_SERVER;
	case SQLITE_READONLY:
		return NX_E_RO_SERVER;
	case SQLITE_PERM:
		return NX_E_SOURCE_PERMISSION;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return NX_E_SOURCE_BUSY;
	case SQLITE_NOMEM:
		return NX_E_MEMORY;
	case SQLITE_CANTOPEN:
		return NX_E_SOURCE_DOWN;
	case SQLITE_TOOBIG:
		return preparing ? NX_E_SQL_ERROR : NX_E_DATA_ERROR;
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
	case SQLITE_RANGE:
		return NX_E_DATA_ERROR;
	default:
		return NX_E_SOURCE_FAILED; /* IOERR, CORRUPT, NOTADB, FULL, PROTOCOL, ... */
	}
}

enum nx_code lite_error(struct lite_conn *c, int rc, bool preparing, struct nx_error *err)
{
	if ((rc & 0xff) == SQLITE_INTERRUPT)
		return lite_cancel_code(c, err);
	if ((rc & 0xff) == SQLITE_BUSY && atomic_load(&c->cancelled))
		return lite_cancel_code(c, err); /* while it waited for a writer */
	const char *text = c->db ? sqlite3_errmsg(c->db) : "";
	const char *sqlstate;
	enum nx_code code = code_of(rc, text, preparing, &sqlstate);
	int at = preparing && c->db ? sqlite3_error_offset(c->db) : -1;
	/* The texts quote the statement and names, never stored values. */
	nx_fail(err, code, "%s.", text);
	nx_error_native(err, rc, sqlstate);
	if (at >= 0)
		nx_error_at(err, (size_t)at, NULL, 0);
	return code;
}
