#include "gate/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/net.h"
#include "nexus/buf.h"
#include "secrets/secrets.h"

#define MAX_FILE ((size_t)4 * 1024 * 1024)

const struct nx_option nx_config_keys[] = {
#define NX_CONFIG(key, type, fallback, min, max, choices, help) \
	{ key, NX_OPT_##type, 0, fallback, min, max, choices, help },
#define NX_CONFIG_LIVE(key, type, fallback, min, max, choices, help) \
	{ key, NX_OPT_##type, NX_OPTF_LIVE, fallback, min, max, choices, help },
#include "gate/config.def"
#undef NX_CONFIG
#undef NX_CONFIG_LIVE
	{ .key = NULL },
};

/* Times and sizes alone: an editor writes a new file, a secret mount swaps a link. 0: it is not there. */
static uint64_t look_at(const char *path)
{
	struct stat st;
	if (stat(path, &st))
		return 0;
	const uint64_t part[] = { (uint64_t)st.st_dev,		(uint64_t)st.st_ino,
				  (uint64_t)st.st_size,		(uint64_t)st.st_mtim.tv_sec,
				  (uint64_t)st.st_mtim.tv_nsec, (uint64_t)st.st_ctim.tv_sec,
				  (uint64_t)st.st_ctim.tv_nsec };
	return nx_str_hash(nx_strn((const char *)part, sizeof(part)));
}

uint64_t nx_config_look(const struct nx_config *c)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < c->nfiles; i++)
		sum = sum * 31 + look_at(c->files[i]);
	return sum;
}

/* From the state before it is read: a change in between is seen as one. */
static enum nx_code watch(struct nx_config *cfg, const char *path, struct nx_error *err)
{
	for (uint32_t i = 0; i < cfg->nfiles; i++)
		if (strcmp(cfg->files[i], path) == 0)
			return NX_OK;
	if (cfg->nfiles == NX_CONFIG_FILES)
		return nx_fail(err, NX_E_CONFIG, "The configuration names too many files.");
	char *copy = nx_arena_cstr(cfg->arena, nx_str(path));
	if (!copy)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	cfg->files[cfg->nfiles++] = copy;
	cfg->seen = cfg->seen * 31 + look_at(copy);
	return NX_OK;
}

static enum nx_code read_file(struct nx_config *cfg, const char *path, struct nx_str *ret,
			      struct nx_error *err)
{
	struct nx_arena *a = cfg->arena;
	enum nx_code c = watch(cfg, path, err);
	if (c)
		return c;
	/* not to wait for somebody to write into a pipe: signals wait for this thread */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	bool plain = fd >= 0 && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISCHR(st.st_mode));
	FILE *f = plain ? fdopen(fd, "r") : NULL;
	if (!f) {
		c = nx_fail(err, NX_E_CONFIG, "Cannot open %s: %s.", path,
			    fd >= 0 && !plain ? "it is not a file" : strerror(errno));
		if (fd >= 0)
			close(fd);
		return c;
	}
	struct nx_buf b;
	nx_buf_init(&b, MAX_FILE);
	char *room;
	size_t n = 0;
	while ((room = nx_buf_reserve(&b, 4096)) && (n = fread(room, 1, 4096, f)) > 0)
		b.len += n;
	bool bad = ferror(f) || b.failed;
	(void)fclose(f);
	*ret = nx_arena_str(a, nx_buf_str(&b));
	nx_buf_done(&b);
	if (bad || !ret->ptr)
		return nx_fail(err, NX_E_CONFIG, "Cannot read %s, or it is too large.", path);
	return NX_OK;
}

/* Values of keys are read from Vault; in data sources the catalog does that, so that one that cannot be
 * read does not stop the others. */
enum vault_refs { VAULT_READ, VAULT_LEAVE };

static enum nx_code from_vault(struct nx_str ref, struct nx_buf *out, struct nx_error *err)
{
	struct nx_arena *a = nx_arena_new_secret((size_t)4 << 20);
	struct nx_str text;
	enum nx_code c =
		a ? nx_kv_read(ref, a, &text, err) : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		nx_buf_put_str(out, text);
	nx_arena_free(a);
	return c;
}

/* One ${...}: its text into out. `in` is what stands between the braces. */
static enum nx_code expand_one(struct nx_config *cfg, struct nx_str in, enum vault_refs refs,
			       struct nx_buf *out, struct nx_error *err)
{
	char *name = nx_arena_cstr(cfg->arena, in);
	if (!name)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (strncmp(name, "file:", 5) == 0) {
		struct nx_str text;
		enum nx_code c = read_file(cfg, name + 5, &text, err);
		if (c)
			return c;
		nx_buf_put_str(out, nx_str_trim(text));
		return NX_OK;
	}
	if (strncmp(name, "vault:", 6) == 0) {
		if (refs == VAULT_READ)
			return from_vault(nx_str(name + 6), out, err);
		nx_buf_printf(out, "${%s}", name);
		return NX_OK;
	}
	char *fallback = strstr(name, ":-");
	if (fallback) {
		*fallback = '\0';
		fallback += 2;
	}
	if (strncmp(name, "env:", 4) == 0)
		name += 4;
	const char *v = getenv(name);
	if (!v || (!*v && fallback))
		v = fallback;
	if (!v)
		return nx_fail(err, NX_E_CONFIG, "The environment has no variable %s.", name);
	nx_buf_puts(out, v);
	return NX_OK;
}

static enum nx_code expand(struct nx_config *cfg, struct nx_str in, enum vault_refs refs,
			   struct nx_str *ret, struct nx_error *err)
{
	if (!memmem(in.ptr, in.len, "${", 2)) {
		*ret = in;
		return NX_OK;
	}
	struct nx_buf out;
	nx_buf_init(&out, MAX_FILE);
	enum nx_code c = NX_OK;
	while (in.len > 0 && !c) {
		const char *open = memmem(in.ptr, in.len, "${", 2);
		size_t plain = open ? (size_t)(open - in.ptr) : in.len;
		nx_buf_put(&out, in.ptr, plain);
		in.ptr += plain;
		in.len -= plain;
		if (!open)
			break;
		const char *end = memchr(in.ptr, '}', in.len);
		if (!end) {
			c = nx_fail(err, NX_E_CONFIG, "A ${ is not closed.");
			break;
		}
		c = expand_one(cfg, nx_strn(in.ptr + 2, (size_t)(end - in.ptr) - 2), refs, &out,
			       err);
		in.len -= (size_t)(end + 1 - in.ptr);
		in.ptr = end + 1;
	}
	if (!c) {
		*ret = nx_arena_str(cfg->arena, nx_buf_str(&out));
		if (!ret->ptr || out.failed)
			c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	if (out.data)
		nx_wipe(out.data, out.len);
	nx_buf_done(&out);
	return c;
}

/* Data sources may hold references too; their trees are rewritten in place. The catalog resolves
 * ${env:..} and ${file:..} in secrets itself, but a file in the operator's hands may use both forms
 * everywhere. */
static enum nx_code expand_tree(struct nx_config *cfg, struct nx_json *v, struct nx_error *err)
{
	if (v->kind == NX_JSON_STRING)
		return expand(cfg, v->text, VAULT_LEAVE, &v->text, err);
	for (struct nx_json *m = v->first; m; m = m->next) {
		enum nx_code c = expand_tree(cfg, m, err);
		if (c)
			return c;
	}
	return NX_OK;
}

/* A value that Vault has waits until all keys are known: vault.kv.* are among them. */
struct nx_config_later {
	struct nx_config_later *next;
	const struct nx_option *option;
	struct nx_str text;
	bool flag; /* from the command line: stronger than what is set meanwhile */
};

static enum nx_code put_off(struct nx_config *cfg, const struct nx_option *o, struct nx_str value,
			    bool flag, struct nx_error *err)
{
	struct nx_config_later *l = nx_arena_zalloc(cfg->arena, sizeof(*l));
	if (strncmp(o->key, "vault.kv.", 9) == 0)
		return nx_fail(err, NX_E_CONFIG, "%s cannot be read from Vault.", o->key);
	if (!l)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	*l = (struct nx_config_later){ cfg->later, o, value, flag };
	cfg->later = l;
	return NX_OK;
}

static enum nx_code set(struct nx_config *cfg, struct nx_str key, struct nx_str value, bool flag,
			struct nx_error *err)
{
	const struct nx_option *o = nx_option_find(nx_config_keys, key);
	if (!o)
		return nx_fail(err, NX_E_CONFIG, "Unknown configuration key %.*s.", (int)key.len,
			       key.ptr);
	if (memmem(value.ptr, value.len, "${vault:", 8))
		return put_off(cfg, o, value, flag, err);
	struct nx_str v;
	enum nx_code c = expand(cfg, value, VAULT_READ, &v, err);
	if (!c && nx_options_set(cfg->values, o, v, err))
		c = err ? (err->code = NX_E_CONFIG) : NX_E_CONFIG;
	return c;
}

static enum nx_code read_later(struct nx_config *cfg, struct nx_error *err)
{
	const struct nx_options *o = cfg->values;
	struct nx_kv_config kv = {
		.address = nx_opt_str(o, "vault.kv.address", ""),
		.token = nx_opt_str(o, "vault.kv.token", ""),
		.token_file = nx_opt_str(o, "vault.kv.tokenFile", ""),
		.role_id = nx_opt_str(o, "vault.kv.roleId", ""),
		.secret_id = nx_opt_str(o, "vault.kv.secretId", ""),
		.role_mount = nx_opt_str(o, "vault.kv.roleMount", ""),
		.name_space = nx_opt_str(o, "vault.kv.namespace", ""),
		.ca_file = nx_opt_str(o, "vault.kv.caFile", ""),
		.ttl_ms = nx_opt_ms(o, "vault.kv.ttl", 300000),
	};
	enum nx_code c = NX_OK;
	if (!nx_kv_on() && *kv.address) /* the policy holds for Vault, too */
		c = nx_net_policy(nx_str(nx_opt_str(o, "network.allow", "")),
				  nx_str(nx_opt_str(o, "network.deny", "")), err);
	if (!c && *kv.address)
		c = nx_kv_start(&kv, err);
	for (struct nx_config_later *l = cfg->later; l && !c; l = l->next) {
		struct nx_str v;
		if (!l->flag && nx_opt_has(o, l->option->key))
			continue; /* by the environment or a flag */
		c = expand(cfg, l->text, VAULT_READ, &v, err);
		if (!c && nx_options_set(cfg->values, l->option, v, err))
			c = err ? (err->code = NX_E_CONFIG) : NX_E_CONFIG;
		nx_wipe((char *)(uintptr_t)v.ptr, c ? 0 : v.len);
	}
	cfg->later = NULL;
	return c;
}

static enum nx_code take_sources(struct nx_config *cfg, const struct nx_json *list,
				 struct nx_error *err)
{
	if (cfg->sources && cfg->sources->count)
		return nx_fail(err, NX_E_CONFIG, "Give sources or sourcesFile, not both.");
	cfg->sources = list;
	return expand_tree(cfg, (struct nx_json *)(uintptr_t)list, err);
}

static enum nx_code walk(struct nx_config *cfg, const struct nx_json *o, const char *prefix,
			 struct nx_error *err)
{
	for (const struct nx_json *m = o->first; m; m = m->next) {
		char *key = nx_arena_printf(cfg->arena, "%s%s%.*s", prefix, *prefix ? "." : "",
					    NX_STR_ARG(m->key));
		if (!key)
			return nx_fail(err, NX_E_MEMORY, "Out of memory.");
		enum nx_code c = NX_OK;
		if (strcmp(key, "sources") == 0 && m->kind == NX_JSON_ARRAY) {
			c = take_sources(cfg, m, err);
		} else if (m->kind == NX_JSON_OBJECT) {
			c = walk(cfg, m, key, err);
		} else if (m->kind == NX_JSON_ARRAY) {
			c = nx_fail(err, NX_E_CONFIG, "%s must not be a list.", key);
		} else if (m->kind != NX_JSON_NULL) {
			c = set(cfg, nx_str(key), m->text, false, err);
		}
		if (c)
			return c;
	}
	return NX_OK;
}

static enum nx_code from_environment(struct nx_config *cfg, struct nx_error *err)
{
	for (const struct nx_option *o = nx_config_keys; o->key; o++) {
		char name[128] = "NEXUS_";
		size_t at = 6;
		for (const char *p = o->key; *p && at < sizeof(name) - 3; p++) {
			if (*p == '.') {
				name[at++] = '_';
				continue;
			}
			/* defaultLimit becomes DEFAULT_LIMIT */
			if (isupper((unsigned char)*p))
				name[at++] = '_';
			name[at++] = (char)toupper((unsigned char)*p);
		}
		name[at] = '\0';
		const char *v = getenv(name);
		if (!v)
			continue;
		if (nx_options_set(cfg->values, o, nx_str(v), err))
			return err ? (err->code = NX_E_CONFIG) : NX_E_CONFIG;
	}
	return NX_OK;
}

/* Nothing at all is what a full disk or a writer that has only begun leaves behind: it does not mean that there
 * are no data sources. */
static enum nx_code read_yaml(struct nx_config *cfg, const char *path, const struct nx_json **ret,
			      struct nx_error *err)
{
	struct nx_str text;
	enum nx_code c = read_file(cfg, path, &text, err);
	if (!c && text.len == 0 && strcmp(path, "/dev/null") != 0)
		c = nx_fail(err, NX_E_CONFIG, "The file is empty.");
	return c ? c : nx_yaml_parse(text, cfg->arena, ret, err);
}

static void say_file(const char *file, enum nx_code c, struct nx_error *err)
{
	if (!err)
		return;
	char text[sizeof(err->message)];
	memcpy(text, err->message, sizeof(text));
	(void)nx_fail(err, c, "%s: %s", file, text);
}

/* The list itself, or a file like nexus.yaml that holds nothing but `sources`. */
static enum nx_code read_sources(struct nx_config *cfg, struct nx_error *err)
{
	const char *file = nx_opt_str(cfg->values, "sourcesFile", "");
	const struct nx_json *root = NULL;
	if (!*file)
		return NX_OK;
	enum nx_code c = read_yaml(cfg, file, &root, err);
	if (!c && root && root->kind == NX_JSON_OBJECT && root->count == 1 &&
	    nx_str_is(root->first->key, "sources"))
		root = root->first;
	if (!c && root && root->kind == NX_JSON_ARRAY)
		c = take_sources(cfg, root, err);
	else if (!c && root && root->kind != NX_JSON_NULL)
		c = nx_fail(err, NX_E_CONFIG, "The file must hold a list of data sources.");
	if (c)
		say_file(file, c, err);
	return c;
}

enum nx_code nx_config_load(const char *file, const char *const *flags, uint32_t nflags,
			    struct nx_config *ret, struct nx_error *err)
{
	struct nx_config cfg = { .values = nx_options_new(), .arena = nx_arena_new(64 << 20) };
	enum nx_code c = NX_OK;
	if (!cfg.values || !cfg.arena)
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c && file) {
		const struct nx_json *root = NULL;
		c = read_yaml(&cfg, file, &root, err);
		if (!c && root && root->kind != NX_JSON_OBJECT && root->kind != NX_JSON_NULL)
			c = nx_fail(err, NX_E_CONFIG, "The file must hold keys and values.");
		if (!c && root)
			c = walk(&cfg, root, "", err);
		if (c)
			say_file(file, c, err);
	}
	if (!c)
		c = from_environment(&cfg, err);
	for (uint32_t i = 0; i < nflags && !c; i++) {
		const char *eq = strchr(flags[i], '=');
		c = eq ? set(&cfg, nx_strn(flags[i], (size_t)(eq - flags[i])), nx_str(eq + 1), true,
			     err)
		       : nx_fail(err, NX_E_CONFIG, "--%s needs a value.", flags[i]);
	}
	if (!c)
		c = read_later(&cfg, err);
	if (!c)
		c = nx_options_defaults(cfg.values, nx_config_keys, err);
	if (!c)
		c = read_sources(&cfg, err);
	static const char *const tls[] = { "http.tls.cert", "http.tls.key" };
	for (size_t i = 0; i < NX_COUNTOF(tls) && !c; i++)
		if (*nx_opt_str(cfg.values, tls[i], ""))
			c = watch(&cfg, nx_opt_str(cfg.values, tls[i], ""), err);
	if (c) {
		nx_config_done(&cfg);
		return c;
	}
	*ret = cfg;
	return NX_OK;
}

void nx_config_done(struct nx_config *c)
{
	nx_options_free(c->values);
	nx_arena_free(c->arena);
	*c = (struct nx_config){ 0 };
}
