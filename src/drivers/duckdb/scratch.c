#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "nexus-engine-"
#define YOUNG 60 /* s */
#define DEPTH 8 /* folders in folders; DuckDB makes none */

/* Spill files want a disk, so /tmp (often memory) comes last. */
static const char *place(size_t i)
{
	const char *const places[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };
	const char *p = places[i];
	return p && p[0] == '/' && !strpbrk(p, "'\"") ? p : NULL;
}

enum { PLACES = 3 };

static int open_dir(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* By descriptors, so that a link never leads elsewhere. Takes `fd`. */
static void empty(int fd, int depth)
{
	DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    unlinkat(fd, e->d_name, 0) == 0)
			continue;
		int below = depth > 0 ? open_dir(fd, e->d_name) : -1;
		if (below < 0)
			continue;
		empty(below, depth - 1);
		(void)unlinkat(fd, e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

/* Ours, old enough, and nobody's? Then it is locked. */
static bool is_stale(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0 &&
	       st.st_mtime < time(NULL) - YOUNG && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static void sweep(const char *where)
{
	int top = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = top >= 0 ? fdopendir(top) : NULL;
	if (!d) {
		if (top >= 0)
			close(top);
		return;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (strncmp(e->d_name, PREFIX, sizeof(PREFIX) - 1) != 0 ||
		    strlen(e->d_name) != sizeof(PREFIX "XXXXXX") - 1)
			continue;
		int fd = open_dir(top, e->d_name);
		if (fd < 0)
			continue;
		int inner = is_stale(fd) ? dup(fd) : -1;
		if (inner >= 0) {
			empty(inner, DEPTH);
			(void)unlinkat(top, e->d_name, AT_REMOVEDIR);
		}
		close(fd);
	}
	closedir(d);
}

enum nx_code scratch_make(struct scratch *ret, struct nx_error *err)
{
	static bool swept;
	for (size_t i = 0; i < PLACES && !swept; i++)
		if (place(i))
			sweep(place(i));
	swept = true;
	for (size_t i = 0; i < PLACES; i++) {
		struct scratch s;
		int n = place(i) ? snprintf(s.path, sizeof(s.path), "%s/" PREFIX "XXXXXX", place(i))
				 : -1;
		if (n < 0 || (size_t)n >= sizeof(s.path) || !mkdtemp(s.path))
			continue;
		s.held = open_dir(AT_FDCWD, s.path);
		if (s.held >= 0 && flock(s.held, LOCK_EX | LOCK_NB) == 0) {
			*ret = s;
			return NX_OK;
		}
		scratch_remove(&s);
	}
	return nx_fail(err, NX_E_IO, "no temporary folder for the engine: %s", strerror(errno));
}

void scratch_remove(struct scratch *s)
{
	int inner = s->held >= 0 ? dup(s->held) : -1;
	if (inner >= 0)
		empty(inner, DEPTH);
	if (s->path[0])
		(void)rmdir(s->path);
	if (s->held >= 0)
		close(s->held);
	*s = (struct scratch){ .held = -1 };
}
