/* The client: one token, one request at a time, a bounded cache by path and version.
 *
 * `lock` guards everything and is never held over a request: who makes one sets `busy` first, and only
 * that thread may change the token. The others wait for it and then find the cache filled. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "secrets/secrets_int.h"

#define CALL_NS (5 * NX_SEC)
#define FAILED_NS (3 * NX_SEC) /* a failure is repeated for so long without asking again */
#define ENTRIES 256u
#define CACHE_BYTES ((size_t)8 << 20)

struct entry {
	char *where; /* mount/path?version=N */
	char *data; /* the secret as JSON; NULL: a failure */
	size_t len;
	int64_t until, used;
	struct nx_error why;
};

static struct kv {
	bool on;
	char *address, *token, *token_file, *role_id, *secret_id, *role_mount, *name_space,
		*ca_file;
	int64_t ttl;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	bool busy;
	char *current; /* the token in use */
	bool renewable;
	int64_t renew_at; /* INT64_MAX: never */
	int64_t down_until; /* it did not answer: nothing is asked before */
	struct nx_error down;
	struct entry entries[ENTRIES];
	uint32_t n;
	size_t bytes;
} kv = { .lock = PTHREAD_MUTEX_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER };

nx_kv_call_fn *nx_kv_call = nx_outbound_call;

/* ---- set up ---- */

static void wipe(char **s)
{
	if (*s)
		nx_wipe(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

static void drop(struct entry *e)
{
	kv.bytes -= e->len;
	if (e->data)
		nx_wipe(e->data, e->len);
	free(e->data);
	free(e->where);
	*e = kv.entries[--kv.n];
}

static const char *given(const char *s)
{
	return s && *s ? s : NULL;
}

static bool keep(char **to, const char *s)
{
	*to = given(s) ? strdup(s) : NULL;
	return *to || !given(s);
}

static bool same(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool unchanged(const struct nx_kv_config *c)
{
	return same(kv.address, c->address) && same(kv.token, c->token) &&
	       same(kv.token_file, c->token_file) && same(kv.role_id, c->role_id) &&
	       same(kv.secret_id, c->secret_id) && same(kv.name_space, c->name_space) &&
	       same(kv.ca_file, c->ca_file);
}

enum nx_code nx_kv_start(const struct nx_kv_config *c, struct nx_error *err)
{
	int ways = (given(c->token) != NULL) + (given(c->token_file) != NULL) +
		   (given(c->role_id) != NULL);
	if (kv.on)
		return unchanged(c) ? NX_OK
				    : nx_fail(err, NX_E_CONFIG, "Keys of vault.kv need a restart.");
	if (!given(c->address) || ways != 1 || !given(c->role_id) != !given(c->secret_id))
		return nx_fail(
			err, NX_E_CONFIG,
			"vault.kv needs an address and one of token, tokenFile, or roleId with "
			"secretId.");
	enum nx_code code = nx_outbound_init(err);
	if (code)
		return code;
	const char *mount = given(c->role_mount) ? c->role_mount : "approle";
	bool ok = keep(&kv.address, c->address) && keep(&kv.token, c->token) &&
		  keep(&kv.token_file, c->token_file) && keep(&kv.role_id, c->role_id) &&
		  keep(&kv.secret_id, c->secret_id) && keep(&kv.role_mount, mount) &&
		  keep(&kv.name_space, c->name_space) && keep(&kv.ca_file, c->ca_file);
	kv.ttl = (c->ttl_ms < 1000 ? 1000 : c->ttl_ms) * NX_MS;
	kv.renew_at = INT64_MAX;
	kv.on = true;
	if (ok) {
		size_t n = strlen(kv.address);
		while (n > 0 && kv.address[n - 1] == '/')
			kv.address[--n] = '\0';
		return NX_OK;
	}
	nx_kv_stop();
	return nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

void nx_kv_stop(void)
{
	char **all[] = { &kv.address,	 &kv.token,	 &kv.token_file, &kv.role_id, &kv.secret_id,
			 &kv.role_mount, &kv.name_space, &kv.ca_file,	 &kv.current };
	while (kv.n)
		drop(&kv.entries[0]);
	for (size_t i = 0; i < NX_COUNTOF(all); i++)
		wipe(all[i]);
	kv.down_until = 0;
	kv.on = false;
}

bool nx_kv_on(void)
{
	return kv.on;
}

void nx_kv_forget(void)
{
	pthread_mutex_lock(&kv.lock);
	while (kv.n)
		drop(&kv.entries[0]);
	pthread_mutex_unlock(&kv.lock);
}

static void begin(void)
{
	while (kv.busy)
		pthread_cond_wait(&kv.idle, &kv.lock);
	kv.busy = true;
}

static void end(void)
{
	kv.busy = false;
	pthread_cond_broadcast(&kv.idle);
}

/* ---- requests; `busy` is ours, the lock is not held ---- */

static enum nx_code ask(const char *method, const char *path, struct nx_str body,
			struct nx_arena *a, struct nx_outbound_answer *ret, struct nx_error *err)
{
	struct nx_outbound_request q = {
		.method = method,
		.url = nx_arena_printf(a, "%s/v1/%s", kv.address, path),
		.body = body,
		.headers = { NX_STR_INIT("X-Vault-Request: true") },
		.nheaders = 1,
		.ca_file = kv.ca_file,
		.deadline = nx_now() + CALL_NS,
		.max_body = NX_KV_BODY_MAX,
	};
	const char *token = kv.current ? nx_arena_printf(a, "X-Vault-Token: %s", kv.current) : "";
	const char *space =
		kv.name_space ? nx_arena_printf(a, "X-Vault-Namespace: %s", kv.name_space) : "";
	if (!q.url || !token || !space)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (*token)
		q.headers[q.nheaders++] = nx_str(token);
	if (*space)
		q.headers[q.nheaders++] = nx_str(space);
	struct nx_error unused;
	err = err ? err : &unused;
	enum nx_code c = nx_kv_call(&q, a, ret, err);
	if (c) {
		char why[sizeof(err->detail)];
		(void)snprintf(why, sizeof(why), "%s", err->detail);
		(void)nx_fail(err, c, "Vault cannot be reached, or does not answer as it should.");
		nx_error_detail(err, "%s", why);
		kv.down = *err;
		kv.down_until = nx_now() + FAILED_NS;
	}
	return c;
}

/* Two thirds of what is left of its life. */
static void plan(const struct nx_kv_token *t)
{
	kv.renewable = t->renewable;
	kv.renew_at = t->ttl_s > 0 ? nx_now() + t->ttl_s * NX_SEC * 2 / 3 : INT64_MAX;
}

static enum nx_code from_file(struct nx_error *err)
{
	char buf[8193];
	int fd = open(kv.token_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf)) : -1;
	if (fd >= 0)
		close(fd);
	struct nx_str t = nx_str_trim(nx_strn(buf, n > 0 ? (size_t)n : 0));
	bool ok = t.len > 0 && t.len < sizeof(buf) && !memchr(t.ptr, 0, t.len);
	if (ok)
		kv.current = strndup(t.ptr, t.len);
	nx_wipe(buf, sizeof(buf));
	return kv.current ? NX_OK
			  : nx_fail(err, NX_E_CREDENTIAL_INVALID,
				    "vault.kv.tokenFile cannot be read.");
}

static enum nx_code log_in(struct nx_arena *a, struct nx_error *err)
{
	struct nx_outbound_answer got;
	struct nx_kv_token t = { .ttl_s = 0 };
	struct nx_buf b;
	nx_buf_init(&b, 16384);
	(void)nx_buf_reserve(&b, 16384);
	nx_buf_puts(&b, "{\"role_id\":");
	nx_buf_put_json(&b, nx_str(kv.role_id));
	nx_buf_puts(&b, ",\"secret_id\":");
	nx_buf_put_json(&b, nx_str(kv.secret_id));
	nx_buf_putc(&b, '}');
	const char *path = nx_arena_printf(a, "auth/%s/login", kv.role_mount);
	enum nx_code c = b.failed || !path ? nx_fail(err, NX_E_MEMORY, "Out of memory.")
					   : ask("POST", path, nx_buf_str(&b), a, &got, err);
	if (b.data)
		nx_wipe(b.data, b.len);
	nx_buf_done(&b);
	if (c)
		return c;
	if (got.status == 400 || got.status == 403)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "Vault refuses the AppRole (status %d).", got.status);
	if (got.status != 200 || !nx_kv_token_answer(got.body, a, &t) || !t.text.len)
		return nx_fail(err, NX_E_OUTBOUND_FAILED, "Vault's login answers with status %d%s.",
			       got.status,
			       got.status == 503 ? ": it is sealed or in maintenance" : "");
	kv.current = strndup(t.text.ptr, t.text.len);
	plan(&t);
	return kv.current ? NX_OK : nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

/* A token of ours, new or as it is. */
static enum nx_code have_token(struct nx_arena *a, struct nx_error *err)
{
	struct nx_outbound_answer got;
	struct nx_kv_token t;
	if (kv.current)
		return NX_OK;
	if (kv.role_id)
		return log_in(a, err);
	if (kv.token_file) {
		enum nx_code c = from_file(err);
		if (c)
			return c;
	} else if (!(kv.current = strdup(kv.token))) {
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	/* How long it lives; a token that may not look itself up is used until it is refused. */
	kv.renew_at = INT64_MAX;
	if (ask("GET", "auth/token/lookup-self", NX_STR(""), a, &got, NULL) == NX_OK &&
	    got.status == 200 && nx_kv_token_answer(got.body, a, &t))
		plan(&t);
	return NX_OK;
}

/* Percent-encoded, slashes stay. */
static void put_path(struct nx_buf *b, struct nx_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
		    strchr("-._~/", c))
			nx_buf_putc(b, s.ptr[i]);
		else
			nx_buf_printf(b, "%%%02X", c);
	}
}

static const char *data_path(const struct nx_kv_ref *r, struct nx_arena *a)
{
	struct nx_buf b;
	nx_buf_init(&b, 4096);
	put_path(&b, r->mount);
	nx_buf_puts(&b, "/data/");
	put_path(&b, r->path);
	if (r->version)
		nx_buf_printf(&b, "?version=%u", r->version);
	char *p = b.failed ? NULL : nx_arena_cstr(a, nx_buf_str(&b));
	nx_buf_done(&b);
	return p;
}

static enum nx_code fetch(const struct nx_kv_ref *r, struct nx_str where, struct nx_arena *a,
			  const struct nx_json **ret, struct nx_error *err)
{
	struct nx_outbound_answer got;
	const char *path = data_path(r, a);
	if (!path)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	/* refused, it may have ended: once more with a new one, where there is a way to get one */
	for (int turn = 0;; turn++) {
		enum nx_code c = have_token(a, err);
		if (!c)
			c = ask("GET", path, NX_STR(""), a, &got, err);
		if (c)
			return c;
		if (got.status != 403)
			break;
		if (turn || kv.token)
			break;
		wipe(&kv.current);
	}
	return nx_kv_answer(got.status, got.body, where, a, ret, err);
}

/* ---- the cache; the lock is held ---- */

static struct entry *find(const char *where)
{
	for (uint32_t i = 0; i < kv.n; i++)
		if (strcmp(kv.entries[i].where, where) == 0)
			return &kv.entries[i];
	return NULL;
}

/* What is kept needs nobody's request, and waits for none. */
static struct entry *begin_or_find(const char *where)
{
	for (;;) {
		struct entry *e = find(where);
		if (e && e->until > nx_now())
			return e;
		if (!kv.busy)
			break;
		pthread_cond_wait(&kv.idle, &kv.lock);
	}
	kv.busy = true;
	return NULL;
}

static void put(const char *where, const struct nx_json *data, const struct nx_error *why)
{
	struct entry e = { .where = strdup(where), .used = nx_now() };
	struct entry *old = find(where);
	struct nx_buf b;
	nx_buf_init(&b, 2 * NX_KV_BODY_MAX);
	if (old)
		drop(old);
	if (data && nx_buf_reserve(&b, NX_KV_BODY_MAX))
		nx_json_write(data, &b);
	if (data && b.data && !b.failed && (e.data = malloc(b.len + 1))) {
		memcpy(e.data, b.data, b.len);
		e.len = b.len;
	}
	if (b.data)
		nx_wipe(b.data, b.len);
	nx_buf_done(&b);
	while (kv.n && (kv.n == ENTRIES || kv.bytes + e.len > CACHE_BYTES)) {
		struct entry *lru = &kv.entries[0];
		for (uint32_t i = 1; i < kv.n; i++)
			if (kv.entries[i].used < lru->used)
				lru = &kv.entries[i];
		drop(lru);
	}
	if (!data)
		e.why = *why;
	e.until = nx_now() + (data ? kv.ttl : FAILED_NS);
	if (!e.where || (data && !e.data)) { /* not cached: the next one asks again */
		free(e.where);
		free(e.data);
		return;
	}
	kv.bytes += e.len;
	kv.entries[kv.n++] = e;
}

static enum nx_code from_cache(struct entry *e, const struct nx_kv_ref *r, struct nx_arena *a,
			       struct nx_str *ret, struct nx_error *err)
{
	const struct nx_json *data;
	e->used = nx_now();
	if (!e->data) {
		if (err)
			*err = e->why;
		return e->why.code;
	}
	enum nx_code c = nx_json_parse(nx_strn(e->data, e->len), a, &data, err);
	return c ? c : nx_kv_pick(data, r->key, a, ret, err);
}

/* `busy` is ours. */
static enum nx_code ask_anew(const char *where, const struct nx_kv_ref *r, struct nx_arena *scratch,
			     struct nx_arena *a, struct nx_str *ret, struct nx_error *err)
{
	struct nx_error own;
	const struct nx_json *data = NULL;
	if (nx_now() < kv.down_until) {
		if (err)
			*err = kv.down;
		return kv.down.code;
	}
	pthread_mutex_unlock(&kv.lock);
	struct nx_str shown = nx_strn(where, strcspn(where, "?"));
	nx_error_clear(&own);
	enum nx_code c = fetch(r, shown, scratch, &data, &own);
	pthread_mutex_lock(&kv.lock);
	put(where, c ? NULL : data, &own);
	if (!c)
		return nx_kv_pick(data, r->key, a, ret, err);
	if (err)
		*err = own;
	return c;
}

enum nx_code nx_kv_read(struct nx_str text, struct nx_arena *a, struct nx_str *ret,
			struct nx_error *err)
{
	struct nx_kv_ref r;
	if (!kv.on)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "There is a reference to Vault, but vault.kv.address is not set.");
	enum nx_code c = nx_kv_ref_parse(text, &r, err);
	const char *where = c ? NULL
			      : nx_arena_printf(a, NX_STR_FMT "/" NX_STR_FMT "?version=%u",
						NX_STR_ARG(r.mount), NX_STR_ARG(r.path), r.version);
	struct nx_arena *scratch = where ? nx_arena_new_secret((size_t)16 << 20) : NULL;
	if (!scratch)
		return c ? c : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	pthread_mutex_lock(&kv.lock);
	struct entry *e = begin_or_find(where);
	if (e) {
		c = from_cache(e, &r, a, ret, err);
	} else {
		c = ask_anew(where, &r, scratch, a, ret, err);
		end();
	}
	pthread_mutex_unlock(&kv.lock);
	nx_arena_free(scratch);
	return c;
}

int64_t nx_kv_tend(void)
{
	struct nx_outbound_answer got;
	struct nx_kv_token t = { .ttl_s = 0 };
	struct nx_error err;
	pthread_mutex_lock(&kv.lock);
	/* the token is that thread's while somebody is busy */
	if (!kv.on || kv.busy || !kv.current || nx_now() < kv.renew_at) {
		int64_t at = kv.busy ? nx_now() + NX_SEC : kv.current ? kv.renew_at : INT64_MAX;
		pthread_mutex_unlock(&kv.lock);
		return at;
	}
	begin();
	pthread_mutex_unlock(&kv.lock);
	struct nx_arena *a = nx_arena_new_secret((size_t)4 << 20);
	bool ok = a && kv.renewable &&
		  ask("POST", "auth/token/renew-self", NX_STR("{}"), a, &got, &err) == NX_OK &&
		  got.status == 200 && nx_kv_token_answer(got.body, a, &t) && t.ttl_s > 0;
	if (ok) {
		plan(&t);
	} else if (kv.token) {
		kv.renew_at = nx_now() + 30 * NX_SEC;
		nx_log(NX_LOG_WARN, "vault", "the token of vault.kv.token cannot be renewed");
	} else {
		wipe(&kv.current); /* the next read logs in, or reads the file, again */
		kv.renew_at = INT64_MAX;
	}
	nx_arena_free(a);
	pthread_mutex_lock(&kv.lock);
	int64_t at = kv.renew_at;
	end();
	pthread_mutex_unlock(&kv.lock);
	return at;
}
