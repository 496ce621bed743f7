/* Against a Vault inside the test: nx_kv_call points to a function of ours. */
#include "secrets/secrets.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "secrets/secrets_int.h"
#include "test.h"

static struct {
	int status;
	const char *body; /* of a read; NULL: the secret below */
	enum nx_code fails;
	const char *good; /* the token that is let in */
	int ttl;
	atomic_int reads, logins, renewals;
	char last[256];
} srv = { .status = 200, .good = "t1" };

#define SECRET                                                                          \
	"{\"data\":{\"data\":{\"password\":\"p w\",\"port\":5432,\"o\":{},\"e\":\"\"}," \
	"\"metadata\":{\"version\":1}}}"

static bool header(const struct nx_outbound_request *q, const char *want)
{
	for (uint32_t i = 0; i < q->nheaders; i++)
		if (nx_str_is(q->headers[i], want))
			return true;
	return false;
}

static enum nx_code vault(const struct nx_outbound_request *q, struct nx_arena *a,
			  struct nx_outbound_answer *ret, struct nx_error *err)
{
	char want[64];
	const char *body;
	int status = srv.status;
	(void)snprintf(srv.last, sizeof(srv.last), "%s %s", q->method, q->url);
	(void)snprintf(want, sizeof(want), "X-Vault-Token: %s", srv.good);
	bool in = header(q, want);
	if (srv.fails)
		return nx_fail(err, srv.fails, "No.");
	if (strstr(q->url, "/login")) {
		atomic_fetch_add(&srv.logins, 1);
		in = nx_str_is(q->body, "{\"role_id\":\"r\",\"secret_id\":\"s\"}");
		body = nx_arena_printf(a,
				       "{\"auth\":{\"client_token\":\"%s\",\"lease_duration\":%d,"
				       "\"renewable\":true}}",
				       srv.good, srv.ttl);
	} else if (strstr(q->url, "lookup-self")) {
		body = nx_arena_printf(a, "{\"data\":{\"ttl\":%d,\"renewable\":true}}", srv.ttl);
	} else if (strstr(q->url, "renew-self")) {
		atomic_fetch_add(&srv.renewals, 1);
		body = nx_arena_printf(a,
				       "{\"auth\":{\"client_token\":\"%s\",\"lease_duration\":%d,"
				       "\"renewable\":true}}",
				       srv.good, srv.ttl);
	} else {
		atomic_fetch_add(&srv.reads, 1);
		body = srv.body ? srv.body : SECRET;
	}
	*ret = (struct nx_outbound_answer){ .status = in ? status : 403,
					    .body = nx_arena_str(
						    a, nx_str(in ? body : "{\"errors\":[]}")) };
	return NX_OK;
}

static struct nx_arena *arena;
static struct nx_error err;
static struct nx_str got;

static void start(struct nx_kv_config c)
{
	nx_kv_call = vault;
	c.address = "https://vault.test:8200/";
	c.ttl_ms = c.ttl_ms ? c.ttl_ms : 60000;
	NX_EQ_I(NX_OK, nx_kv_start(&c, &err));
	arena = nx_arena_new_secret(0);
}

static enum nx_code read_ref(const char *text)
{
	nx_error_clear(&err);
	got = NX_STR("untouched");
	return nx_secret_follow(nx_str(text), "password", arena, &got, &err);
}

static void stop(void)
{
	nx_kv_stop();
	nx_arena_free(arena);
}

static void sleep_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&ts, NULL);
}

NX_TEST(reads_and_keeps)
{
	start((struct nx_kv_config){ .token = "t1" });
	NX_EQ_I(NX_OK, read_ref("${vault:secret/db/ma in#password}"));
	NX_EQ_STR(NX_STR("p w"), got);
	NX_EQ_S("GET https://vault.test:8200/v1/secret/data/db/ma%20in", srv.last);
	NX_EQ_I(NX_OK, read_ref("${vault:secret/db/ma in#port}"));
	NX_EQ_STR(NX_STR("5432"), got);
	NX_EQ_I(1, atomic_load(&srv.reads));
	NX_EQ_I(NX_OK, read_ref("${vault:secret/db/ma in?version=3#password}"));
	NX_EQ_S("GET https://vault.test:8200/v1/secret/data/db/ma%20in?version=3", srv.last);
	NX_EQ_I(2, atomic_load(&srv.reads));
	nx_kv_forget();
	NX_EQ_I(NX_OK, read_ref("${vault:secret/db/ma in#password}"));
	NX_EQ_I(3, atomic_load(&srv.reads));
	stop();
}

NX_TEST(what_it_kept_ends)
{
	start((struct nx_kv_config){ .token = "t1", .ttl_ms = 1000 });
	NX_EQ_I(NX_OK, read_ref("${vault:secret/a#password}"));
	srv.body = "{\"data\":{\"data\":{\"password\":\"new\"},\"metadata\":{}}}";
	NX_EQ_I(NX_OK, read_ref("${vault:secret/a#password}"));
	NX_EQ_STR(NX_STR("p w"), got);
	sleep_ms(1050);
	NX_EQ_I(NX_OK, read_ref("${vault:secret/a#password}"));
	NX_EQ_STR(NX_STR("new"), got);
	stop();
}

NX_TEST(what_goes_wrong)
{
	static const struct {
		int status;
		enum nx_code want;
		const char *body, *ref, *says;
	} cases[] = {
		{ 503, NX_E_OUTBOUND_FAILED, "{\"errors\":[\"Vault is sealed\"]}", "s/a#k",
		  "sealed" },
		{ 403, NX_E_CREDENTIAL_INVALID, "{\"errors\":[\"s3cret\"]}", "s/b#k", "not open" },
		{ 404, NX_E_CREDENTIAL_INVALID, "{\"errors\":[]}", "s/c#k", "does not exist" },
		{ 404, NX_E_CREDENTIAL_INVALID, "{\"data\":{\"data\":null,\"metadata\":{}}}",
		  "s/d?version=2#k", "deleted" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"data\":{\"data\":null,\"metadata\":{}}}", "s/e#k",
		  "KV version 2" },
		{ 307, NX_E_OUTBOUND_FAILED, "", "s/f#k", "standby" },
		{ 473, NX_E_OUTBOUND_FAILED, "", "s/g#k", "standby" },
		{ 500, NX_E_OUTBOUND_FAILED, "s3cret", "s/h#k", "status 500" },
		{ 200, NX_E_OUTBOUND_FAILED, "<html>s3cret", "s/i#k", "KV version 2" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"data\":{\"password\":\"v1\"}}", "s/j#password",
		  "KV version 2" },
		{ 200, NX_E_OUTBOUND_FAILED, "{\"data\":{\"data\":{\"k\":\"s3cret\"}}}", "s/k#k",
		  "KV version 2" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s/l#none", "no key none" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s/m#o", "no text" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s/n#e", "empty" },
		{ 200, NX_E_CREDENTIAL_INVALID,
		  "{\"data\":{\"data\":{\"k\":\"a\\u0000b\"},\"metadata\":{}}}", "s/o#k",
		  "no text" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s#k", "form" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s/p", "form" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s/../sys/x#k", "form" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s//p#k", "form" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "/s/p#k", "form" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s/p?version=0#k", "form" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s/p?list=true#k", "form" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s/p\r\nX: y#k", "form" },
		{ 200, NX_E_CREDENTIAL_INVALID, NULL, "s/p#", "form" },
	};
	start((struct nx_kv_config){ .token = "t1" });
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		char ref[128];
		(void)snprintf(ref, sizeof(ref), "${vault:%s}", cases[i].ref);
		srv.status = cases[i].status;
		srv.body = cases[i].body;
		enum nx_code c = read_ref(ref);
		if (c != cases[i].want || !strstr(err.message, cases[i].says))
			nx_test_fail(__FILE__, __LINE__, "%s: %s %s", ref, nx_code_name(c),
				     err.message);
		NX_CHECK(!strstr(err.message, "s3cret") && !strstr(err.detail, "s3cret"));
		NX_EQ_STR(NX_STR("untouched"), got);
	}
	stop();
}

NX_TEST(an_unreachable_vault_is_asked_once)
{
	start((struct nx_kv_config){ .token = "t1" });
	srv.fails = NX_E_OUTBOUND_TIMEOUT;
	for (int i = 0; i < 20; i++)
		NX_EQ_I(NX_E_OUTBOUND_TIMEOUT, read_ref("${vault:s/a#password}"));
	srv.fails = NX_OK;
	NX_EQ_I(NX_E_OUTBOUND_TIMEOUT, read_ref("${vault:s/a#password}"));
	NX_EQ_I(0, atomic_load(&srv.reads));
	sleep_ms(3050);
	NX_EQ_I(NX_OK, read_ref("${vault:s/a#password}"));
	stop();
}

NX_TEST(app_role)
{
	srv.ttl = 3600;
	start((struct nx_kv_config){ .role_id = "r", .secret_id = "s" });
	NX_EQ_I(NX_OK, read_ref("${vault:s/a#password}"));
	NX_EQ_I(NX_OK, read_ref("${vault:s/b#password}"));
	NX_EQ_I(1, atomic_load(&srv.logins));
	srv.good = "t2"; /* the token was revoked */
	NX_EQ_I(NX_OK, read_ref("${vault:s/c#password}"));
	NX_EQ_I(2, atomic_load(&srv.logins));
	NX_CHECK(nx_kv_tend() > nx_now() + 2000 * NX_SEC);
	NX_EQ_I(0, atomic_load(&srv.renewals));
	stop();
	srv.ttl = 1;
	start((struct nx_kv_config){ .role_id = "r", .secret_id = "s" });
	NX_EQ_I(NX_OK, read_ref("${vault:s/a#password}"));
	sleep_ms(700);
	(void)nx_kv_tend();
	NX_EQ_I(1, atomic_load(&srv.renewals));
	NX_EQ_I(3, atomic_load(&srv.logins));
	stop();
	start((struct nx_kv_config){ .role_id = "r", .secret_id = "wrong" });
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, read_ref("${vault:s/a#password}"));
	NX_CHECK(strstr(err.message, "AppRole"));
	stop();
}

NX_TEST(token_files)
{
	char path[] = "/tmp/nx-vault-XXXXXX";
	int fd = mkstemp(path);
	NX_CHECK(fd >= 0 && write(fd, "t1\n", 3) == 3);
	start((struct nx_kv_config){ .token_file = path });
	NX_EQ_I(NX_OK, read_ref("${vault:s/a#password}"));
	srv.good = "t2";
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, read_ref("${vault:s/b#password}"));
	NX_CHECK(pwrite(fd, "t2\n", 3, 0) == 3);
	NX_EQ_I(NX_OK, read_ref("${vault:s/c#password}"));
	close(fd);
	unlink(path);
	stop();
}

static void *one_read(void *arg)
{
	struct nx_arena *a = nx_arena_new_secret(0);
	struct nx_str text = { 0 };
	if (nx_secret_follow(NX_STR("${vault:s/a#password}"), "x", a, &text, NULL) == NX_OK)
		*(bool *)arg = nx_str_is(text, "p w");
	nx_arena_free(a);
	return NULL;
}

NX_TEST(many_threads_one_request)
{
	pthread_t t[50];
	bool ok[50] = { false };
	start((struct nx_kv_config){ .token = "t1" });
	for (int i = 0; i < 50; i++)
		NX_EQ_I(0, pthread_create(&t[i], NULL, one_read, &ok[i]));
	for (int i = 0; i < 50; i++) {
		pthread_join(t[i], NULL);
		NX_CHECK(ok[i]);
	}
	NX_EQ_I(1, atomic_load(&srv.reads));
	stop();
}

NX_TEST(bounded)
{
	char ref[64];
	start((struct nx_kv_config){ .token = "t1" });
	for (int i = 0; i < 600; i++) {
		(void)snprintf(ref, sizeof(ref), "${vault:s/p%d#password}", i);
		NX_EQ_I(NX_OK, read_ref(ref));
	}
	NX_EQ_I(NX_OK, read_ref("${vault:s/p599#password}"));
	NX_EQ_I(600, atomic_load(&srv.reads));
	NX_EQ_I(NX_OK, read_ref("${vault:s/p0#password}"));
	NX_EQ_I(601, atomic_load(&srv.reads));
	stop();
}

NX_TEST(other_references)
{
	struct nx_kv_config none = { .address = "https://x" },
			    two = { .address = "https://x", .token = "a", .role_id = "b" };
	arena = nx_arena_new_secret(0);
	setenv("NX_TEST_SECRET", "from env", 1);
	NX_EQ_I(NX_OK, read_ref("${env:NX_TEST_SECRET}"));
	NX_EQ_STR(NX_STR("from env"), got);
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, read_ref("${env:NX_TEST_NONE}"));
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, read_ref("${file:/no/such/file}"));
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, read_ref("${file:/proc}"));
	NX_EQ_I(NX_OK, read_ref("${other:x}"));
	NX_EQ_STR(NX_STR("${other:x}"), got);
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, read_ref("${vault:a/b#c}"));
	NX_CHECK(strstr(err.message, "vault.kv.address"));
	NX_EQ_I(NX_E_CONFIG, nx_kv_start(&none, &err));
	NX_EQ_I(NX_E_CONFIG, nx_kv_start(&two, &err));
	nx_arena_free(arena);
}
