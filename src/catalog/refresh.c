/* Secrets in Vault change without anyone telling us: sources that refer to it are built again now and then,
 * and replaced when that gives another result. Vault is asked before the writers' lock is taken. */
#include "base/log.h"
#include "catalog/catalog_int.h"
#include "secrets/secrets.h"

#define SCRATCH_MAX ((size_t)16 << 20)

bool nx_data_source_in_vault(const struct nx_data_source *s)
{
	return nx_snapshot_of(s)->in_vault;
}

void nx_catalog_warm(struct nx_catalog *c, struct nx_str id_or_name)
{
	const struct nx_data_source *s;
	const struct nx_json *secrets = NULL;
	struct nx_error err;
	if (!nx_kv_on() || nx_catalog_get(c, id_or_name, &s, &err))
		return;
	struct nx_arena *a = nx_data_source_in_vault(s) ? nx_arena_new_secret(SCRATCH_MAX) : NULL;
	struct nx_str sealed = nx_snapshot_of(s)->body->secrets;
	if (a && nx_secrets_open(c->vault, s->id, sealed, a, &secrets, &err) == NX_OK)
		nx_secret_warm(secrets);
	nx_arena_free(a);
	nx_data_source_unref(s);
}

/* As it stands, from its own config. */
static enum nx_code again(struct nx_catalog *c, const struct nx_snapshot *old,
			  const struct nx_json *secrets, struct nx_arena *a,
			  struct nx_snapshot **ret, struct nx_error *err)
{
	const struct nx_json *config = NULL;
	struct nx_rules rules;
	struct nx_source_request q = { .name = old->pub.name,
				       .type_name = old->body->type_name,
				       .description = old->pub.description };
	struct nx_origin from = { .version = old->pub.version,
				  .status = old->pub.problem ? old->was : old->pub.status,
				  .created_at = old->pub.created_at,
				  .updated_at = old->pub.updated_at,
				  .sealed = old->body->secrets,
				  .old_secrets = secrets };
	memcpy(from.id, old->pub.id, sizeof(from.id));
	nx_rules_init(&rules);
	nx_source_request_type(&q, &rules);
	enum nx_code code = nx_json_parse(old->body->config, a, &config, err);
	q.config = config;
	if (!code)
		code = nx_build(c->vault, &q, &from, a, &rules, ret, err);
	if (!code)
		code = nx_rules_end(&rules, a, NULL, err);
	nx_rules_done(&rules);
	return code;
}

/* True: it was replaced. What cannot be built stays as it is: the login that worked may still do. */
static bool refresh(struct nx_catalog *c, struct nx_snapshot *old)
{
	struct nx_arena *a = nx_arena_new_secret(SCRATCH_MAX);
	const struct nx_json *secrets = NULL;
	struct nx_snapshot *s = NULL;
	struct nx_error err;
	enum nx_code code =
		a ? nx_secrets_open(c->vault, old->pub.id, old->body->secrets, a, &secrets, &err)
		  : nx_fail(&err, NX_E_MEMORY, "Out of memory.");
	if (!code)
		nx_secret_warm(secrets);
	pthread_mutex_lock(&c->writing);
	bool current = !code && nx_catalog_current(c, nx_str(old->pub.id)) == old;
	if (current)
		code = again(c, old, secrets, a, &s, &err);
	bool swap = current && !code &&
		    (old->pub.problem || !nx_options_equal(old->pub.options, s->pub.options));
	if (swap) {
		s->pub.from_config = old->pub.from_config;
		s->stored = old->stored;
		nx_snapshot_hold(s);
		nx_catalog_swap(c, old, s);
	}
	pthread_mutex_unlock(&c->writing);
	if (code && !old->pub.problem)
		nx_log_error(NX_LOG_WARN, "vault", NULL, &err);
	if (!swap && s)
		nx_data_source_unref(&s->pub);
	if (swap)
		nx_log(NX_LOG_INFO, "source", "source " NX_STR_FMT " has new secrets",
		       NX_STR_ARG(old->pub.name));
	nx_arena_free(a);
	return swap;
}

uint32_t nx_catalog_refresh(struct nx_catalog *c, uint32_t *ret_problems)
{
	uint32_t done = 0, problems = 0;
	size_t n = 0;
	pthread_rwlock_rdlock(&c->lock);
	struct nx_snapshot **all = calloc(c->by_id.count + 1, sizeof(*all));
	for (size_t i = 0; all && i < c->by_id.count; i++)
		if (c->sorted[i]->in_vault) {
			nx_data_source_ref(&c->sorted[i]->pub);
			all[n++] = c->sorted[i];
		}
	pthread_rwlock_unlock(&c->lock);
	for (size_t i = 0; i < n; i++) {
		bool had = all[i]->pub.problem != NX_OK;
		if (refresh(c, all[i])) {
			done++;
			nx_catalog_tell(c, all[i]); /* takes the catalog's reference */
		} else {
			problems += had;
		}
		nx_data_source_unref(&all[i]->pub);
	}
	free(all);
	*ret_problems = problems;
	return done;
}
