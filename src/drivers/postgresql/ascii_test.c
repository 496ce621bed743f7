/* A SQL_ASCII database stores whatever bytes it was given: here some are GBK. */
#include "harness.h"

NX_TEST(bytes_that_are_not_utf8)
{
	struct session s;
	session_open(&s, NULL);
	admin("DROP TABLE IF EXISTS bytes; CREATE TABLE bytes (id int, t text)");
	admin("INSERT INTO bytes VALUES (1, 'plain'), (2, '\xe4\xb8\xad'), (3, "
	      "'\xd6\xd0\xce\xc4')");
	NX_EQ_S("\xe4\xb8\xad", one(&s, "SELECT t FROM bytes WHERE id = 2"));
	struct result r = run_sql(&s, "SELECT id, t FROM bytes ORDER BY id", true);
	NX_EQ_I(NX_E_DATA_ERROR, r.code);
	NX_EQ_S("22021", r.err.sqlstate);
	NX_EQ_I(NX_CONN_CLEAN, r.state);
	result_done(&r);
	session_close(&s);
}
