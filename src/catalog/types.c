/* Options of types whose driver is not built in: enough to check and keep a config until it is. */
#include "catalog/catalog_int.h"

/* clang-format off: rows of tables, one option each */
#define REQ NX_OPTF_REQUIRED
#define PROP NX_OPTF_PROPS

#define STRING(key, flags, help)                                  \
	{                                                         \
		key, NX_OPT_STRING, flags, NULL, 0, 0, NULL, help \
	}
#define SECRET(key, help)                                     \
	{                                                     \
		key, NX_OPT_SECRET, 0, NULL, 0, 0, NULL, help \
	}
#define INT(key, flags, min, max, help)                            \
	{                                                          \
		key, NX_OPT_INT, flags, NULL, min, max, NULL, help \
	}
#define BOOL(key, flags, help)                                  \
	{                                                       \
		key, NX_OPT_BOOL, flags, NULL, 0, 0, NULL, help \
	}
#define ENUM(key, flags, choices, help)                            \
	{                                                          \
		key, NX_OPT_ENUM, flags, NULL, 0, 0, choices, help \
	}
#define PORT(key, fallback, help)                                  \
	{                                                          \
		key, NX_OPT_INT, 0, fallback, 1, 65535, NULL, help \
	}
#define END                 \
	{                   \
		.key = NULL \
	}

#define LOGIN STRING("username", 0, "Account to log in with."), SECRET("password", "Its password.")
#define SERVER                                                                                  \
	STRING("host", REQ, "Name or address of the server."), PORT("port", NULL, "TCP port."), \
		STRING("database", 0, "Default database."),                                     \
		STRING("username", REQ, "Account to log in with."),                             \
		SECRET("password", "Its password."),                                            \
		ENUM("ssl", 0, "disable|prefer|require|verify-ca|verify-full",                  \
		     "TLS to the server."),                                                     \
		STRING("timezone", 0, "Session time zone.")
#define CHARSET ENUM("charset", 0, "UTF8|GBK|GB18030", "Character set of the session.")
#define MYSQL_CHARSET \
	ENUM("charset", PROP, "utf8mb4|utf8|GBK|GB18030", "Character set of the session.")
#define AUTH(choices) ENUM("authentication.type", REQ, choices, "How the gateway proves itself.")
#define TOKEN SECRET("authentication.token", "Bearer token.")
/* A part of include/nexus/token.h; the driver will bring all of it. */
#define OAUTH                                                                                 \
	ENUM("authentication.grantType", 0, "clientCredentials|refreshToken|jwtBearer|token", \
	     "How an OAuth token is got; absent: told by the other keys."),                   \
		STRING("authentication.tokenUrl", 0, "Token endpoint."),                      \
		STRING("authentication.clientId", 0, "OAuth client."),                        \
		SECRET("authentication.clientSecret", "Its secret."),                         \
		STRING("authentication.scope", 0, "Scopes asked for, separated by blanks."),  \
		SECRET("authentication.refreshToken", "OAuth refresh token.")
#define AUTH_LOGIN                                        \
	STRING("authentication.username", 0, "Account."), \
		SECRET("authentication.password", "Its password.")
#define KERBEROS                                                              \
	STRING("authentication.kerberosPrincipal", 0, "Kerberos principal."), \
		SECRET("authentication.kerberosKeytab", "Keytab, base64."),   \
		STRING("authentication.kerberosRealm", 0, "Kerberos realm."), \
		STRING("authentication.kerberosKdc", 0, "Address of the KDC.")
#define ACCESS_KEY                                                                  \
	STRING("authentication.accessKeyId", 0, "Access key id."),                  \
		SECRET("authentication.secretAccessKey", "Secret access key."),     \
		SECRET("authentication.sessionToken", "Token of a temporary key."), \
		STRING("authentication.iamRoleArn", 0, "Role to assume.")
#define FORMAT ENUM("fileFormat", REQ, "parquet|orc|avro|csv|json", "Format of the files.")
#define FILE_PROPS                                                      \
	STRING("delimiter", PROP, "CSV field separator."),              \
		BOOL("headerRow", PROP, "CSV files start with names."), \
		STRING("schema", PROP, "Columns and types, when not detected.")

static const struct nx_option network[] = { SERVER,
					    STRING("charset", 0, "Character set of the session."),
					    END };
static const struct nx_option file[] = { STRING("path", REQ, "The database file."), END };
static const struct nx_option odbc[] = { STRING("dsn", 0, "Data source name."),
					 STRING("driver", 0, "ODBC driver's name."),
					 STRING("host", 0, "Name or address of the server."),
					 PORT("port", NULL, "TCP port."),
					 STRING("database", 0, "Default database."),
					 LOGIN,
					 END };
static const struct nx_option iceberg[] = {
	ENUM("catalogType", REQ, "rest|hive|glue|hadoop", "Kind of catalog."),
	STRING("catalogUri", 0, "Address of the catalog."),
	STRING("warehousePath", 0, "Root of the tables."),
	STRING("namespace", 0, "Default namespace."),
	ENUM("authentication.type", 0, "basic|oauth2|iam", "How the gateway proves itself."),
	SECRET("authentication.credentials", "Credentials of the catalog."),
	OAUTH,
	STRING("authentication.awsRegion", 0, "AWS region."),
	INT("snapshotId", PROP, 0, INT64_MAX, "Snapshot to read."),
	INT("schemaVersion", PROP, 0, INT32_MAX, "Schema version to read."),
	END
};
static const struct nx_option delta_lake[] = {
	STRING("tablePath", REQ, "Where the table is."),
	ENUM("catalogType", 0, "unity|hive|databricks|none", "Kind of catalog."),
	STRING("workspaceUrl", 0, "Databricks workspace."),
	STRING("warehouseId", 0, "SQL warehouse."),
	ENUM("authentication.type", 0, "pat|oauth2", "How the gateway proves itself."),
	TOKEN,
	INT("version", PROP, 0, INT64_MAX, "Table version to read."),
	STRING("timestamp", PROP, "Point in time to read."),
	END
};
static const struct nx_option hudi[] = {
	STRING("tablePath", REQ, "Where the table is."),
	ENUM("baseFileFormat", 0, "parquet|orc", "Format of base files."),
	ENUM("tableType", 0, "cow|mor", "Copy on write or merge on read."),
	ENUM("authentication.type", 0, "basic|iam|kerberos", "How the gateway proves itself."),
	AUTH_LOGIN,
	KERBEROS,
	STRING("authentication.iamRoleArn", 0, "Role to assume."),
	STRING("beginInstantTime", PROP, "Start of the read."),
	STRING("endInstantTime", PROP, "End of the read."),
	END
};
static const struct nx_option snowflake[] = { STRING("account", REQ, "Account identifier."),
					      STRING("warehouse", 0, "Virtual warehouse."),
					      STRING("database", 0, "Default database."),
					      STRING("schema", 0, "Default schema."),
					      STRING("role", 0, "Role of the session."),
					      LOGIN,
					      AUTH("password|keypair|oauth|pat"),
					      SECRET("authentication.privateKey",
						     "PEM private key."),
					      SECRET("authentication.oauthToken", "OAuth token."),
					      TOKEN,
					      OAUTH,
					      STRING("region", PROP, "Region of the account."),
					      STRING("params", PROP, "Session parameters."),
					      END };
static const struct nx_option databricks[] = { STRING("workspaceUrl", REQ,
						      "Address of the workspace."),
					       STRING("warehouseId", 0, "SQL warehouse."),
					       STRING("clusterId", 0, "Cluster."),
					       STRING("catalog", 0, "Default catalog."),
					       STRING("schema", 0, "Default schema."),
					       STRING("httpPath", 0, "HTTP path of the endpoint."),
					       AUTH("pat|oauth2"),
					       TOKEN,
					       OAUTH,
					       END };
static const struct nx_option redshift[] = {
	STRING("host", REQ, "Name or address of the cluster."),
	PORT("port", NULL, "TCP port."),
	STRING("database", 0, "Default database."),
	LOGIN,
	ENUM("ssl", 0, "disable|prefer|require|verify-ca|verify-full", "TLS to the server."),
	{ "authentication.type", NX_OPT_ENUM, 0, "password", 0, 0, "password|iam",
	  "Login by password or IAM." },
	STRING("authentication.iamRoleArn", 0, "Role to assume."),
	STRING("authentication.awsRegion", 0, "AWS region."),
	ENUM("sslmode", PROP, "disable|prefer|require|verify-ca|verify-full", "TLS to the server."),
	END
};
static const struct nx_option bigquery[] = {
	STRING("project", REQ, "Project that is billed."),
	STRING("dataset", 0, "Default dataset."),
	AUTH("oauth2|serviceAccount"),
	SECRET("authentication.credentialsJson", "Service account key, JSON."),
	SECRET("authentication.oauthToken", "OAuth token."),
	OAUTH,
	STRING("location", PROP, "Where jobs run."),
	INT("maxBytesBilled", PROP, 0, INT64_MAX, "Bytes a query may cost."),
	END
};
static const struct nx_option object[] = { STRING("bucket", REQ, "Bucket or container."),
					   STRING("region", 0, "Region of the bucket."),
					   STRING("endpoint", 0, "Address of the service."),
					   STRING("prefix", 0, "Only keys below it."),
					   FORMAT,
					   AUTH("accessKey|iam|sasToken"),
					   ACCESS_KEY,
					   SECRET("authentication.sasToken",
						  "Shared access signature."),
					   BOOL("useSSL", PROP, "HTTPS to the service."),
					   STRING("storageAccount", PROP, "Azure account."),
					   FILE_PROPS,
					   END };
static const struct nx_option hdfs[] = {
	STRING("namenodeHost", REQ, "Name or address of the name node."),
	PORT("namenodePort", "8020", "Port of the name node."),
	STRING("path", REQ, "Root of the files."),
	FORMAT,
	AUTH("basic|kerberos"),
	AUTH_LOGIN,
	KERBEROS,
	STRING("nameservice", PROP, "HA name service."),
	STRING("haNamenodes", PROP, "Its name nodes."),
	BOOL("enableShortCircuit", PROP, "Read local blocks directly."),
	FILE_PROPS,
	END
};
static const struct nx_option ozone[] = { STRING("endpoint", REQ, "Address of the gateway."),
					  STRING("bucket", REQ, "volume/bucket."),
					  STRING("prefix", 0, "Only keys below it."),
					  FORMAT,
					  AUTH("accessKey|kerberos"),
					  ACCESS_KEY,
					  KERBEROS,
					  BOOL("useS3A", PROP, "Through the S3 gateway."),
					  STRING("omHost", PROP, "Ozone manager."),
					  INT("omPort", PROP, 1, 65535, "Its port."),
					  FILE_PROPS,
					  END };
static const struct nx_option local[] = { STRING("path", REQ, "Folder of the files."), FORMAT,
					  FILE_PROPS, END };
static const struct nx_option clickhouse[] = {
	SERVER,
	ENUM("protocol", 0, "native|http", "Wire protocol."),
	STRING("compression", PROP, "Compression on the wire."),
	INT("queryTimeout", PROP, 0, 86400, "Seconds a query may run at the server."),
	INT("maxExecutionTime", PROP, 0, 86400, "Setting max_execution_time."),
	END
};
static const struct nx_option doris[] = {
	SERVER, INT("queryTimeout", PROP, 0, 86400, "Seconds a query may run at the server."), END
};
static const struct nx_option druid[] = {
	STRING("brokerHost", REQ, "Name or address of the broker."),
	PORT("brokerPort", "8082", "Port of the broker."),
	STRING("coordinatorHost", 0, "Name or address of the coordinator."),
	PORT("coordinatorPort", "8081", "Port of the coordinator."),
	ENUM("authentication.type", 0, "basic|oauth2", "How the gateway proves itself."),
	AUTH_LOGIN,
	TOKEN,
	OAUTH,
	INT("context.queryTimeout", PROP, 0, INT32_MAX, "Milliseconds a query may run."),
	INT("context.priority", PROP, INT32_MIN, INT32_MAX, "Priority of queries."),
	END
};
static const struct nx_option oceanbase[] = { SERVER,
					      CHARSET,
					      ENUM("compatibilityMode", 0, "mysql|oracle",
						   "Mode of the tenant."),
					      STRING("tenant", PROP, "Tenant."),
					      STRING("cluster", PROP, "Cluster."),
					      END };
static const struct nx_option tidb[] = { SERVER, MYSQL_CHARSET,
					 STRING("tidbSessionVars", PROP, "Session variables."),
					 END };
static const struct nx_option tdsql[] = { SERVER, MYSQL_CHARSET, END };
static const struct nx_option gaussdb[] = {
	SERVER, ENUM("compatibilityMode", 0, "mysql|postgres", "Mode of the database."),
	MYSQL_CHARSET, END
};
static const struct nx_option dameng[] = { SERVER, CHARSET,
					   ENUM("mode", PROP, "dm|oracle", "Compatibility."), END };
static const struct nx_option pg_kin[] = {
	SERVER, CHARSET, STRING("searchPath", PROP, "Schemas searched."),
	STRING("clientEncoding", PROP, "Encoding of the session."), END
};
static const struct nx_option gbase_8s[] = { SERVER,
					     CHARSET,
					     STRING("server", REQ, "Name of the server instance."),
					     STRING("dblocale", PROP, "Locale of the database."),
					     STRING("clientCharset", PROP,
						    "Character set of the session."),
					     END };
static const struct nx_option gbase_8t[] = { SERVER, MYSQL_CHARSET, END };
static const struct nx_option engine[] = { STRING("host", REQ, "Name or address of the server."),
					   PORT("port", NULL, "TCP port."),
					   STRING("catalog", 0, "Default catalog."),
					   STRING("schema", 0, "Default schema."),
					   LOGIN,
					   BOOL("ssl", 0, "TLS to the server."),
					   ENUM("authentication.type", 0, "basic|jwt|kerberos",
						"How the gateway proves itself."),
					   TOKEN,
					   END };

/* clang-format on */

const struct nx_source_type nx_source_types[] = {
#define NX_SOURCE(name, group, driver, dialect, port, defaults, options, proof, note) \
	{ name, group, driver, NX_D_##dialect, port, defaults, proof, note, options },
#include "catalog/sources.def"
#undef NX_SOURCE
};
const uint32_t nx_source_type_count = NX_COUNTOF(nx_source_types);

/* Scripted answers for tests of the gateway: not in the list, and only there when asked for. */
static const struct nx_source_type fake_type = {
	"fake", "testing", "fake", NX_D_POSTGRESQL, 0, NULL, "double", "Scripted; for tests.", file,
};

const struct nx_source_type *nx_source_type_find(struct nx_str name)
{
	for (uint32_t i = 0; i < nx_source_type_count; i++)
		if (nx_str_is(name, nx_source_types[i].name))
			return &nx_source_types[i];
	const char *on = getenv("NEXUS_ENABLE_FAKE");
	return on && strcmp(on, "1") == 0 && nx_str_is(name, "fake") ? &fake_type : NULL;
}

const struct nx_option *nx_source_type_options(const struct nx_source_type *t)
{
	const struct nx_driver *d = nx_driver_find(t->driver);
	return d ? d->options : t->options;
}

const struct nx_driver *nx_driver_find(const char *name)
{
	for (size_t i = 0; nx_drivers[i]; i++)
		if (strcmp(nx_drivers[i]->name, name) == 0)
			return nx_drivers[i];
	return NULL;
}
