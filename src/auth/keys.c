/* API keys: `nxk_<prefix>_<secret>`, prefix 8 and secret 64 lower-case hex digits. The prefix finds the
 * row, the SHA-256 of the whole key proves it. The secret has 256 random bits, so a fast hash is as
 * good as a slow one. All keys are in memory; the store keeps them over restarts. */
#include "auth/auth_int.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "store/store.h"

#define KEYS_MAX 100000u

struct row {
	struct row *next; /* in its bucket */
	char id[37];
	char prefix[9];
	uint8_t hash[NX_HASH_LEN];
	struct nx_principal who;
	_Atomic int64_t used; /* last, Unix seconds; 0: never */
	int64_t written; /* what of it the store has; `writing` */
};

struct nx_keys {
	struct nx_store *store; /* NULL: none can be issued */
	pthread_mutex_t
		writing; /* taken first; held over the store's I/O, so that prefixes stay unique */
	pthread_rwlock_t lock; /* buckets, count; held for a few instructions */
	struct row *buckets[1024];
	uint32_t count;
};

static bool hex_only(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return false;
	return true;
}

static struct row **bucket(struct nx_keys *k, const char *prefix)
{
	return &k->buckets[nx_str_hash(nx_strn(prefix, 8)) % NX_COUNTOF(k->buckets)];
}

static struct row *find(struct nx_keys *k, const char *prefix)
{
	struct row *r = *bucket(k, prefix);
	while (r && memcmp(r->prefix, prefix, 8) != 0)
		r = r->next;
	return r;
}

static void insert(struct nx_keys *k, struct row *r)
{
	struct row **b = bucket(k, r->prefix);
	r->next = *b;
	*b = r;
	k->count++;
}

static bool set_name(struct row *r)
{
	char name[16] = "key:";
	memcpy(name + 4, r->prefix, 8);
	return nx_principal_name(&r->who, nx_strn(name, 12));
}

/* ISO 8601 as written by nx_iso_time(). */
static bool parse_time(struct nx_str s, int64_t *ret)
{
	struct tm tm = { 0 };
	char text[NX_ISO_LEN];
	if (s.len != NX_ISO_LEN - 1)
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end || *end != '.')
		return false;
	*ret = (int64_t)timegm(&tm);
	return true;
}

/* `limits` of a stored key: an object with scopes and sources; empty: none. */
static bool parse_limits(struct nx_str text, struct nx_principal *p)
{
	if (text.len == 0)
		return true;
	struct nx_arena *a = nx_arena_new(1 << 20);
	const struct nx_json *o;
	bool ok = a && nx_json_parse(text, a, &o, NULL) == NX_OK && o->kind == NX_JSON_OBJECT &&
		  nx_principal_narrow(o, p);
	nx_arena_free(a);
	return ok;
}

static enum nx_code load(const struct nx_store_key *s, void *arg, struct nx_error *err)
{
	struct nx_keys *k = arg;
	struct row *r = calloc(1, sizeof(*r));
	if (!r)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	/* closed gate: a row that cannot be read grants nothing */
	bool ok = s->id.len == 36 && s->prefix.len == 8 && hex_only(s->prefix.ptr, 8) &&
		  nx_role_by_name(s->role, &r->who.role) &&
		  (s->expires_at.len == 0 || parse_time(s->expires_at, &r->who.expires)) &&
		  parse_limits(s->limits, &r->who);
	int64_t used = 0;
	if (ok && s->last_used_at.len && parse_time(s->last_used_at, &used)) {
		atomic_init(&r->used, used);
		r->written = used;
	}
	if (ok) {
		memcpy(r->id, s->id.ptr, 36);
		memcpy(r->prefix, s->prefix.ptr, 8);
		ok = set_name(r);
	}
	if (!ok) {
		free(r);
		return nx_fail(err, NX_E_STORE_FAILED,
			       "The metadata store holds a damaged API key.");
	}
	memcpy(r->hash, s->hash, NX_HASH_LEN);
	insert(k, r);
	return NX_OK;
}

enum nx_code nx_keys_open(struct nx_store *store, struct nx_keys **ret, struct nx_error *err)
{
	struct nx_keys *k = calloc(1, sizeof(*k));
	if (!k)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	k->store = store;
	pthread_mutex_init(&k->writing, NULL);
	pthread_rwlock_init(&k->lock, NULL);
	enum nx_code c = store ? nx_store_keys(store, load, k, err) : NX_OK;
	if (c) {
		nx_keys_free(k);
		return c;
	}
	*ret = k;
	return NX_OK;
}

static void free_rows(struct nx_keys *k)
{
	for (size_t i = 0; i < NX_COUNTOF(k->buckets); i++) {
		while (k->buckets[i]) {
			struct row *r = k->buckets[i];
			k->buckets[i] = r->next;
			nx_wipe(r, sizeof(*r));
			free(r);
		}
	}
}

void nx_keys_free(struct nx_keys *k)
{
	if (!k)
		return;
	nx_keys_flush(k);
	free_rows(k);
	pthread_rwlock_destroy(&k->lock);
	pthread_mutex_destroy(&k->writing);
	free(k);
}

/* Times of last use that this process saw. */
static void carry_use(struct nx_keys *from, struct nx_keys *to)
{
	for (size_t i = 0; i < NX_COUNTOF(to->buckets); i++) {
		for (struct row *r = to->buckets[i]; r; r = r->next) {
			const struct row *old = find(from, r->prefix);
			if (!old || strcmp(old->id, r->id) != 0)
				continue;
			int64_t used = atomic_load_explicit(&old->used, memory_order_relaxed);
			if (used > atomic_load_explicit(&r->used, memory_order_relaxed))
				atomic_store_explicit(&r->used, used, memory_order_relaxed);
		}
	}
}

enum nx_code nx_keys_sync(struct nx_keys *k, struct nx_error *err)
{
	if (!k->store)
		return NX_OK;
	struct nx_keys *fresh = calloc(1, sizeof(*fresh)); /* the table alone is used */
	if (!fresh)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	pthread_mutex_lock(&k->writing);
	enum nx_code c = nx_store_keys(k->store, load, fresh, err);
	if (!c) {
		pthread_rwlock_wrlock(&k->lock);
		carry_use(k, fresh);
		for (size_t i = 0; i < NX_COUNTOF(k->buckets); i++) {
			struct row *old = k->buckets[i];
			k->buckets[i] = fresh->buckets[i];
			fresh->buckets[i] = old;
		}
		k->count = fresh->count;
		pthread_rwlock_unlock(&k->lock);
	}
	pthread_mutex_unlock(&k->writing);
	free_rows(fresh);
	free(fresh);
	return c;
}

enum nx_code nx_keys_check(struct nx_keys *k, struct nx_str key, int64_t now,
			   struct nx_principal *ret, struct nx_error *err)
{
	uint8_t hash[NX_HASH_LEN];
	static const uint8_t nothing[NX_HASH_LEN];
	if (key.len != NX_KEY_LEN || !nx_str_starts(key, NX_STR("nxk_")) || key.ptr[12] != '_' ||
	    !hex_only(key.ptr + 4, 8) || !hex_only(key.ptr + 13, 64))
		return nx_fail(err, NX_E_UNAUTHENTICATED, "The API key is not valid.");
	if (!nx_sha256(key, hash))
		return nx_fail(err, NX_E_INTERNAL, "The API key cannot be checked.");
	struct nx_principal p;
	pthread_rwlock_rdlock(&k->lock);
	struct row *r = find(k, key.ptr + 4);
	bool ok = CRYPTO_memcmp(r ? r->hash : nothing, hash, NX_HASH_LEN) == 0 && r;
	if (ok) {
		p = r->who;
		if ((!p.expires || now < p.expires) &&
		    atomic_load_explicit(&r->used, memory_order_relaxed) != now)
			atomic_store_explicit(&r->used, now, memory_order_relaxed);
	}
	pthread_rwlock_unlock(&k->lock);
	if (!ok)
		return nx_fail(err, NX_E_UNAUTHENTICATED, "The API key is not valid.");
	if (p.expires && now >= p.expires)
		return nx_fail(err, NX_E_TOKEN_EXPIRED, "The API key has expired.");
	*ret = p;
	return NX_OK;
}

static void hex(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		out[i * 2] = digits[p[i] >> 4];
		out[i * 2 + 1] = digits[p[i] & 15];
	}
}

/* A key in `ret` and its row; the prefix is free. `writing` is held: no lock is needed to read. */
static struct row *make(struct nx_keys *k, char ret[80])
{
	uint8_t raw[36];
	struct row *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	do {
		if (!nx_random(raw, sizeof(raw))) {
			free(r);
			return NULL;
		}
		hex(raw, 4, r->prefix);
	} while (find(k, r->prefix));
	memcpy(ret, "nxk_", 4);
	memcpy(ret + 4, r->prefix, 8);
	ret[12] = '_';
	hex(raw + 4, 32, ret + 13);
	ret[NX_KEY_LEN] = '\0';
	nx_wipe(raw, sizeof(raw));
	nx_uuid(r->id);
	if (nx_sha256(nx_strn(ret, NX_KEY_LEN), r->hash) && set_name(r))
		return r;
	free(r);
	return NULL;
}

/* The row's part of what was asked for: role, scopes, sources. */
static bool set_limits(struct row *r, const struct nx_issue *q, struct nx_buf *text)
{
	r->who.role = q->role;
	nx_issue_write(q, text);
	if (text->len == 0)
		return true;
	text->data[0] = '{'; /* in place of the first comma */
	nx_buf_putc(text, '}');
	return !text->failed && parse_limits(nx_buf_str(text), &r->who);
}

enum nx_code nx_keys_issue(struct nx_keys *k, const struct nx_issue *q, char ret[80],
			   struct nx_error *err)
{
	struct nx_principal probe;
	uint32_t ttl_s = q->ttl_s;
	if (!k->store)
		return nx_fail(err, NX_E_CONFIG, "API keys need a metadata store.");
	if (!nx_principal_name(&probe, q->name))
		return nx_fail(err, NX_E_BAD_VALUE,
			       "A key's name has 1 to 127 bytes and no control characters.");
	if (q->role >= NX_ROLE_COUNT)
		return nx_fail(err, NX_E_BAD_VALUE, "The role is not known.");
	struct nx_buf limits;
	nx_buf_init(&limits, 16384);
	char text[80], created[NX_ISO_LEN], until[NX_ISO_LEN] = "";
	int64_t now = nx_wall_us();
	nx_iso_time(now, created);
	if (ttl_s)
		nx_iso_time(now + (int64_t)ttl_s * 1000000, until);
	pthread_mutex_lock(&k->writing);
	struct row *r = k->count < KEYS_MAX ? make(k, text) : NULL;
	enum nx_code c;
	if (r && !set_limits(r, q, &limits)) {
		free(r);
		c = nx_fail(err, NX_E_BAD_VALUE, "The scopes or sources cannot be used.");
	} else if (!r) {
		c = k->count < KEYS_MAX
			    ? nx_fail(err, NX_E_INTERNAL, "A key cannot be made.")
			    : nx_fail(err, NX_E_OVERLOADED, "There are too many API keys.");
	} else {
		struct nx_store_key row = {
			.id = nx_str(r->id),
			.name = q->name,
			.prefix = nx_str(r->prefix),
			.role = nx_str(nx_role_name(q->role)),
			.created_at = nx_str(created),
			.expires_at = nx_str(until),
			.limits = nx_buf_str(&limits),
		};
		memcpy(row.hash, r->hash, NX_HASH_LEN);
		r->who.expires = ttl_s ? now / 1000000 + ttl_s : 0;
		c = nx_store_key_put(k->store, &row, err);
		if (c) {
			free(r);
		} else {
			pthread_rwlock_wrlock(&k->lock);
			insert(k, r);
			pthread_rwlock_unlock(&k->lock);
		}
	}
	pthread_mutex_unlock(&k->writing);
	nx_buf_done(&limits);
	if (!c)
		memcpy(ret, text, sizeof(text));
	nx_wipe(text, sizeof(text));
	return c;
}

static void unlink_row(struct nx_keys *k, struct nx_str id)
{
	struct row *dead = NULL;
	pthread_rwlock_wrlock(&k->lock);
	for (size_t i = 0; !dead && i < NX_COUNTOF(k->buckets); i++) {
		struct row **p = &k->buckets[i];
		while (*p && !nx_str_is(id, (*p)->id))
			p = &(*p)->next;
		if (!*p)
			continue;
		dead = *p;
		*p = dead->next;
		k->count--;
	}
	pthread_rwlock_unlock(&k->lock);
	free(dead);
}

enum nx_code nx_keys_revoke(struct nx_keys *k, struct nx_str id, struct nx_error *err)
{
	if (!k->store)
		return nx_fail(err, NX_E_NOT_FOUND, "No such API key.");
	pthread_mutex_lock(&k->writing);
	enum nx_code c = nx_store_key_delete(k->store, id, err);
	if (!c)
		unlink_row(k, id);
	pthread_mutex_unlock(&k->writing);
	return c;
}

/* ---- last use ---- */

#define FLUSH_MAX 256u

int64_t nx_keys_used(struct nx_keys *k, struct nx_str prefix)
{
	int64_t used = 0;
	pthread_rwlock_rdlock(&k->lock);
	const struct row *r = prefix.len == 8 ? find(k, prefix.ptr) : NULL;
	if (r)
		used = atomic_load_explicit(&r->used, memory_order_relaxed);
	pthread_rwlock_unlock(&k->lock);
	return used;
}

/* Up to FLUSH_MAX changed rows from a bucket on; `writing` is held. Returns how many; *at goes on. */
static uint32_t collect(struct nx_keys *k, size_t *at, struct nx_store_key_use *out,
			struct row **rows)
{
	uint32_t n = 0;
	pthread_rwlock_rdlock(&k->lock);
	for (; *at < NX_COUNTOF(k->buckets) && n < FLUSH_MAX; ++*at) {
		for (struct row *r = k->buckets[*at]; r && n < FLUSH_MAX; r = r->next) {
			int64_t used = atomic_load_explicit(&r->used, memory_order_relaxed);
			if (used == r->written)
				continue;
			out[n].id = nx_str(r->id); /* rows go under `writing` only */
			nx_iso_time(used * 1000000, out[n].at);
			rows[n++] = r;
		}
	}
	pthread_rwlock_unlock(&k->lock);
	return n;
}

/* One transaction for each batch. A time that could not be written is tried again with the next flush; it
 * is worth no more than a line in the log. */
void nx_keys_flush(struct nx_keys *k)
{
	struct nx_store_key_use use[FLUSH_MAX];
	struct row *rows[FLUSH_MAX];
	struct nx_error err;
	if (!k->store)
		return;
	pthread_mutex_lock(&k->writing);
	for (size_t at = 0; at < NX_COUNTOF(k->buckets);) {
		uint32_t n = collect(k, &at, use, rows);
		if (n == 0)
			continue;
		if (nx_store_keys_used(k->store, use, n, &err)) {
			nx_log_error(NX_LOG_WARN, "keys", NULL, &err);
			break;
		}
		for (uint32_t i = 0; i < n; i++) {
			int64_t at_s = 0;
			if (parse_time(nx_str(use[i].at), &at_s))
				rows[i]->written = at_s;
		}
	}
	pthread_mutex_unlock(&k->writing);
}
