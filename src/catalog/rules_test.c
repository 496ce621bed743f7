/* What a source's config may be: each refusal by rule and key, every type of the specification, and no secret
 * in any message. */
#include "catalog_test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

/* A body, the code, and the rule that must be among those told. */
static const struct {
	const char *body, *rule, *key;
	enum nx_code want;
} bad[] = {
	{ "{" PG "}}", "DS-002", "name", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"\"," PG "}}", "DS-002", "name", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"  \"," PG "}}", "DS-002", "name", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"a/b\"," PG "}}", "DS-002", "name", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"a\\nb\"," PG "}}", "DS-002", "name", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"a\\u0000b\"," PG "}}", "DS-002", "name", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"a\\u0085b\"," PG "}}", "DS-002", "name", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"00000000-0000-4000-8000-000000000000\"," PG "}}", "DS-002", "name",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":7," PG "}}", "DS-002", "name", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"config\":{}}", "DS-003", "type", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"postgres\",\"config\":{}}", "DS-003", "type",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"fake\",\"config\":{}}", "DS-003", "type",
	  NX_E_CONFIG_INVALID },
	{ "[]", "DS-004", "", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"sqlite\",\"config\":[]}", "DS-004", "config",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"sqlite\",\"config\":\"{}\"}", "DS-004", "config",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"additionalProps\":[]}}", "DS-004", "config.additionalProps",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"postgresql\",\"config\":{\"username\":\"u\"}}", "DS-005",
	  "config.host", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"postgresql\",\"config\":{\"host\":\"\",\"username\":\"u\"}}",
	  "DS-005", "config.host", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"postgresql\",\"config\":{\"host\":null,\"username\":\"u\"}}",
	  "DS-005", "config.host", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"postgresql\"}", "DS-005", "config.host",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"port\":0}}", "DS-006", "config.port", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"port\":65536}}", "DS-006", "config.port", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"port\":-1}}", "DS-006", "config.port", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"port\":5432.5}}", "DS-006", "config.port",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"port\":\"5432\"}}", "DS-006", "config.port",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"postgresql\",\"config\":{\"host\":\"h\"}}", "DS-007",
	  "config.username", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"password\":7}}", "DS-008", "config.password",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"password\":\"********\"}}", "DS-008", "config.password",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"charset\":\"latin1\"}}", "DS-014", "config.charset",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"ssl\":\"maybe\"}}", "KEY-VALUE", "config.ssl",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"maxPoolSize\":0}}", "KEY-VALUE", "config.maxPoolSize",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"timeout\":true}}", "KEY-VALUE", "config.timeout",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"connectionTimeout\":1.5}}", "KEY-VALUE",
	  "config.connectionTimeout", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"connectionTimeout\":1000,\"connectTimeout\":1}}", "KEY-VALUE",
	  "config.connectTimeout", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"database\":[\"a\"]}}", "KEY-VALUE", "config.database",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\"," PG ",\"tls\":\"on\"}}", "KEY-VALUE", "config.tls",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"sqlite\",\"config\":{}}", "KEY-MISSING", "config.path",
	  NX_E_CONFIG_INVALID },
	/* unknown keys, at every level */
	{ "{\"name\":\"n\",\"nmae\":1," PG "}}", "KEY-UNKNOWN", "", NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"hots\":\"x\"}}", "KEY-UNKNOWN", "config.hots",
	  NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"hots\":null}}", "KEY-UNKNOWN", "config.hots",
	  NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"hots\":{}}}", "KEY-UNKNOWN", "config.hots", NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"tls\":{\"keys\":\"x\"}}}", "KEY-UNKNOWN", "config.tls.keys",
	  NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"tls.key\":\"x\"}}", "KEY-UNKNOWN", "config", NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"\":\"x\"}}", "KEY-UNKNOWN", "config", NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"searchPath\":\"x\"}}", "KEY-UNKNOWN", "config.searchPath",
	  NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"additionalProps\":{\"port\":1}}}", "KEY-UNKNOWN",
	  "config.additionalProps.port", NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"additionalProps\":{\"x\":{\"y\":1}}}}", "KEY-UNKNOWN",
	  "config.additionalProps.x", NX_E_UNKNOWN_KEY },
	{ "{\"name\":\"n\"," PG ",\"additionalProps\":{\"additionalProps\":{}}}}", "KEY-UNKNOWN",
	  "config.additionalProps.additionalProps", NX_E_UNKNOWN_KEY },
	/* the rest of the body */
	{ "{\"name\":\"n\",\"status\":\"error\"," PG "}}", "KEY-VALUE", "status",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"status\":1," PG "}}", "KEY-VALUE", "status", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"version\":0," PG "}}", "KEY-VALUE", "version", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"skipTest\":\"no\"," PG "}}", "KEY-VALUE", "skipTest",
	  NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"description\":[]," PG "}}", "KEY-VALUE", "description",
	  NX_E_CONFIG_INVALID },
	/* types that are not built in keep their own rules */
	{ "{\"name\":\"n\",\"type\":\"s3\",\"config\":{\"bucket\":\"b\",\"authentication\":{"
	  "\"type\":\"iam\"}}}",
	  "DS-012", "config.fileFormat", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"s3_csv\",\"config\":{\"bucket\":\"b\",\"fileFormat\":"
	  "\"json\","
	  "\"authentication\":{\"type\":\"iam\"}}}",
	  "DS-012", "config.fileFormat", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"s3_csv\",\"config\":{\"bucket\":\"b\",\"fileFormat\":\"xml\","
	  "\"authentication\":{\"type\":\"iam\"}}}",
	  "DS-012", "config.fileFormat", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"s3_csv\",\"config\":{\"authentication\":{\"type\":\"iam\"}}}",
	  "DS-013", "config.bucket", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"s3_csv\",\"config\":{\"bucket\":\"b\"}}", "DS-009",
	  "config.authentication.type", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"s3_csv\",\"config\":{\"bucket\":\"b\",\"authentication\":"
	  "\"iam\"}}",
	  "DS-009", "config.authentication", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"s3_csv\",\"config\":{\"bucket\":\"b\",\"authentication\":{"
	  "\"type\":"
	  "\"kerberos\"}}}",
	  "DS-010", "config.authentication.type", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"s3_csv\",\"config\":{\"bucket\":\"b\",\"authentication\":{"
	  "\"type\":"
	  "\"accessKey\",\"accessKeyId\":\"a\"}}}",
	  "DS-009", "config.authentication", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"hdfs_orc\",\"config\":{\"namenodeHost\":\"h\",\"path\":\"/\","
	  "\"authentication\":{\"type\":\"basic\",\"password\":\"p\"}}}",
	  "DS-007", "config.authentication", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"hdfs_orc\",\"config\":{\"namenodeHost\":\"h\",\"path\":\"/\","
	  "\"authentication\":{\"type\":\"basic\",\"username\":\"p\"}}}",
	  "DS-008", "config.authentication", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"hdfs_orc\",\"config\":{\"namenodeHost\":\"h\",\"path\":\"/\","
	  "\"authentication\":{\"type\":\"kerberos\",\"kerberosPrincipal\":\"p\","
	  "\"kerberosKeytab\":\"a?\"}}}",
	  "CV-006", "config.authentication.kerberosKeytab", NX_E_CREDENTIAL_INVALID },
	{ "{\"name\":\"n\",\"type\":\"bigquery\",\"config\":{\"project\":\"p\",\"authentication\":{"
	  "\"type\":"
	  "\"serviceAccount\",\"credentialsJson\":\"{}\"}}}",
	  "CV-007", "config.authentication.credentialsJson", NX_E_CREDENTIAL_INVALID },
	{ "{\"name\":\"n\",\"type\":\"bigquery\",\"config\":{\"project\":\"p\",\"authentication\":{"
	  "\"type\":\"serviceAccount\",\"credentialsJson\":\"{\\\"client_email\\\":1,"
	  "\\\"private_key\\\":\\\"\\\"}\"}}}",
	  "CV-007", "config.authentication.credentialsJson", NX_E_CREDENTIAL_INVALID },
	/* {"exp":1} */
	{ "{\"name\":\"n\",\"type\":\"databricks\",\"config\":{\"workspaceUrl\":\"w\","
	  "\"authentication\":{"
	  "\"type\":\"oauth2\",\"token\":\"e30.eyJleHAiOjF9.x\"}}}",
	  "CV-003", "config.authentication.token", NX_E_CREDENTIAL_INVALID },
	{ "{\"name\":\"n\",\"type\":\"databricks\",\"config\":{\"workspaceUrl\":\"w\","
	  "\"authentication\":{"
	  "\"type\":\"oauth2\",\"grantType\":\"refreshToken\",\"clientId\":\"c\",\"clientSecret\":"
	  "\"s\"}}}",
	  "CV-005", "config.authentication.refreshToken", NX_E_CREDENTIAL_INVALID },
	{ "{\"name\":\"n\",\"type\":\"dameng\",\"config\":{\"host\":\"h\",\"username\":\"u\","
	  "\"charset\":"
	  "\"BIG5\"}}",
	  "DS-014", "config.charset", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"oceanbase_mysql\",\"config\":{\"host\":\"h\",\"username\":"
	  "\"u\","
	  "\"compatibilityMode\":\"oracle\"}}",
	  "DS-015", "config.compatibilityMode", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"gaussdb_postgres\",\"config\":{\"host\":\"h\",\"username\":"
	  "\"u\","
	  "\"compatibilityMode\":\"dm\"}}",
	  "DS-015", "config.compatibilityMode", NX_E_CONFIG_INVALID },
	{ "{\"name\":\"n\",\"type\":\"oracle\",\"status\":\"active\",\"config\":{\"host\":\"h\","
	  "\"username\":"
	  "\"u\"}}",
	  "KEY-VALUE", "status", NX_E_DRIVER_NOT_BUILT },
	/* references */
	{ "{\"name\":\"n\"," PG ",\"password\":\"${env:NX_TEST_NOT_SET}\"}}", "CV-REF",
	  "config.password", NX_E_CREDENTIAL_INVALID },
	{ "{\"name\":\"n\"," PG ",\"password\":\"${file:/nonexistent}\"}}", "CV-REF",
	  "config.password", NX_E_CREDENTIAL_INVALID },
	{ "{\"name\":\"n\"," PG ",\"password\":\"${file:/dev/zero}\"}}", "CV-REF",
	  "config.password", NX_E_CREDENTIAL_INVALID },
};

NX_TEST(bad_bodies_are_refused_by_rule_and_key)
{
	struct nx_store *st = open_store(":memory:");
	struct nx_catalog *c = open_catalog(st, key);
	for (size_t i = 0; i < NX_COUNTOF(bad); i++) {
		struct nx_arena *a = nx_arena_new(0);
		const struct nx_data_source *s = NULL;
		struct nx_str rules = { 0 };
		struct nx_error err;
		enum nx_code code = nx_catalog_create(c, parse(bad[i].body, a), NX_STR("tester"), a,
						      &rules, &s, &err);
		if (code != bad[i].want)
			nx_test_fail(__FILE__, __LINE__, "%s: %s, want %s", bad[i].body,
				     nx_code_name(code), nx_code_name(bad[i].want));
		NX_CHECK(s == NULL);
		const struct nx_json *list = parse(nx_arena_cstr(a, rules), a);
		bool found = false;
		NX_CHECK(list->count >= 1);
		for (const struct nx_json *m = list->first; m; m = m->next)
			found |= nx_str_is(nx_json_get(m, "rule")->text, bad[i].rule) &&
				 nx_str_is(nx_json_get(m, "key")->text, bad[i].key);
		if (!found)
			nx_test_fail(__FILE__, __LINE__, "%s: no %s %s in " NX_STR_FMT, bad[i].body,
				     bad[i].rule, bad[i].key, NX_STR_ARG(rules));
		nx_arena_free(a);
	}
	uint32_t total = 1;
	NX_EQ_I(NX_OK, nx_catalog_list(c, NX_STR(""), NX_STR(""), 0, 10, &total, NULL, NULL, NULL));
	NX_EQ_I(0, total);
	nx_catalog_free(c);
	nx_store_close(st);
}

NX_TEST(names_are_unique_and_many_rules_are_told_at_once)
{
	struct nx_store *st = open_store(":memory:");
	struct nx_catalog *c = open_catalog(st, key);
	struct nx_arena *a = nx_arena_new(0);
	const struct nx_data_source *s = must_create(c, "{\"name\":\"中文 name\"," PG "}}"),
				    *t = NULL;
	struct nx_error err;
	struct nx_str rules = { 0 };
	NX_EQ_I(NX_E_SOURCE_EXISTS, create(c, "{\"name\":\"中文 name\"," PG "}}", &t, &err));
	NX_CHECK(strstr(err.message, "DS-001"));
	NX_EQ_I(NX_E_CONFIG_INVALID,
		nx_catalog_create(c,
				  parse("{\"name\":\"/\",\"type\":\"postgresql\",\"config\":"
					"{\"port\":0,\"x\":1}}",
					a),
				  NX_STR("tester"), a, &rules, &t, &err));
	NX_EQ_I(5, parse(nx_arena_cstr(a, rules), a)->count); /* name, port, x, host, username */
	NX_CHECK(strstr(err.message, "and 4 more"));
	char body[4096] = "{\"name\":\"", *p = body + strlen(body);
	for (int i = 0; i < 255; i++, p += 3)
		memcpy(p, "中", 3);
	memcpy(p, "\"," PG "}}", sizeof("\"," PG "}}"));
	const struct nx_data_source *longest = must_create(c, body);
	NX_EQ_I(765, longest->name.len);
	memcpy(p, "中\"," PG "}}", sizeof("中\"," PG "}}"));
	NX_EQ_I(NX_E_CONFIG_INVALID, create(c, body, &t, &err));
	nx_data_source_unref(longest);
	nx_data_source_unref(s);
	nx_arena_free(a);
	nx_catalog_free(c);
	nx_store_close(st);
}

/* ---- the type table ---- */

NX_TEST(every_type_of_the_spec_is_known_once)
{
	static const char *const providers[] = { "s3",	  "minio", "oss",   "cos",
						 "azure", "hdfs",  "ozone", "local" };
	static const char *const formats[] = { "", "_parquet", "_orc", "_avro", "_csv", "_json" };
	static const char *const others[] = { "mysql",
					      "mariadb",
					      "postgresql",
					      "oracle",
					      "sqlserver",
					      "sqlite",
					      "hive",
					      "odbc",
					      "iceberg",
					      "delta_lake",
					      "hudi",
					      "snowflake",
					      "databricks",
					      "redshift",
					      "bigquery",
					      "clickhouse",
					      "doris",
					      "starrocks",
					      "druid",
					      "oceanbase_mysql",
					      "oceanbase_oracle",
					      "tidb",
					      "tdsql",
					      "gaussdb_mysql",
					      "gaussdb_postgres",
					      "dameng",
					      "kingbasees",
					      "gbase_8s",
					      "gbase_8t",
					      "oscar",
					      "opengauss",
					      "trino",
					      "spark",
					      "flink",
					      "duckdb" };
	uint32_t n = 0;
	for (size_t i = 0; i < NX_COUNTOF(others); i++, n++)
		NX_CHECK(nx_source_type_find(nx_str(others[i])) != NULL);
	for (size_t i = 0; i < NX_COUNTOF(providers); i++) {
		for (size_t k = 0; k < NX_COUNTOF(formats); k++, n++) {
			char name[64];
			NX_CHECK(snprintf(name, sizeof(name), "%s%s", providers[i], formats[k]) >
				 0);
			NX_CHECK(nx_source_type_find(nx_str(name)) != NULL);
		}
	}
	NX_EQ_I(n, nx_source_type_count);
	for (uint32_t i = 0; i < nx_source_type_count; i++) {
		const struct nx_source_type *t = &nx_source_types[i];
		NX_CHECK(nx_source_type_find(nx_str(t->name)) == t);
		NX_CHECK(t->group && t->driver && t->proof && t->proof_note &&
			 t->dialect < NX_DIALECT_COUNT);
		NX_CHECK(strcmp(t->proof, "real") == 0 || strcmp(t->proof, "stand-in") == 0 ||
			 strcmp(t->proof, "unverified") == 0);
		const struct nx_option *table = nx_source_type_options(t);
		NX_CHECK(table != NULL);
		for (const struct nx_option *o = table; o->key; o++) {
			NX_CHECK(!nx_option_find(nx_options_common, nx_str(o->key)));
			NX_CHECK(nx_option_find(table, nx_str(o->key)) == o); /* listed once */
		}
	}
	NX_CHECK(!nx_source_type_find(NX_STR("fake")));
	NX_CHECK(setenv("NEXUS_ENABLE_FAKE", "1", 1) == 0);
	NX_CHECK(nx_source_type_find(NX_STR("fake")) != NULL);
	NX_CHECK(setenv("NEXUS_ENABLE_FAKE", "0", 1) == 0);
	NX_CHECK(!nx_source_type_find(NX_STR("fake")));
}

/* Whatever is wrong with a config, and wherever a secret stands in it: no text that leaves shows it. */
NX_TEST(secrets_are_in_no_message)
{
	static const char *const values[] = { "\"TOPSECRET\"",	       "[\"TOPSECRET\"]",
					      "{\"x\":\"TOPSECRET\"}", "{\"TOPSECRET\":1}",
					      "\"TOP\\u0000SECRET\"",  "\"${env:TOPSECRET}\"",
					      "\"${file:TOPSECRET}\"", "\"${TOPSECRET\"" };
	struct nx_catalog *c = open_catalog(NULL, key);
	char log[128];
	const char *base = getenv("TMPDIR");
	NX_CHECK(snprintf(log, sizeof(log), "%s/nx-XXXXXX", base ? base : P_tmpdir) <
		 (int)sizeof(log));
	int fd = mkstemp(log), tried = 0;
	nx_log_setup(NX_LOG_DEBUG, fd, false);
	for (uint32_t i = 0; i < nx_source_type_count; i++) {
		const struct nx_option *o = nx_source_type_options(&nx_source_types[i]);
		for (; o->key; o++) {
			for (size_t k = 0; o->type == NX_OPT_SECRET && k < NX_COUNTOF(values);
			     k++, tried++) {
				struct nx_arena *a = nx_arena_new(0);
				struct nx_error err;
				struct nx_str rules = { 0 };
				const struct nx_data_source *s = NULL;
				const char *dot = strchr(o->key, '.');
				/* k 5 and 6 name a variable and a file, 3 is a key: no values */
				const char *hidden =
					k == 3 || k == 5 ? "\"TOPSECRET\"" : "TOPSECRET";
				const char *body =
					dot ? nx_arena_printf(a,
							      "{\"name\":\"n\",\"type\":\"%s\","
							      "\"config\":{\"%.*s\":"
							      "{\"%s\":%s}}}",
							      nx_source_types[i].name,
							      (int)(dot - o->key), o->key, dot + 1,
							      values[k])
					    : nx_arena_printf(a,
							      "{\"name\":\"n\",\"type\":\"%s\","
							      "\"config\":{\"%s\":%s}}",
							      nx_source_types[i].name, o->key,
							      values[k]);
				nx_error_clear(&err);
				(void)!nx_catalog_build(c, parse(body, a), a, &rules, &s, &err);
				if (strstr(err.message, hidden) || strstr(err.detail, hidden) ||
				    (rules.ptr && strstr(nx_arena_cstr(a, rules), hidden)) ||
				    (s && strstr(json_of(s), hidden)))
					nx_test_fail(__FILE__, __LINE__, "%s: %s | " NX_STR_FMT,
						     body, err.message, NX_STR_ARG(rules));
				nx_data_source_unref(s);
				nx_arena_free(a);
			}
		}
	}
	NX_CHECK(tried > 500);
	char text[64];
	NX_EQ_I(0, pread(fd, text, sizeof(text), 0)); /* and nothing was logged */
	close(fd);
	unlink(log);
	nx_catalog_free(c);
}
