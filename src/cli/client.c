#include "cli/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ANSWER ((size_t)256 << 20)

struct nx_client {
	CURL *curl;
	struct curl_slist *headers;
	char url[1024];
};

static void take_out(struct nx_cli *cli, int at, int n)
{
	for (int i = at; i + n < cli->argc; i++)
		cli->argv[i] = cli->argv[i + n];
	cli->argc -= n;
}

const char *nx_cli_option(struct nx_cli *cli, const char *name, const char *fallback)
{
	size_t len = strlen(name);
	for (int i = 0; i < cli->argc; i++) {
		const char *a = cli->argv[i];
		if (strcmp(a, name) == 0 && i + 1 < cli->argc) {
			const char *v = cli->argv[i + 1];
			take_out(cli, i, 2);
			return v;
		}
		if (strncmp(a, name, len) == 0 && a[len] == '=') {
			take_out(cli, i, 1);
			return a + len + 1;
		}
	}
	return fallback;
}

bool nx_cli_switch(struct nx_cli *cli, const char *name)
{
	for (int i = 0; i < cli->argc; i++)
		if (strcmp(cli->argv[i], name) == 0) {
			take_out(cli, i, 1);
			return true;
		}
	return false;
}

/* The first admin key, if this user may read it. */
static bool read_admin_key(struct nx_cli *cli, char *out, size_t size)
{
	struct nx_config cfg;
	struct nx_error err;
	if (nx_config_load(cli->config_file, cli->flags, cli->nflags, &cfg, &err))
		return false;
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/admin.key",
			 nx_opt_str(cfg.values, "dataDir", ".nexus"));
	nx_config_done(&cfg);
	FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	bool ok = fgets(out, (int)size, f) != NULL;
	(void)fclose(f);
	out[strcspn(out, "\r\n")] = '\0';
	return ok;
}

static bool add_header(struct nx_client *c, const char *text)
{
	struct curl_slist *l = curl_slist_append(c->headers, text);
	if (l)
		c->headers = l;
	return l != NULL;
}

struct nx_client *nx_client_new(struct nx_cli *cli)
{
	const char *env = getenv("NEXUS_URL"), *token = getenv("NEXUS_TOKEN");
	const char *url = nx_cli_option(cli, "--url", env && *env ? env : "http://127.0.0.1:8080");
	const char *key = nx_cli_option(cli, "--key", token && *token ? token : NULL);
	char own[2048];
	if (!key && read_admin_key(cli, own, sizeof(own)))
		key = own;
	struct nx_client *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->curl = curl_easy_init();
	int n = snprintf(c->url, sizeof(c->url), "%s", url);
	bool ok = c->curl && n > 0 && (size_t)n < sizeof(c->url) - 300 &&
		  add_header(c, "Content-Type: application/json");
	while (ok && n > 0 && c->url[n - 1] == '/')
		c->url[--n] = '\0';
	if (ok && key) {
		char header[2300];
		(void)snprintf(header, sizeof(header), "Authorization: Bearer %s", key);
		ok = add_header(c, header);
		nx_wipe(header, sizeof(header));
	}
	nx_wipe(own, sizeof(own));
	if (!ok) {
		fprintf(stderr, "nexus: cannot set up the client\n");
		nx_client_free(c);
		return NULL;
	}
	return c;
}

void nx_client_free(struct nx_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	curl_slist_free_all(c->headers);
	free(c);
}

struct sink {
	struct nx_client *c;
	struct nx_buf kept; /* the answer of a call, or an error's body */
	bool (*write)(const char *data, size_t len, void *arg);
	void *arg;
	char tail[512]; /* end of what was streamed: does it tell of a failure? */
	size_t ntail;
};

static void keep_tail(struct sink *s, const char *p, size_t n)
{
	if (n >= sizeof(s->tail)) {
		memcpy(s->tail, p + n - sizeof(s->tail), sizeof(s->tail));
		s->ntail = sizeof(s->tail);
		return;
	}
	if (s->ntail + n > sizeof(s->tail)) {
		size_t drop = s->ntail + n - sizeof(s->tail);
		memmove(s->tail, s->tail + drop, s->ntail - drop);
		s->ntail -= drop;
	}
	memcpy(s->tail + s->ntail, p, n);
	s->ntail += n;
}

static size_t on_data(char *p, size_t size, size_t count, void *arg)
{
	struct sink *s = arg;
	size_t n = size * count;
	long status = 0;
	curl_easy_getinfo(s->c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (s->write && status == 200) {
		keep_tail(s, p, n);
		return s->write(p, n, s->arg) ? n : 0;
	}
	nx_buf_put(&s->kept, p, n);
	return s->kept.failed ? 0 : n;
}

static bool perform(struct nx_client *c, const char *method, const char *path, const char *body,
		    struct sink *s, long *ret_status)
{
	char url[2048];
	int n = snprintf(url, sizeof(url), "%s%s", c->url, path);
	if (n < 0 || (size_t)n >= sizeof(url))
		return false;
	char why[CURL_ERROR_SIZE] = "";
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
	if (!body)
		curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT, 10L);
	CURLcode rc = curl_easy_perform(c->curl);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
	if (rc != CURLE_OK) {
		fprintf(stderr, "nexus: %s: %s\n", c->url, *why ? why : curl_easy_strerror(rc));
		return false;
	}
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, ret_status);
	return true;
}

static void say_error(const struct nx_json *answer, long status)
{
	const struct nx_json *e = nx_json_get(answer, "error");
	const struct nx_json *code = nx_json_get(e, "code"), *text = nx_json_get(e, "message");
	const struct nx_json *cid = nx_json_get(answer, "correlationId");
	fprintf(stderr, "nexus: %s: %s", code ? code->text.ptr : "error",
		text ? text->text.ptr : "no message");
	const struct nx_json *d = nx_json_get(e, "details");
	const struct nx_json *pos = nx_json_get(d, "position");
	if (pos && pos->kind == NX_JSON_NUMBER)
		fprintf(stderr, " (at byte %s)", pos->text.ptr);
	fprintf(stderr, "\n  HTTP %ld, correlation id %s\n", status, cid ? cid->text.ptr : "?");
	const struct nx_json *rules = nx_json_get(d, "rules");
	for (const struct nx_json *r = rules ? rules->first : NULL; r; r = r->next) {
		const struct nx_json *id = nx_json_get(r, "rule"), *m = nx_json_get(r, "message");
		fprintf(stderr, "  %s %s\n", id ? id->text.ptr : "", m ? m->text.ptr : "");
	}
}

const struct nx_json *nx_client_call(struct nx_client *c, const char *method, const char *path,
				     const char *body, struct nx_arena *a)
{
	struct sink s = { .c = c };
	nx_buf_init(&s.kept, MAX_ANSWER);
	long status = 0;
	const struct nx_json *ret = NULL, *root = NULL;
	struct nx_error err;
	static const struct nx_json nothing = { .kind = NX_JSON_OBJECT };
	if (!perform(c, method, path, body, &s, &status))
		goto out;
	if (status == 204) {
		ret = &nothing;
		goto out;
	}
	if (nx_json_parse(nx_buf_str(&s.kept), a, &root, &err)) {
		fprintf(stderr, "nexus: HTTP %ld without a readable answer: %s\n", status,
			err.message);
		goto out;
	}
	const struct nx_json *ok = nx_json_get(root, "success");
	if (ok && nx_str_is(ok->text, "true"))
		ret = nx_json_get(root, "data");
	else
		say_error(root, status);
out:
	nx_buf_done(&s.kept);
	return ret;
}

int nx_client_stream(struct nx_client *c, const char *path, const char *body,
		     bool (*write)(const char *data, size_t len, void *arg), void *arg)
{
	struct sink s = { .c = c, .write = write, .arg = arg };
	nx_buf_init(&s.kept, MAX_ANSWER);
	long status = 0;
	int ret = NX_EXIT_FAIL;
	if (perform(c, body ? "POST" : "GET", path, body, &s, &status)) {
		if (status == 200) {
			/* JSON and NDJSON tell of a late failure in their last bytes. */
			bool failed = memmem(s.tail, s.ntail, "\"success\":false", 15) ||
				      memmem(s.tail, s.ntail, "{\"@error\":", 10);
			if (failed)
				fprintf(stderr, "nexus: the result is not complete; see its end\n");
			ret = failed ? NX_EXIT_FAIL : NX_EXIT_OK;
		} else {
			struct nx_arena *a = nx_arena_new(0);
			const struct nx_json *root = NULL;
			struct nx_error err;
			if (a && nx_json_parse(nx_buf_str(&s.kept), a, &root, &err) == NX_OK)
				say_error(root, status);
			else
				fprintf(stderr, "nexus: HTTP %ld\n", status);
			nx_arena_free(a);
		}
	}
	nx_buf_done(&s.kept);
	return ret;
}
