#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secrets/secrets_int.h"

/* "${kind:name}" as a whole: the name. */
static bool reference(struct nx_str v, const char *kind, struct nx_str *ret)
{
	char start[16];
	int n = snprintf(start, sizeof(start), "${%s:", kind);
	if (n < 0 || !nx_str_starts(v, nx_strn(start, (size_t)n)) || !nx_str_ends(v, NX_STR("}")) ||
	    v.len <= (size_t)n + 1 || v.len > 1024)
		return false;
	*ret = nx_strn(v.ptr + n, v.len - (size_t)n - 1);
	return !memchr(ret->ptr, '}', ret->len) && !memchr(ret->ptr, 0, ret->len);
}

bool nx_secret_in_vault(struct nx_str v)
{
	struct nx_str name;
	return reference(v, "vault", &name);
}

/* The file's text without line ends at its end. */
static bool read_file(const char *path, struct nx_arena *a, struct nx_str *ret)
{
	char *buf = nx_arena_alloc(a, NX_SECRET_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	size_t len = 0;
	bool ok = buf && fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	while (ok && len < NX_SECRET_MAX) {
		ssize_t n = read(fd, buf + len, NX_SECRET_MAX - len);
		if (n < 0 && errno == EINTR)
			continue;
		ok = n >= 0;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	if (!ok || len == NX_SECRET_MAX)
		return false;
	while (len > 0 && (buf[len - 1] == '\n' || buf[len - 1] == '\r'))
		len--;
	buf[len] = '\0';
	*ret = nx_strn(buf, len);
	return true;
}

enum nx_code nx_secret_follow(struct nx_str v, const char *what, struct nx_arena *a,
			      struct nx_str *ret, struct nx_error *err)
{
	struct nx_str name;
	const char *text;
	if (reference(v, "vault", &name))
		return nx_kv_read(name, a, ret, err);
	bool env = reference(v, "env", &name);
	if (!env && !reference(v, "file", &name)) {
		*ret = v;
		return NX_OK;
	}
	const char *path = nx_arena_cstr(a, name);
	if (!path)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!env && !read_file(path, a, ret))
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "%s refers to a file that cannot be read or is over 64 KiB.", what);
	if (!env)
		return NX_OK;
	text = getenv(path);
	if (!text)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "%s refers to the environment variable %s, which is not set.", what,
			       path);
	*ret = nx_str(text);
	return NX_OK;
}

void nx_secret_warm(const struct nx_json *v)
{
	if (!v || !nx_kv_on())
		return;
	if (v->kind == NX_JSON_STRING && nx_secret_in_vault(v->text)) {
		struct nx_arena *a = nx_arena_new_secret((size_t)4 << 20);
		struct nx_str unused;
		if (a && nx_secret_follow(v->text, "", a, &unused, NULL) != NX_OK)
			unused = NX_STR(""); /* the failure is kept, and told to who asks next */
		nx_arena_free(a);
	}
	for (const struct nx_json *m = v->first; m; m = m->next)
		nx_secret_warm(m);
}
