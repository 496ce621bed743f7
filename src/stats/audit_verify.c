/* Reads the chain as its writer made it, and says where it is not so. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stats/audit_int.h"

struct verify {
	const char *dir;
	void (*problem)(const char *file, uint64_t line, const char *what, void *arg);
	void *arg;
	struct nx_audit_report *ret;
	EVP_MD_CTX *ctx;
	char name[NX_AUDIT_NAME_LEN];
	uint64_t line;
	char prev[NX_AUDIT_HEX + 1]; /* hash of the record before; empty: none yet */
	uint64_t seq;
	uint64_t torn; /* bytes without a line feed since the last record */
	bool closed; /* the last record was a closing one */
	/* from the head file */
	uint64_t head_seq; /* 0: there is none */
	char head_hash[NX_AUDIT_HEX + 1];
	bool head_seen;
};

static void tell(struct verify *v, const char *what)
{
	v->ret->problems++;
	if (v->problem)
		v->problem(v->name, v->line, what, v->arg);
}

static bool body_has(struct nx_str body, const char *text)
{
	return memmem(body.ptr, body.len, text, strlen(text)) != NULL;
}

/* The first record of a file says how much of a line a crash left before it. */
static void check_opening(struct verify *v, struct nx_str body)
{
	char torn[64];
	(void)snprintf(torn, sizeof(torn), ",\"torn\":%llu}", (unsigned long long)v->torn);
	if (!body_has(body, "\"event\":\"open\""))
		tell(v, "the file does not begin with its opening record");
	else if (v->ret->records > 0 && !body_has(body, torn))
		tell(v, "text was added or removed at the end of the file before");
	v->torn = 0;
}

static void check_line(struct verify *v, struct nx_str text)
{
	struct nx_audit_line l;
	char hash[NX_AUDIT_HEX + 1];
	v->line++;
	if (!nx_audit_line_parse(text, &l)) {
		tell(v, "not a record");
		v->prev[0] = '\0';
		return;
	}
	if (!nx_audit_hash(v->ctx, l.body, hash) || memcmp(hash, l.hash.ptr, NX_AUDIT_HEX) != 0)
		tell(v, "the record was edited: its hash does not fit");
	if (v->line == 1)
		check_opening(v, l.body);
	if (v->ret->records == 0) {
		v->ret->first_seq = l.seq;
		v->ret->begins_later = l.seq != 1;
	} else if (l.seq != v->seq + 1) {
		char what[100];
		(void)snprintf(what, sizeof(what), "record %llu follows record %llu",
			       (unsigned long long)l.seq, (unsigned long long)v->seq);
		tell(v, what);
	} else if (v->prev[0] && memcmp(v->prev, l.prev.ptr, NX_AUDIT_HEX) != 0) {
		tell(v, "the record before was replaced: its hash does not fit");
	}
	memcpy(v->prev, l.hash.ptr, NX_AUDIT_HEX);
	v->prev[NX_AUDIT_HEX] = '\0';
	v->seq = l.seq;
	v->closed = body_has(l.body, "\"event\":\"close\"");
	if (l.seq == v->head_seq) {
		v->head_seen = true;
		if (memcmp(v->head_hash, l.hash.ptr, NX_AUDIT_HEX) != 0)
			tell(v, "the record is not the one that the head file notes");
	}
	v->ret->records++;
}

static void check_file(struct verify *v, FILE *f)
{
	char *text = NULL;
	size_t cap = 0;
	ssize_t n;
	v->line = 0;
	while ((n = getline(&text, &cap, f)) > 0) {
		if (text[n - 1] != '\n') {
			v->torn += (uint64_t)n;
			break;
		}
		check_line(v, nx_strn(text, (size_t)n - 1));
	}
	v->line = 0;
	if (ferror(f))
		tell(v, "the file cannot be read");
	free(text);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static enum nx_code list_files(const char *dir, uint32_t **ret, size_t *ret_n, struct nx_error *err)
{
	DIR *d = opendir(dir);
	if (!d)
		return nx_fail(err, NX_E_CONFIG, "Cannot open %s: %s.", dir,
			       strerrordesc_np(errno));
	uint32_t *list = NULL;
	size_t n = 0, cap = 0;
	bool ok = true;
	for (struct dirent *e; ok && (e = readdir(d));) {
		uint32_t number = nx_audit_file_number(e->d_name);
		if (!number)
			continue;
		if (n == cap) {
			cap = cap ? cap * 2 : 64;
			uint32_t *more = reallocarray(list, cap, sizeof(*more));
			ok = more != NULL;
			list = ok ? more : list;
		}
		if (ok)
			list[n++] = number;
	}
	closedir(d);
	if (!ok) {
		free(list);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	if (n)
		qsort(list, n, sizeof(*list), by_number);
	*ret = list;
	*ret_n = n;
	return NX_OK;
}

static FILE *open_in(const char *dir, const char *name)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
	return n > 0 && (size_t)n < sizeof(path) ? fopen(path, "re") : NULL;
}

static void read_head(struct verify *v)
{
	FILE *f = open_in(v->dir, NX_AUDIT_HEAD);
	unsigned long long seq;
	if (f && fscanf(f, "%20llu %64[0-9a-f]", &seq, v->head_hash) == 2)
		v->head_seq = seq;
	if (f)
		(void)fclose(f);
}

static void check_end(struct verify *v)
{
	struct nx_audit_report *r = v->ret;
	r->last_seq = v->seq;
	memcpy(r->last_hash, v->prev, sizeof(r->last_hash));
	r->open_ended = !v->closed;
	if (v->head_seq > v->seq) {
		char what[100];
		(void)snprintf(what, sizeof(what), "records %llu to %llu are missing at the end",
			       (unsigned long long)v->seq + 1, (unsigned long long)v->head_seq);
		tell(v, what);
	} else if (v->head_seq && !v->head_seen && v->head_seq >= r->first_seq) {
		tell(v, "the record that the head file notes is missing");
	}
}

enum nx_code nx_audit_verify(const char *dir,
			     void (*problem)(const char *file, uint64_t line, const char *what,
					     void *arg),
			     void *arg, struct nx_audit_report *ret, struct nx_error *err)
{
	struct nx_audit_report report = { 0 };
	struct verify v = { .dir = dir, .problem = problem, .arg = arg, .ret = &report };
	uint32_t *files = NULL;
	size_t n = 0;
	enum nx_code c = list_files(dir, &files, &n, err);
	if (c)
		return c;
	v.ctx = EVP_MD_CTX_new();
	if (!v.ctx) {
		free(files);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	read_head(&v);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(v.name, sizeof(v.name), NX_AUDIT_NAME, files[i]);
		if (i > 0 && files[i] != files[i - 1] + 1)
			tell(&v, "files before this one are missing");
		FILE *f = open_in(dir, v.name);
		if (!f) {
			tell(&v, "the file cannot be opened");
			continue;
		}
		check_file(&v, f);
		(void)fclose(f);
		report.files++;
	}
	check_end(&v);
	EVP_MD_CTX_free(v.ctx);
	free(files);
	*ret = report;
	return NX_OK;
}
