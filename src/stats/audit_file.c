#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "stats/audit_int.h"

static const char zeros[NX_AUDIT_HEX + 1] =
	"0000000000000000000000000000000000000000000000000000000000000000";

/* Fetched once: with EVP_sha256() libcrypto looks the algorithm up again for every record. Never
 * freed, as contexts point to it. */
static EVP_MD *sha256;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void set_up(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

bool nx_audit_hash(EVP_MD_CTX *ctx, struct nx_str s, char ret[NX_AUDIT_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char raw[32];
	pthread_once(&once, set_up);
	if (!sha256 || !EVP_DigestInit_ex2(ctx, sha256, NULL) ||
	    !EVP_DigestUpdate(ctx, s.ptr, s.len) || !EVP_DigestFinal_ex(ctx, raw, NULL))
		return false;
	for (size_t i = 0; i < sizeof(raw); i++) {
		ret[i * 2] = digits[raw[i] >> 4];
		ret[i * 2 + 1] = digits[raw[i] & 15];
	}
	ret[NX_AUDIT_HEX] = '\0';
	return true;
}

static bool is_hex(const char *s)
{
	for (int i = 0; i < NX_AUDIT_HEX; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return true;
}

bool nx_audit_line_parse(struct nx_str l, struct nx_audit_line *ret)
{
	if (l.len <= NX_AUDIT_SEQ_AT || memcmp(l.ptr, "{\"hash\":\"", 9) != 0 ||
	    memcmp(l.ptr + NX_AUDIT_BODY_AT - 2, "\",\"prev\":\"", 10) != 0 ||
	    memcmp(l.ptr + NX_AUDIT_SEQ_AT - 8, "\",\"seq\":", 8) != 0 ||
	    !is_hex(l.ptr + NX_AUDIT_HASH_AT) || !is_hex(l.ptr + NX_AUDIT_PREV_AT) ||
	    l.ptr[l.len - 1] != '}')
		return false;
	size_t end = NX_AUDIT_SEQ_AT;
	while (l.ptr[end] >= '0' && l.ptr[end] <= '9') /* the '}' ends it at the latest */
		end++;
	uint64_t seq;
	if (!nx_str_to_u64(nx_strn(l.ptr + NX_AUDIT_SEQ_AT, end - NX_AUDIT_SEQ_AT), &seq))
		return false;
	*ret = (struct nx_audit_line){
		.hash = nx_strn(l.ptr + NX_AUDIT_HASH_AT, NX_AUDIT_HEX),
		.prev = nx_strn(l.ptr + NX_AUDIT_PREV_AT, NX_AUDIT_HEX),
		.body = nx_strn(l.ptr + NX_AUDIT_BODY_AT, l.len - NX_AUDIT_BODY_AT),
		.seq = seq,
	};
	return true;
}

uint32_t nx_audit_file_number(const char *name)
{
	int64_t n;
	char again[NX_AUDIT_NAME_LEN];
	if (strlen(name) != 20 || !nx_str_to_i64(nx_strn(name + 6, 8), &n) || n <= 0)
		return 0;
	(void)snprintf(again, sizeof(again), NX_AUDIT_NAME, (unsigned)n);
	return strcmp(name, again) == 0 ? (uint32_t)n : 0;
}

/* ---- the end of the chain, at start ---- */

static bool last_number(int dir_fd, uint32_t *ret)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	*ret = 0;
	for (struct dirent *e; (e = readdir(d));) {
		uint32_t n = nx_audit_file_number(e->d_name);
		if (n > *ret)
			*ret = n;
	}
	closedir(d);
	return true;
}

/* The last whole line among the last bytes of a file: the chain goes on from it. Bytes behind it were
 * written by a process that died in the middle of a line. */
static bool last_line(const char *data, size_t len, struct nx_audit_line *ret, uint64_t *torn)
{
	size_t end = len;
	while (end > 0 && data[end - 1] != '\n')
		end--;
	*torn = len - end;
	if (end == 0)
		return false;
	size_t from = --end;
	while (from > 0 && data[from - 1] != '\n')
		from--;
	return nx_audit_line_parse(nx_strn(data + from, end - from), ret);
}

static bool read_end(struct nx_audit_chain *c, uint32_t number)
{
	char name[NX_AUDIT_NAME_LEN];
	(void)snprintf(name, sizeof(name), NX_AUDIT_NAME, number);
	int fd = openat(c->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	if (fd < 0 || fstat(fd, &st)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	off_t from = st.st_size > NX_AUDIT_LINE_MAX ? st.st_size - NX_AUDIT_LINE_MAX : 0;
	size_t want = (size_t)(st.st_size - from), have = 0;
	char *data = malloc(want + 1);
	ssize_t n = 1;
	while (data && have < want && n > 0) {
		n = pread(fd, data + have, want - have, from + (off_t)have);
		have += n > 0 ? (size_t)n : 0;
	}
	struct nx_audit_line l;
	uint64_t torn = 0;
	bool ok = data && have == want && last_line(data, have, &l, &torn);
	c->torn += torn;
	if (ok) {
		memcpy(c->prev, l.hash.ptr, NX_AUDIT_HEX);
		c->seq = l.seq;
	}
	free(data);
	close(fd);
	return ok;
}

/* ---- records ---- */

void nx_audit_line_begin(struct nx_audit_chain *c, int64_t wall_us, const char *event)
{
	char when[NX_ISO_LEN];
	nx_iso_time(wall_us, when);
	nx_buf_puts(&c->out, "{\"hash\":\"");
	nx_buf_put(&c->out, zeros, NX_AUDIT_HEX);
	nx_buf_puts(&c->out, "\",\"prev\":\"");
	nx_buf_put(&c->out, c->prev, NX_AUDIT_HEX);
	nx_buf_puts(&c->out, "\",\"seq\":");
	nx_buf_put_u64(&c->out, c->seq + 1);
	nx_buf_puts(&c->out, ",\"at\":\"");
	nx_buf_puts(&c->out, when);
	nx_buf_puts(&c->out, "\",\"event\":\"");
	nx_buf_puts(&c->out, event);
	nx_buf_putc(&c->out, '"');
}

void nx_audit_line_end(struct nx_audit_chain *c)
{
	nx_buf_puts(&c->out, "}");
	if (c->out.failed)
		return;
	size_t from = c->out.len; /* of this line: it is the only one without a line feed */
	char *data = c->out.data;
	const char *feed = memrchr(data, '\n', from);
	size_t start = feed ? (size_t)(feed + 1 - data) : 0;
	struct nx_str body =
		nx_strn(data + start + NX_AUDIT_BODY_AT, c->out.len - start - NX_AUDIT_BODY_AT);
	char hash[NX_AUDIT_HEX + 1];
	if (!nx_audit_hash(c->ctx, body, hash)) {
		c->out.failed = true;
		return;
	}
	memcpy(data + start + NX_AUDIT_HASH_AT, hash, NX_AUDIT_HEX);
	memcpy(c->prev, hash, sizeof(hash));
	c->seq++;
	nx_buf_putc(&c->out, '\n');
}

bool nx_audit_chain_flush(struct nx_audit_chain *c)
{
	while (c->done < c->out.len) {
		ssize_t n = write(c->fd, c->out.data + c->done, c->out.len - c->done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return false;
		}
		c->done += (size_t)n;
		c->size += (uint64_t)n;
	}
	nx_buf_clear(&c->out);
	c->done = 0;
	return !c->sync || fdatasync(c->fd) == 0;
}

void nx_audit_chain_head(struct nx_audit_chain *c)
{
	char text[NX_AUDIT_HEX + 32];
	int n = snprintf(text, sizeof(text), "%020llu %s\n", (unsigned long long)c->seq, c->prev);
	if (c->head_fd >= 0 && pwrite(c->head_fd, text, (size_t)n, 0) != n)
		nx_log(NX_LOG_WARN, "audit", "the head file cannot be written");
}

/* The header is in c->out when this returns. */
bool nx_audit_chain_next(struct nx_audit_chain *c)
{
	char name[NX_AUDIT_NAME_LEN];
	(void)snprintf(name, sizeof(name), NX_AUDIT_NAME, c->number + 1);
	int fd = openat(c->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	if (c->sync)
		(void)fsync(c->dir_fd);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = fd;
	c->number++;
	c->size = 0;
	nx_audit_line_begin(c, nx_wall_us(), "open");
	nx_buf_printf(&c->out, ",\"file\":%u,\"version\":\"%s\",\"torn\":%llu", c->number,
		      NX_VERSION, (unsigned long long)c->torn);
	nx_audit_line_end(c);
	c->torn = 0;
	return true;
}

static enum nx_code cannot(const char *what, const char *dir, struct nx_error *err)
{
	int e = errno;
	(void)nx_fail(err, NX_E_CONFIG, "The audit log %s cannot be %s: %s.", dir, what,
		      strerrordesc_np(e));
	nx_error_native(err, e, NULL);
	return NX_E_CONFIG;
}

enum nx_code nx_audit_chain_open(struct nx_audit_chain *c, const char *dir, uint64_t limit,
				 bool sync, struct nx_error *err)
{
	*c = (struct nx_audit_chain){
		.dir_fd = -1, .fd = -1, .head_fd = -1, .limit = limit, .sync = sync
	};
	memcpy(c->prev, zeros, sizeof(zeros));
	nx_buf_init(&c->out, NX_AUDIT_LINE_MAX);
	c->ctx = EVP_MD_CTX_new();
	if (!c->ctx)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (mkdir(dir, 0700) && errno != EEXIST)
		return cannot("made", dir, err);
	c->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->dir_fd < 0 || !last_number(c->dir_fd, &c->number))
		return cannot("read", dir, err);
	bool found = false;
	for (uint32_t n = c->number; n > 0 && !found; n--)
		found = read_end(c, n);
	if (c->number && !found)
		nx_log(NX_LOG_ERROR, "audit",
		       "no whole record in the files of %s; a new chain begins", dir);
	c->head_fd =
		openat(c->dir_fd, NX_AUDIT_HEAD, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (!nx_audit_chain_next(c) || !nx_audit_chain_flush(c))
		return cannot("written", dir, err);
	nx_audit_chain_head(c);
	return NX_OK;
}

void nx_audit_chain_done(struct nx_audit_chain *c)
{
	EVP_MD_CTX_free(c->ctx);
	nx_buf_done(&c->out);
	if (c->fd >= 0)
		close(c->fd);
	if (c->head_fd >= 0)
		close(c->head_fd);
	if (c->dir_fd >= 0)
		close(c->dir_fd);
}
