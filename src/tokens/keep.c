/* Refresh tokens that replaced configured ones: one setting in the store, {id: [token, when]}, sealed. */
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "nexus/buf.h"
#include "store/store.h"
#include "store/vault.h"
#include "tokens/tokens.h"

#define SETTING "refreshTokens"
#define KEPT_MAX 256u /* the oldest goes first: its source has gone, or was given another token */
#define TEXT_MAX ((size_t)NX_VAULT_MAX - 1024)

struct nx_token_store {
	struct nx_store *store;
	struct nx_vault *vault;
	pthread_mutex_t lock; /* read, change, write is one step here; held over the store */
};

enum nx_code nx_token_store_new(struct nx_store *s, const uint8_t key[32],
				struct nx_token_store **ret, struct nx_error *err)
{
	struct nx_token_store *k = calloc(1, sizeof(*k));
	if (!k)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	enum nx_code c = nx_vault_new(key, &k->vault, err);
	if (c) {
		free(k);
		return c;
	}
	k->store = s;
	pthread_mutex_init(&k->lock, NULL);
	*ret = k;
	return NX_OK;
}

void nx_token_store_free(struct nx_token_store *k)
{
	if (!k)
		return;
	nx_vault_free(k->vault);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

/* NULL when nothing is kept. *sealed: as it is stored, or empty. */
static enum nx_code read_all(struct nx_token_store *k, struct nx_arena *a, struct nx_str *sealed,
			     const struct nx_json **ret, struct nx_error *err)
{
	struct nx_str plain;
	*ret = NULL;
	*sealed = NX_STR("");
	enum nx_code c = nx_store_setting_get(k->store, SETTING, a, sealed, err);
	if (c == NX_E_NOT_FOUND)
		return NX_OK;
	if (!c)
		c = nx_vault_open(k->vault, NX_STR(SETTING), *sealed, a, &plain, err);
	if (!c && plain.len)
		c = nx_json_parse(plain, a, ret, err);
	return c;
}

static enum nx_code load(void *arg, const char *id, struct nx_arena *a, struct nx_str *ret,
			 struct nx_error *err)
{
	struct nx_token_store *k = arg;
	const struct nx_json *all;
	struct nx_str sealed;
	pthread_mutex_lock(&k->lock);
	enum nx_code c = read_all(k, a, &sealed, &all, err);
	pthread_mutex_unlock(&k->lock);
	if (c)
		return c;
	const struct nx_json *one = nx_json_get(all, id);
	if (!one || one->kind != NX_JSON_ARRAY || one->count != 2)
		return nx_fail(err, NX_E_NOT_FOUND, "No refresh token is kept.");
	*ret = one->first->text;
	return NX_OK;
}

static const struct nx_json *oldest(const struct nx_json *all, const char *but)
{
	const struct nx_json *found = NULL;
	int64_t when, least = INT64_MAX;
	for (const struct nx_json *m = all ? all->first : NULL; m; m = m->next) {
		if (!nx_str_is(m->key, but) && m->count == 2 &&
		    nx_str_to_i64(m->first->next->text, &when) && when < least) {
			least = when;
			found = m;
		}
	}
	return found;
}

static void write_all(const struct nx_json *all, const char *id, struct nx_str token,
		      struct nx_buf *b)
{
	const struct nx_json *drop = all && all->count >= KEPT_MAX ? oldest(all, id) : NULL;
	nx_buf_putc(b, '{');
	for (const struct nx_json *m = all ? all->first : NULL; m; m = m->next) {
		if (m == drop || nx_str_is(m->key, id))
			continue;
		nx_buf_put_json(b, m->key);
		nx_buf_putc(b, ':');
		nx_json_write(m, b);
		nx_buf_putc(b, ',');
	}
	nx_buf_printf(b, "\"%s\":[", id);
	nx_buf_put_json(b, token);
	nx_buf_printf(b, ",%lld]}", (long long)(nx_wall_us() / 1000000));
}

static enum nx_code save_once(struct nx_token_store *k, const char *id, struct nx_str token,
			      struct nx_error *err)
{
	struct nx_arena *a = nx_arena_new_secret((size_t)8 << 20);
	const struct nx_json *all;
	struct nx_str before, sealed;
	struct nx_buf b;
	if (!a)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	nx_buf_init(&b, TEXT_MAX);
	(void)nx_buf_reserve(&b, TEXT_MAX); /* at once: growth would leave copies */
	pthread_mutex_lock(&k->lock);
	enum nx_code c = read_all(k, a, &before, &all, err);
	if (!c) {
		write_all(all, id, token, &b);
		c = b.failed ? nx_fail(err, NX_E_MEMORY, "Too many refresh tokens to keep.")
			     : nx_vault_seal(k->vault, NX_STR(SETTING), nx_buf_str(&b), a, &sealed,
					     err);
	}
	if (!c)
		c = nx_store_setting_swap(k->store, SETTING, before, sealed, err);
	pthread_mutex_unlock(&k->lock);
	if (b.data)
		nx_wipe(b.data, b.len);
	nx_buf_done(&b);
	nx_arena_free(a);
	return c;
}

/* CONFLICT: another gateway on the same store came first; its tokens stay, too. */
static enum nx_code save(void *arg, const char *id, struct nx_str token, struct nx_error *err)
{
	enum nx_code c = NX_E_CONFLICT;
	for (int tries = 0; tries < 5 && c == NX_E_CONFLICT; tries++)
		c = save_once(arg, id, token, err);
	return c;
}

struct nx_token_keeper nx_token_store_keeper(struct nx_token_store *k)
{
	return (struct nx_token_keeper){ load, save, k };
}
