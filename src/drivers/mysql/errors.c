/* Error numbers of MySQL, MariaDB and libmariadb as ours, and what of their text may be shown. */
#include "mysql_int.h"

/* What a client may be told. */
enum show {
	HIDE, /* the text names an account, an address or a value: ours instead, theirs to the log */
	TEXT, /* only what the user wrote or may see anyway: as the server says it */
};

static const struct row {
	unsigned number;
	enum nx_code code;
	enum show show;
} rows[] = {
	/* the SQL itself */
	{ 1064, NX_E_SQL_PARSE, TEXT }, /* syntax */
	{ 1149, NX_E_SQL_PARSE, TEXT },
	{ 1065, NX_E_EMPTY_QUERY, TEXT },
	{ 1295, NX_E_RO_STATEMENT, HIDE }, /* not in the prepared statement protocol */
	{ 1792, NX_E_RO_SERVER, TEXT }, /* write in a READ ONLY transaction */
	{ 1290, NX_E_RO_SERVER, TEXT }, /* --read-only and other options forbid it */
	{ 1836, NX_E_RO_SERVER, TEXT },
	{ 1146, NX_E_UNDEFINED_OBJECT, TEXT }, /* table */
	{ 1051, NX_E_UNDEFINED_OBJECT, TEXT },
	{ 1109, NX_E_UNDEFINED_OBJECT, TEXT },
	{ 1054, NX_E_UNDEFINED_OBJECT, TEXT }, /* column */
	{ 1305, NX_E_UNDEFINED_OBJECT, TEXT }, /* function */
	{ 1630, NX_E_UNDEFINED_OBJECT, TEXT },
	{ 1049, NX_E_UNDEFINED_OBJECT, TEXT }, /* database */
	{ 1046, NX_E_UNDEFINED_OBJECT, TEXT }, /* no database selected */
	{ 1176, NX_E_UNDEFINED_OBJECT, TEXT }, /* index in a hint */
	{ 4091, NX_E_UNDEFINED_OBJECT, TEXT }, /* sequence */
	{ 1193, NX_E_UNDEFINED_OBJECT, TEXT }, /* system variable */
	{ 1210, NX_E_SQL_ERROR, HIDE }, /* arguments; may quote them */
	{ 1390, NX_E_PARAMETER_COUNT, HIDE }, /* over 65535 placeholders */
	{ 1436, NX_E_TOO_COMPLEX, HIDE }, /* thread stack */
	{ 4002, NX_E_TOO_COMPLEX, HIDE },
	{ 1104, NX_E_TOO_COMPLEX, TEXT }, /* max_join_size */
	{ 1116, NX_E_TOO_COMPLEX, TEXT }, /* too many tables in a join */
	{ 1117, NX_E_TOO_COMPLEX, TEXT },
	{ 1153, NX_E_SQL_TOO_LONG, HIDE }, /* packet over max_allowed_packet */
	/* login and rights */
	{ 1044, NX_E_SOURCE_PERMISSION, HIDE }, /* no access to a database; at login: SOURCE_AUTH */
	{ 1045, NX_E_SOURCE_AUTH, HIDE },
	{ 1698, NX_E_SOURCE_AUTH, HIDE },
	{ 1251, NX_E_SOURCE_AUTH, HIDE }, /* authentication protocol */
	{ 1275, NX_E_SOURCE_AUTH, HIDE },
	{ 1524, NX_E_SOURCE_AUTH, HIDE }, /* plugin not loaded */
	{ 1820, NX_E_SOURCE_AUTH, HIDE }, /* password must be changed */
	{ 1862, NX_E_SOURCE_AUTH, HIDE },
	{ 3118, NX_E_SOURCE_AUTH, HIDE }, /* account locked */
	{ 4151, NX_E_SOURCE_AUTH, HIDE },
	{ 3159, NX_E_SOURCE_AUTH, HIDE }, /* require_secure_transport */
	{ 1129, NX_E_SOURCE_DOWN, HIDE }, /* host blocked */
	{ 1130, NX_E_SOURCE_AUTH, HIDE }, /* host not allowed */
	{ 1142, NX_E_SOURCE_PERMISSION, HIDE }, /* table */
	{ 1143, NX_E_SOURCE_PERMISSION, HIDE }, /* column */
	{ 1227, NX_E_SOURCE_PERMISSION, HIDE },
	{ 1345, NX_E_SOURCE_PERMISSION, HIDE },
	{ 1356, NX_E_SOURCE_PERMISSION, HIDE }, /* view with missing rights or objects */
	{ 1370, NX_E_SOURCE_PERMISSION, HIDE }, /* routine */
	{ 1449, NX_E_SOURCE_PERMISSION, HIDE }, /* definer gone */
	/* ended */
	{ 1317, NX_E_QUERY_CANCELED, HIDE },
	{ 1028, NX_E_QUERY_CANCELED, HIDE }, /* sort aborted */
	{ 1969, NX_E_QUERY_TIMEOUT, HIDE }, /* max_statement_time */
	{ 3024, NX_E_QUERY_TIMEOUT, HIDE }, /* max_execution_time */
	{ 1028, NX_E_QUERY_CANCELED, HIDE },
	/* resources */
	{ 1040, NX_E_SOURCE_BUSY, HIDE },
	{ 1203, NX_E_SOURCE_BUSY, HIDE },
	{ 1226, NX_E_SOURCE_BUSY, HIDE },
	{ 1461, NX_E_SOURCE_BUSY, HIDE }, /* max_prepared_stmt_count */
	{ 1021, NX_E_SOURCE_BUSY, HIDE }, /* disk full */
	{ 1037, NX_E_SOURCE_BUSY, HIDE },
	{ 1038, NX_E_SOURCE_BUSY, HIDE }, /* sort memory */
	{ 1041, NX_E_SOURCE_BUSY, HIDE },
	{ 1114, NX_E_SOURCE_BUSY, HIDE }, /* temporary table full */
	{ 1135, NX_E_SOURCE_BUSY, HIDE },
	{ 1205, NX_E_CONFLICT, HIDE }, /* lock wait */
	{ 1213, NX_E_CONFLICT, HIDE }, /* deadlock */
	{ 1020, NX_E_CONFLICT, HIDE }, /* row changed since read */
	{ 1412, NX_E_CONFLICT, HIDE }, /* table definition changed */
	{ 1615, NX_E_CONFLICT, HIDE }, /* needs to be re-prepared */
	{ 2057, NX_E_CONFLICT, HIDE }, /* columns changed under a prepared statement */
	/* values */
	{ 1260, NX_E_DATA_ERROR, HIDE },
	{ 1264, NX_E_DATA_ERROR, HIDE },
	{ 1265, NX_E_DATA_ERROR, HIDE },
	{ 1292, NX_E_DATA_ERROR, HIDE },
	{ 1365, NX_E_DATA_ERROR, HIDE },
	{ 1366, NX_E_DATA_ERROR, HIDE },
	{ 1367, NX_E_DATA_ERROR, HIDE },
	{ 1406, NX_E_DATA_ERROR, HIDE },
	{ 1411, NX_E_DATA_ERROR, HIDE },
	{ 1525, NX_E_DATA_ERROR, HIDE },
	{ 1690, NX_E_DATA_ERROR, HIDE }, /* out of range in an expression: quotes it */
	{ 3141, NX_E_DATA_ERROR, HIDE }, /* invalid JSON text */
	{ 1242, NX_E_SQL_ERROR, TEXT }, /* subquery with more than one row */
	/* the server */
	{ 1053, NX_E_SOURCE_LOST, HIDE }, /* shutdown */
	{ 1077, NX_E_SOURCE_LOST, HIDE },
	{ 1079, NX_E_SOURCE_LOST, HIDE },
	{ 1080, NX_E_SOURCE_LOST, HIDE },
	{ 1927, NX_E_SOURCE_LOST, HIDE }, /* connection was killed */
	{ 3169, NX_E_SOURCE_LOST, HIDE }, /* session was killed */
	{ 4031, NX_E_SOURCE_LOST, HIDE }, /* inactivity */
	{ 1152, NX_E_SOURCE_LOST, HIDE },
	{ 1158, NX_E_SOURCE_LOST, HIDE },
	{ 1159, NX_E_SOURCE_LOST, HIDE },
	{ 1160, NX_E_SOURCE_LOST, HIDE },
	{ 1161, NX_E_SOURCE_LOST, HIDE },
	{ 1016, NX_E_SOURCE_FAILED, HIDE },
	{ 1017, NX_E_SOURCE_FAILED, HIDE },
	{ 1030, NX_E_SOURCE_FAILED, HIDE },
	{ 1034, NX_E_SOURCE_FAILED, HIDE },
	{ 1194, NX_E_SOURCE_FAILED, HIDE }, /* table crashed */
	{ 1195, NX_E_SOURCE_FAILED, HIDE },
	{ 1105, NX_E_SOURCE_FAILED, HIDE }, /* unknown error; TiDB's and Doris' favourite */
	{ 1429, NX_E_SOURCE_FAILED, HIDE }, /* foreign server */
	/* libmariadb */
	{ 2002, NX_E_SOURCE_DOWN, HIDE },
	{ 2003, NX_E_SOURCE_DOWN, HIDE },
	{ 2004, NX_E_SOURCE_DOWN, HIDE },
	{ 2005, NX_E_SOURCE_DOWN, HIDE },
	{ 2006, NX_E_SOURCE_LOST, HIDE },
	{ 2007, NX_E_PROTOCOL, HIDE },
	{ 2008, NX_E_MEMORY, HIDE },
	{ 2012, NX_E_PROTOCOL, HIDE },
	{ 2013, NX_E_SOURCE_LOST, HIDE },
	{ 2014, NX_E_INTERNAL, HIDE }, /* commands out of sync */
	{ 2020, NX_E_RESULT_TOO_LARGE, HIDE }, /* a row over our packet limit */
	{ 2026, NX_E_SOURCE_AUTH, HIDE }, /* TLS */
	{ 2027, NX_E_PROTOCOL, HIDE },
	{ 2047, NX_E_PROTOCOL, HIDE },
	{ 2055, NX_E_SOURCE_LOST, HIDE },
	{ 2058, NX_E_SOURCE_AUTH, HIDE },
	{ 2059, NX_E_SOURCE_AUTH, HIDE }, /* authentication plugin not available or not allowed */
	{ 2061, NX_E_SOURCE_AUTH, HIDE },
	{ 5010, NX_E_SOURCE_AUTH, HIDE }, /* plug-in not among those we allow */
	{ 5014, NX_E_PROTOCOL, HIDE }, /* malformed packet */
};

static enum nx_code by_sqlstate(const char *s, unsigned number)
{
	static const struct {
		char prefix[6];
		enum nx_code code;
	} classes[] = {
		{ "25006", NX_E_RO_SERVER },	  { "08", NX_E_SOURCE_LOST },
		{ "22", NX_E_DATA_ERROR },	  { "28", NX_E_SOURCE_AUTH },
		{ "40", NX_E_CONFLICT },	  { "42", NX_E_SQL_ERROR },
		{ "70100", NX_E_QUERY_CANCELED },
	};
	for (size_t i = 0; i < NX_COUNTOF(classes); i++)
		if (strncmp(s, classes[i].prefix, strlen(classes[i].prefix)) == 0)
			return classes[i].code;
	return number >= 2000 && number < 3000 ? NX_E_PROTOCOL : NX_E_SQL_ERROR;
}

bool my_is_lost(unsigned number)
{
	for (size_t i = 0; i < NX_COUNTOF(rows); i++)
		if (rows[i].number == number)
			return rows[i].code == NX_E_SOURCE_LOST || rows[i].code == NX_E_PROTOCOL ||
			       rows[i].code == NX_E_SOURCE_DOWN || number == 2014 || number == 2020;
	return number >= 2000 && number < 3000;
}

static const char *plain(enum nx_code code)
{
	switch ((unsigned)code) {
	case NX_E_SOURCE_AUTH:
		return "The source refused the gateway's login.";
	case NX_E_SOURCE_DOWN:
		return "The source cannot be reached.";
	case NX_E_SOURCE_LOST:
		return "The connection to the source broke.";
	case NX_E_SOURCE_PERMISSION:
		return "The source denies this to the gateway's account.";
	case NX_E_RO_STATEMENT:
		return "The source cannot describe this statement before it runs.";
	case NX_E_DATA_ERROR:
		return "The source found a value invalid for an operation.";
	case NX_E_RESULT_TOO_LARGE:
		return "A row is larger than the gateway accepts.";
	default:
		return nx_code_help(code);
	}
}

/* The server quotes the SQL from where it stopped understanding: «near '<text>' at line 3». */
static void locate(struct nx_error *err, const char *text, const struct nx_query *q)
{
	const char *near = strstr(text, "near '"), *end = NULL;
	if (!near)
		return;
	struct nx_str quote = nx_strn(near + 6, 0);
	for (const char *p = quote.ptr; (p = strstr(p, "' at line ")); p++)
		end = p;
	if (!end)
		return;
	quote.len = (size_t)(end - quote.ptr);
	if (quote.len == 0) {
		nx_error_at(err, q->sql.len, "", 0);
		return;
	}
	/* it runs to the end of the SQL or to 80 characters; the token is its first word */
	size_t word = strcspn(quote.ptr, " \t\r\n");
	for (size_t at = 0; at + quote.len <= q->sql.len; at++) {
		if (memcmp(q->sql.ptr + at, quote.ptr, quote.len) != 0)
			continue;
		nx_error_at(err, at, quote.ptr, word < quote.len ? word : quote.len);
		return;
	}
}

enum nx_code my_fail(struct nx_error *err, unsigned number, const char *sqlstate, const char *text,
		     enum my_stage stage, const struct nx_query *q)
{
	enum show show = TEXT;
	enum nx_code code = NX_OK;
	for (size_t i = 0; i < NX_COUNTOF(rows) && !code; i++) {
		if (rows[i].number == number) {
			code = rows[i].code;
			show = rows[i].show;
		}
	}
	if (!code)
		code = by_sqlstate(sqlstate, number);
	if (stage == MY_AT_CONNECT) {
		show = HIDE;
		if (number == 1044 || number == 1049 || code == NX_E_SOURCE_PERMISSION)
			code = NX_E_SOURCE_AUTH;
		else if (code == NX_E_SOURCE_LOST || code == NX_E_PROTOCOL ||
			 code == NX_E_SQL_ERROR)
			code = NX_E_SOURCE_DOWN;
	}
	/* Once values are bound, a text we do not know may quote one. */
	bool has_values = stage == MY_AT_EXECUTE && q && q->nparams > 0;
	if (has_values && code != NX_E_UNDEFINED_OBJECT && code != NX_E_RO_SERVER)
		show = HIDE;
	if (show == TEXT)
		nx_fail(err, code, "%.380s", text);
	else if (code == NX_E_SQL_ERROR || code == NX_E_SOURCE_FAILED || code == NX_E_DATA_ERROR)
		nx_fail(err, code, "%s (error %u)", plain(code), number);
	else
		nx_fail(err, code, "%s", plain(code));
	bool server = number < 2000 || number >= 3000;
	nx_error_native(err, (int32_t)number,
			server && strcmp(sqlstate, "HY000") != 0 ? sqlstate : NULL);
	if (show == HIDE && !has_values)
		nx_error_detail(err, "%u: %.380s", number, text);
	if (code == NX_E_SQL_PARSE && err && q)
		locate(err, text, q);
	return code;
}
