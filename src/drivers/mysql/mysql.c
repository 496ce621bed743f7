/* The driver table, its options, and the source: what a connection will be made from. */
#include "mysql_int.h"

#include <stdlib.h>

static const struct nx_option options[] = {
	{ "host", NX_OPT_STRING, NX_OPTF_REQUIRED, NULL, 0, 0, NULL,
	  "Name or address of the server." },
	{ "port", NX_OPT_INT, 0, "3306", 1, 65535, NULL, "TCP port." },
	{ "database", NX_OPT_STRING, 0, NULL, 0, 0, NULL, "Default database; absent: none." },
	{ "username", NX_OPT_STRING, NX_OPTF_REQUIRED, NULL, 0, 0, NULL,
	  "Account to log in with." },
	{ "password", NX_OPT_SECRET, 0, NULL, 0, 0, NULL, "Its password." },
	{ "ssl", NX_OPT_ENUM, 0, "prefer", 0, 0, "disable|prefer|require|verify-ca|verify-full",
	  "TLS: never, if offered, always, or always with a verified certificate and host name "
	  "(verify-ca is held to verify-full)." },
	{ "sslCa", NX_OPT_STRING, 0, NULL, 0, 0, NULL,
	  "PEM file with the certificate authorities to trust; absent: the system's." },
	{ "charset", NX_OPT_ENUM, 0, "utf8mb4", 0, 0, "utf8mb4",
	  "Character set of the connection; the server converts from every column's own." },
	{ "statementCache", NX_OPT_INT, NX_OPTF_PROPS, "64", 0, 1024, NULL,
	  "Prepared statements kept per connection." },
	{ .key = NULL },
};

static enum nx_code init(struct nx_error *err)
{
	if (mysql_library_init(0, NULL, NULL))
		return nx_fail(err, NX_E_INTERNAL, "The MySQL client library could not be set up.");
	return NX_OK;
}

static void fini(void)
{
	mysql_library_end();
}

/* libmariadb takes a host with ';' for a connection string of options and one with ',' for a list:
 * only what a name or an address is made of may get there. */
static bool host_ok(const char *host)
{
	size_t len = strlen(host);
	return len > 0 && len <= 255 &&
	       strspn(host,
		      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%") == len;
}

static enum my_ssl ssl_mode(const char *text)
{
	if (strcmp(text, "disable") == 0)
		return MY_SSL_DISABLE;
	if (strcmp(text, "prefer") == 0)
		return MY_SSL_PREFER;
	return strcmp(text, "require") == 0 ? MY_SSL_REQUIRE : MY_SSL_VERIFY;
}

static enum nx_code open_source(const struct nx_options *opts, struct nx_source **ret,
				struct nx_error *err)
{
	const char *host = nx_opt_str(opts, "host", "");
	if (!host_ok(host))
		return nx_fail(err, NX_E_CONFIG_INVALID, "host must be one host name or address.");
	struct my_source *s = calloc(1, sizeof(*s));
	if (!s)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	s->base.driver = &nx_driver_mysql;
	s->host = host;
	s->port = (unsigned)nx_opt_int(opts, "port", 3306);
	s->user = nx_opt_str(opts, "username", "");
	s->password = nx_opt_str(opts, "password", "");
	s->database = nx_opt_str(opts, "database", NULL);
	if (s->database && !*s->database)
		s->database = NULL;
	s->ssl = ssl_mode(nx_opt_str(opts, "ssl", "prefer"));
	s->ssl_ca = nx_opt_str(opts, "sslCa", NULL);
	s->timeout_ms = nx_opt_ms(opts, "timeout", 60000);
	s->cache_entries = (unsigned)nx_opt_int(opts, "statementCache", 64);
	*ret = &s->base;
	return NX_OK;
}

static void close_source(struct nx_source *s)
{
	free((struct my_source *)s);
}

const struct nx_driver nx_driver_mysql = {
	.abi = NX_DRIVER_ABI,
	.name = "mysql",
	.caps = NX_CAP_STREAM | NX_CAP_CANCEL | NX_CAP_RO_SESSION | NX_CAP_DESCRIBE |
		NX_CAP_ONE_STATEMENT | NX_CAP_PARAMS | NX_CAP_CATALOG | NX_CAP_POOLABLE |
		NX_CAP_GRANTS,
	.placeholder = "?",
	.options = options,
	.version = "libmariadb " MARIADB_PACKAGE_VERSION,
	.init = init,
	.fini = fini,
	.open = open_source,
	.close = close_source,
	.connect = my_connect,
	.disconnect = my_disconnect,
	.check = my_check,
	.reset = my_reset,
	.query = my_query,
	.schema = my_schema,
	.next = my_next,
	.release = my_release,
	.tables = my_tables,
	.columns = my_columns,
	.keys = my_keys,
	.probe = my_probe,
	.cancel = my_cancel,
};
