/* Files below the root as tables.
 *
 *	orders            orders.parquet, orders.csv.gz, orders.json, ... or the folder orders/
 *	"2025/orders.csv" a path relative to the root, globs allowed
 *	files, s3object   all below the root
 *
 * Folders like day=2025-01-01/ become columns where all files agree on them: DuckDB sees that itself.
 *
 * A path never leaves the root: no "..", nothing absolute; symbolic links that lead outside are
 * stopped by landlock, or, without it, by refusing links altogether. */
#include "engine/engine_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define WALK_MAX 20000u /* entries looked at to find a format or a link */
#define WALK_DEPTH 16u

static const struct {
	const char *suffix, *format;
} suffixes[] = {
	{ ".parquet", "parquet" }, { ".parq", "parquet" },   { ".pq", "parquet" },
	{ ".csv", "csv" },	   { ".csv.gz", "csv" },     { ".csv.zst", "csv" },
	{ ".tsv", "csv" },	   { ".tsv.gz", "csv" },     { ".tsv.zst", "csv" },
	{ ".json", "json" },	   { ".json.gz", "json" },   { ".json.zst", "json" },
	{ ".ndjson", "json" },	   { ".ndjson.gz", "json" }, { ".ndjson.zst", "json" },
	{ ".jsonl", "json" },	   { ".jsonl.gz", "json" },  { ".jsonl.zst", "json" },
};
static const char *const formats[] = { "parquet", "csv", "json" };

static enum nx_code no_memory(struct nx_error *err)
{
	return nx_fail(err, NX_E_ENGINE_MEMORY, "no memory for the table names");
}

/* Format by file name; the stem's length goes to *stem. */
static const char *format_of(struct nx_str name, size_t *stem)
{
	const char *found = NULL;
	*stem = name.len;
	for (size_t i = 0; i < NX_COUNTOF(suffixes); i++) {
		struct nx_str s = nx_str(suffixes[i].suffix);
		if (name.len <= s.len)
			continue;
		struct nx_str tail = nx_strn(name.ptr + name.len - s.len, s.len);
		if (nx_str_ieq(tail, s) && name.len - s.len < *stem) {
			*stem = name.len - s.len;
			found = suffixes[i].format;
		}
	}
	return found;
}

static bool hidden(const char *name)
{
	return name[0] == '.' || name[0] == '_';
}

struct walk {
	unsigned seen;
	bool link;
	unsigned count[NX_COUNTOF(formats)];
};

/* Bounded look below a folder: formats and links there. */
static void walk(int dirfd, const char *name, unsigned depth, struct walk *w)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *e; w->seen < WALK_MAX && (e = readdir(d));) {
		if (hidden(e->d_name))
			continue;
		w->seen++;
		struct stat st;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		w->link = w->link || S_ISLNK(st.st_mode);
		size_t stem;
		const char *f = format_of(nx_str(e->d_name), &stem);
		for (size_t i = 0; f && !S_ISDIR(st.st_mode) && i < NX_COUNTOF(formats); i++)
			w->count[i] += strcmp(formats[i], f) == 0;
		if (S_ISDIR(st.st_mode) && depth < WALK_DEPTH)
			walk(fd, e->d_name, depth + 1, w);
	}
	closedir(d);
}

static const char *format_below(const struct nx_tables *t, const char *path, struct walk *w)
{
	walk(AT_FDCWD, path, 0, w);
	if (t->req->format.len)
		return t->req->format.ptr;
	for (size_t i = 0; i < NX_COUNTOF(formats); i++)
		if (w->count[i])
			return formats[i];
	return NULL;
}

static const char *ending(const char *format)
{
	return strcmp(format, "csv") == 0    ? "csv*"
	       : strcmp(format, "json") == 0 ? "*json*"
					     : "parquet";
}

/* As part of a SQL literal; glob characters are made literal unless the name is a pattern. */
static void put_path(struct nx_buf *b, struct nx_str s, bool pattern)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c == '\'')
			nx_buf_puts(b, "''");
		else if (!pattern && (c == '*' || c == '?' || c == '['))
			nx_buf_printf(b, "[%c]", c);
		else
			nx_buf_putc(b, c);
	}
}

/* read_x('root/path/tail', options) */
static const char *expression(const struct nx_tables *t, const char *format, struct nx_str path,
			      bool pattern, const char *tail, struct nx_error *err)
{
	const struct nx_wire_request *r = t->req;
	struct nx_buf b;
	nx_buf_init(&b, 64 << 10);
	nx_buf_printf(&b, "read_%s('", format);
	put_path(&b, r->root, false);
	if (path.len)
		nx_buf_putc(&b, '/');
	put_path(&b, path, pattern);
	nx_buf_puts(&b, tail);
	nx_buf_putc(&b, '\'');
	if (strcmp(format, "csv") == 0 && r->delimiter.len) {
		nx_buf_puts(&b, ", delim='");
		put_path(&b, r->delimiter, true);
		nx_buf_puts(&b, "'");
	}
	if (strcmp(format, "csv") == 0 && r->header >= 0)
		nx_buf_printf(&b, ", header=%s", r->header ? "true" : "false");
	nx_buf_putc(&b, ')');
	char *s = b.failed ? NULL : nx_arena_cstr(t->arena, nx_buf_str(&b));
	nx_buf_done(&b);
	if (!s)
		no_memory(err);
	return s;
}

static const char *folder(const struct nx_tables *t, struct nx_str path, const char **ret,
			  struct nx_error *err)
{
	struct walk w = { 0 };
	const char *full =
		nx_arena_printf(t->arena, NX_STR_FMT "%s" NX_STR_FMT, NX_STR_ARG(t->req->root),
				path.len ? "/" : "", NX_STR_ARG(path));
	if (!full)
		return no_memory(err), NULL;
	const char *format = format_below(t, full, &w);
	if (!format)
		return NULL;
	if (w.link && !t->links_fenced) {
		nx_fail(err, NX_E_SOURCE_PERMISSION, "there is a symbolic link below this folder");
		return NULL;
	}
	char tail[32];
	int n = snprintf(tail, sizeof tail, "/**/*.%s", ending(format));
	if (n < 0 || (size_t)n >= sizeof tail)
		return NULL;
	*ret = expression(t, format, path, false, tail, err);
	return *ret;
}

/* Names that could lead out of the root, or to another kind of file system. */
static bool outside(struct nx_str p)
{
	if (p.len == 0 || p.ptr[0] == '/' || memchr(p.ptr, '\\', p.len) ||
	    memchr(p.ptr, '\0', p.len) || memmem(p.ptr, p.len, "://", 3) || p.ptr[0] == '~')
		return true;
	for (size_t i = 0; i < p.len;) {
		const char *slash = memchr(p.ptr + i, '/', p.len - i);
		size_t end = slash ? (size_t)(slash - p.ptr) : p.len;
		if (end - i == 2 && p.ptr[i] == '.' && p.ptr[i + 1] == '.')
			return true;
		i = end + 1;
	}
	return false;
}

static enum nx_code path_source(const struct nx_tables *t, struct nx_str p, const char **ret,
				struct nx_error *err)
{
	if (outside(p))
		return nx_fail(err, NX_E_SOURCE_PERMISSION,
			       "\"" NX_STR_FMT "\" is not a path below the source's folder",
			       NX_STR_ARG(p));
	size_t stem;
	const char *format = t->req->format.len ? t->req->format.ptr : format_of(p, &stem);
	bool pattern = memchr(p.ptr, '*', p.len) || memchr(p.ptr, '?', p.len);
	char *full = nx_arena_printf(t->arena, NX_STR_FMT "/" NX_STR_FMT, NX_STR_ARG(t->req->root),
				     NX_STR_ARG(p));
	if (!full)
		return no_memory(err);
	struct stat st;
	if (pattern) {
		struct walk w = { 0 };
		if (!t->links_fenced)
			walk(AT_FDCWD, t->req->root.ptr, 0, &w);
		if (w.link)
			return nx_fail(err, NX_E_SOURCE_PERMISSION,
				       "there is a symbolic link below the source's folder");
		if (!format)
			return NX_OK;
		*ret = expression(t, format, p, true, "", err);
		return *ret ? NX_OK : NX_E_ENGINE_MEMORY;
	}
	if (lstat(full, &st)) {
		if (!memchr(p.ptr, '/', p.len) && !format_of(p, &stem))
			return NX_OK; /* a name with a dot in it: DuckDB says that it does not exist */
		return nx_fail(err, NX_E_UNDEFINED_OBJECT,
			       "there is no \"" NX_STR_FMT "\" below the source's folder",
			       NX_STR_ARG(p));
	}
	if (S_ISLNK(st.st_mode) && !t->links_fenced)
		return nx_fail(err, NX_E_SOURCE_PERMISSION, "this is a symbolic link");
	if (S_ISLNK(st.st_mode) && stat(full, &st))
		return NX_OK;
	nx_error_clear(err);
	if (S_ISDIR(st.st_mode))
		return folder(t, p, ret, err) || !err->code ? NX_OK : err->code;
	if (!S_ISREG(st.st_mode) || !format)
		return NX_OK;
	*ret = expression(t, format, p, false, "", err);
	return *ret ? NX_OK : NX_E_ENGINE_MEMORY;
}

/* How good a folder entry is for a name: 0 not at all. Exact case, wanted format, list order. */
static int score(const struct nx_tables *t, struct nx_str entry, bool dir, struct nx_str name)
{
	size_t stem = entry.len;
	const char *format = dir ? NULL : format_of(entry, &stem);
	struct nx_str s = nx_strn(entry.ptr, stem);
	if ((!dir && !format) || !nx_str_ieq(s, name))
		return 0;
	int points = 10 + (nx_str_eq(s, name) ? 100 : 0);
	if (dir)
		return points;
	if (t->req->format.len && !nx_str_is(t->req->format, format))
		return 0;
	for (int i = 0; i < (int)NX_COUNTOF(formats); i++)
		if (strcmp(formats[i], format) == 0)
			points += 8 - 2 * i;
	return points;
}

static enum nx_code stem_source(const struct nx_tables *t, struct nx_str name, const char **ret,
				struct nx_error *err)
{
	DIR *d = opendir(t->req->root.ptr);
	if (!d)
		return nx_fail(err, NX_E_SOURCE_DOWN, "the source's folder cannot be read");
	struct nx_str best = NX_STR_INIT("");
	int points = 0;
	for (struct dirent *e; (e = readdir(d));) {
		if (hidden(e->d_name))
			continue;
		struct stat st;
		if (fstatat(dirfd(d), e->d_name, &st, 0))
			continue;
		int now = score(t, nx_str(e->d_name), S_ISDIR(st.st_mode), name);
		if (now <= points)
			continue;
		points = now;
		best = nx_arena_str(t->arena, nx_str(e->d_name));
	}
	closedir(d);
	if (!points)
		return NX_OK;
	return best.ptr ? path_source(t, best, ret, err) : no_memory(err);
}

enum nx_code nx_table_source(const struct nx_tables *t, struct nx_str name, const char **ret,
			     struct nx_error *err)
{
	*ret = NULL;
	enum nx_code code;
	if (memchr(name.ptr, '/', name.len) || memchr(name.ptr, '.', name.len) ||
	    memchr(name.ptr, '*', name.len)) {
		code = path_source(t, name, ret, err);
		if (code || *ret)
			return code;
	}
	if (!memchr(name.ptr, '/', name.len)) {
		code = stem_source(t, name, ret, err);
		if (code || *ret)
			return code;
	}
	if (nx_str_is(name, "files") || nx_str_is(name, "s3object")) {
		nx_error_clear(err);
		if (!folder(t, NX_STR(""), ret, err) && err->code)
			return err->code;
	}
	return NX_OK;
}

static int compare(const void *a, const void *b)
{
	const struct nx_table_entry *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

/* Sorted, one entry for every name. */
static struct nx_table_entry *link_up(struct nx_table_entry **all, unsigned n)
{
	struct nx_table_entry *first = NULL;
	qsort(all, n, sizeof(struct nx_table_entry *), compare);
	for (unsigned i = n; i-- > 0;) {
		if (first && strcmp(first->name, all[i]->name) == 0)
			continue;
		all[i]->next = first;
		first = all[i];
	}
	return first;
}

static struct nx_table_entry *entry_of(const struct nx_tables *t, int fd, const char *name,
				       bool *full)
{
	struct stat st;
	if (hidden(name) || fstatat(fd, name, &st, 0) ||
	    nx_utf8_check(nx_str(name)) != strlen(name))
		return NULL;
	size_t stem = strlen(name);
	const char *format = NULL;
	if (S_ISDIR(st.st_mode)) {
		struct walk w = { 0 };
		char *path =
			nx_arena_printf(t->arena, NX_STR_FMT "/%s", NX_STR_ARG(t->req->root), name);
		format = path ? format_below(t, path, &w) : NULL;
		unsigned files = w.count[0] + w.count[1] + w.count[2];
		if (!format || !files)
			return NULL;
	} else if (S_ISREG(st.st_mode)) {
		format = format_of(nx_str(name), &stem);
		if (!format || (t->req->format.len && !nx_str_is(t->req->format, format)))
			return NULL;
	} else {
		return NULL;
	}
	struct nx_table_entry *e = nx_arena_zalloc(t->arena, sizeof *e);
	char *copy = nx_arena_cstr(t->arena, nx_strn(name, stem));
	if (!e || !copy) {
		*full = true;
		return NULL;
	}
	e->name = copy;
	e->format = format;
	e->folder = S_ISDIR(st.st_mode);
	return e;
}

enum nx_code nx_table_list(const struct nx_tables *t, struct nx_table_entry **ret,
			   struct nx_error *err)
{
	struct nx_table_entry **all = nx_arena_array(t->arena, NX_TABLES_MAX, sizeof *all);
	if (!all)
		return no_memory(err);
	DIR *d = opendir(t->req->root.ptr);
	if (!d)
		return nx_fail(err, NX_E_SOURCE_DOWN, "the source's folder cannot be read");
	unsigned n = 0;
	bool full = false;
	for (struct dirent *e; n < NX_TABLES_MAX && !full && (e = readdir(d));) {
		struct nx_table_entry *entry = entry_of(t, dirfd(d), e->d_name, &full);
		if (entry)
			all[n++] = entry;
	}
	closedir(d);
	if (full)
		return no_memory(err);
	*ret = link_up(all, n);
	return NX_OK;
}
