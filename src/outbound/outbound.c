/* The policy is applied where a socket is made: libcurl resolves, and shows each address it is about to
 * connect to. What was checked is what is connected to, whatever the name says a moment later, and the
 * deadline holds for the resolver, too. */
#include "outbound/outbound.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/net.h"
#include "nexus/buf.h"
#include "outbound/outbound_int.h"

#define HEAD_MAX ((size_t)64 << 10) /* bytes of an answer's head */
#define BODY_MAX ((size_t)16 << 20)
#define URL_MAX 4096u
#define CONNECT_MS 10000

struct call {
	const struct nx_outbound_request *q;
	char *data; /* the body so far; wiped */
	size_t len, cap;
	struct nx_outbound_head head;
	size_t head_len;
	bool secure; /* https */
	bool tried; /* a socket was made; if none: */
	bool denied, not_loopback;
	bool too_long, no_memory;
	char where[300]; /* the URL for the log: no query, no user */
	char why[CURL_ERROR_SIZE];
};

/* ---- what libcurl asks for ---- */

static bool is_loopback(const struct nx_ip *ip)
{
	struct nx_ip one = { .b = { [15] = 1 } };
	return (nx_ip_is_v4(ip) && ip->b[12] == 127) || memcmp(ip, &one, sizeof(one)) == 0;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct call *k = arg;
	struct nx_ip ip;
	if (purpose != CURLSOCKTYPE_IPCXN || !nx_ip_of_sockaddr(&a->addr, &ip) ||
	    !nx_net_allowed(&ip)) {
		k->denied = true;
		return CURL_SOCKET_BAD;
	}
	if (!k->secure && !k->q->plain && !is_loopback(&ip)) {
		k->not_loopback = true;
		return CURL_SOCKET_BAD;
	}
	k->tried = true;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
	struct call *k = arg;
	k->head_len += n;
	if (k->head_len > HEAD_MAX) {
		k->too_long = true;
		return 0;
	}
	nx_outbound_head_line(&k->head, nx_strn(p, n));
	return size * n;
}

/* By hand and not realloc(): what is left behind would hold a part of a secret. */
static bool make_room(struct call *k, size_t want)
{
	size_t cap = k->cap ? k->cap : 4096;
	while (cap < want)
		cap *= 2; /* want is at most BODY_MAX */
	if (cap == k->cap)
		return true;
	char *p = malloc(cap);
	if (!p)
		return false;
	if (k->len)
		memcpy(p, k->data, k->len);
	if (k->data)
		nx_wipe(k->data, k->cap);
	free(k->data);
	k->data = p;
	k->cap = cap;
	return true;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct call *k = arg;
	if (n > k->q->max_body - k->len) {
		k->too_long = true;
		return 0;
	}
	if (!make_room(k, k->len + n)) {
		k->no_memory = true;
		return 0;
	}
	memcpy(k->data + k->len, p, n);
	k->len += n;
	return size * n;
}

/* ---- the request ---- */

static bool is_token(struct nx_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
		if (!alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return s.len > 0;
}

/* RFC 9112: a name, a colon, a value of visible characters and blanks. */
static bool header_fits(struct nx_str h)
{
	const char *colon = h.len ? memchr(h.ptr, ':', h.len) : NULL;
	if (!colon || h.len > HEAD_MAX || !is_token(nx_strn(h.ptr, (size_t)(colon - h.ptr))))
		return false;
	for (size_t i = 0; i < h.len; i++) {
		unsigned char c = (unsigned char)h.ptr[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	/* to libcurl a name without a value means "leave it out" */
	return nx_str_trim(nx_strn(colon + 1, h.len - (size_t)(colon + 1 - h.ptr))).len > 0;
}

static void free_list(struct curl_slist *l)
{
	for (struct curl_slist *i = l; i; i = i->next)
		nx_wipe(i->data, strlen(i->data)); /* Authorization is among them */
	curl_slist_free_all(l);
}

static bool add(struct curl_slist **l, struct nx_str h)
{
	char *text = strndup(h.ptr, h.len);
	struct curl_slist *more = text ? curl_slist_append(*l, text) : NULL;
	if (text)
		nx_wipe(text, h.len);
	free(text);
	if (!more)
		return false;
	*l = more;
	return true;
}

static enum nx_code headers(const struct nx_outbound_request *q, struct curl_slist **ret,
			    struct nx_error *err)
{
	struct curl_slist *l = NULL;
	if (q->nheaders > NX_OUTBOUND_HEADERS)
		return nx_fail(err, NX_E_INTERNAL, "Too many headers for a request.");
	for (uint32_t i = 0; i < q->nheaders; i++) {
		if (!header_fits(q->headers[i])) {
			free_list(l);
			return nx_fail(err, NX_E_OUTBOUND_FAILED,
				       "A header for another service cannot be sent as it is.");
		}
		if (!add(&l, q->headers[i]))
			goto memory;
	}
	if (add(&l, NX_STR("Expect:"))) { /* no waiting for 100 Continue */
		*ret = l;
		return NX_OK;
	}
memory:
	free_list(l);
	return nx_fail(err, NX_E_MEMORY, "Out of memory.");
}

/* Judges the URL and writes down what may be told of it. */
static enum nx_code take_url(struct call *k, CURLU **ret, struct nx_error *err)
{
	char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL;
	enum nx_code c = NX_OK;
	CURLU *u = curl_url();
	if (!u)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (strnlen(k->q->url, URL_MAX) == URL_MAX ||
	    curl_url_set(u, CURLUPART_URL, k->q->url, CURLU_DISALLOW_USER) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PATH, &path, 0) != CURLUE_OK ||
	    (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)) {
		c = nx_fail(err, NX_E_OUTBOUND_FAILED,
			    "The address of another service is not an http or https URL.");
	} else {
		k->secure = strcmp(scheme, "https") == 0;
		(void)snprintf(k->where, sizeof(k->where), "%s://%s:%s%.200s", scheme, host, port,
			       path);
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(path);
	if (c)
		curl_url_cleanup(u);
	else
		*ret = u;
	return c;
}

static enum nx_code failed(const struct call *k, CURLcode rc, struct nx_error *err)
{
	enum nx_code c = NX_E_OUTBOUND_FAILED;
	const char *what = "could not be made";
	/* libcurl says "out of memory" of a header line over its limit, too, so its word does not count */
	if (k->no_memory) {
		c = NX_E_MEMORY;
		what = "needs more memory than there is";
	} else if (k->too_long || rc == CURLE_FILESIZE_EXCEEDED || rc == CURLE_OUT_OF_MEMORY) {
		what = "was answered at too great length";
	} else if (rc == CURLE_OPERATION_TIMEDOUT) {
		c = NX_E_OUTBOUND_TIMEOUT;
		what = "was not answered in time";
	} else if (!k->tried && k->denied && rc == CURLE_COULDNT_CONNECT) {
		c = NX_E_HOST_DENIED;
		what = "goes to an address that is not allowed";
	} else if (!k->tried && k->not_loopback && rc == CURLE_COULDNT_CONNECT) {
		what = "must use https";
	} else if (rc == CURLE_COULDNT_CONNECT) {
		what = "found nobody at its address";
	} else if (rc == CURLE_COULDNT_RESOLVE_HOST) {
		what = "names an unknown host";
	} else if (rc == CURLE_PEER_FAILED_VERIFICATION) {
		what = "met a certificate that cannot be trusted";
	} else if (rc == CURLE_SSL_CACERT_BADFILE) {
		what = "needs a CA file that cannot be read";
	}
	(void)nx_fail(err, c, "A request to another service %s.", what);
	nx_error_detail(err, "%s: %s", k->where, *k->why ? k->why : curl_easy_strerror(rc));
	return c;
}

/* Every option that could fail to be set matters: one that did not hold ends the call. */
#define SET(option, value)                                       \
	do {                                                     \
		if (rc == CURLE_OK)                              \
			rc = curl_easy_setopt(h, option, value); \
	} while (0)

static CURLcode guards(CURL *h, struct call *k)
{
	CURLcode rc = CURLE_OK;
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_ERRORBUFFER, k->why);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTPAUTH, CURLAUTH_NONE);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	if (k->q->ca_file) {
		SET(CURLOPT_CAINFO, k->q->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}
	/* a resolver that hangs is left to itself at the deadline; its thread frees what it holds */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)k->q->max_body);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, k);
	SET(CURLOPT_HEADERFUNCTION, on_head);
	SET(CURLOPT_HEADERDATA, k);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, k);
	return rc;
}

static CURLcode request(CURL *h, struct call *k, CURLU *url, struct curl_slist *head)
{
	const struct nx_outbound_request *q = k->q;
	const char *method = q->method ? q->method : q->body.len ? "POST" : "GET";
	bool head_only = strcmp(method, "HEAD") == 0, get = strcmp(method, "GET") == 0;
	int ms = nx_poll_ms(q->deadline, 24 * 3600 * 1000);
	CURLcode rc = CURLE_OK;
	SET(CURLOPT_CURLU, url);
	SET(CURLOPT_HTTPHEADER, head);
	SET(CURLOPT_USERAGENT, "nexus-gateway/" NX_VERSION);
	if (q->body.len || !(get || head_only)) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.len);
		SET(CURLOPT_POSTFIELDS, q->body.len ? q->body.ptr : "");
	} else if (head_only) {
		SET(CURLOPT_NOBODY, 1L);
	}
	SET(CURLOPT_CUSTOMREQUEST, method);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(ms < CONNECT_MS ? ms : CONNECT_MS));
	SET(CURLOPT_TIMEOUT_MS, (long)ms);
	return rc;
}

static void wipe_body(void *arg)
{
	const struct nx_str *s = arg;
	nx_wipe((char *)s->ptr, s->len);
}

/* Into the arena, and wiped with it. */
static enum nx_code hand_over(const struct call *k, long status, struct nx_arena *a,
			      struct nx_outbound_answer *ret, struct nx_error *err)
{
	if (status < 100 || status > 599)
		return nx_fail(err, NX_E_OUTBOUND_FAILED,
			       "Another service answered in no form known to HTTP.");
	struct nx_str *body = nx_arena_alloc(a, sizeof(*body));
	if (!body || !nx_arena_cleanup(a, wipe_body, body))
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	*body = NX_STR("");
	struct nx_str copy = nx_arena_str(a, nx_strn(k->len ? k->data : "", k->len));
	if (!copy.ptr)
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	*body = copy;
	*ret = (struct nx_outbound_answer){
		.status = (int)status,
		.body = copy,
		.max_age_s = k->head.fresh_never ? 0 : k->head.max_age_s,
		.retry_after_s = k->head.retry_after_s,
	};
	return NX_OK;
}

static enum nx_code perform(CURL *h, struct call *k, CURLU *url, struct curl_slist *head,
			    struct nx_error *err)
{
	CURLcode rc = guards(h, k);
	if (rc == CURLE_OK)
		rc = request(h, k, url, head);
	if (rc == CURLE_OK)
		rc = curl_easy_perform(h);
	return rc == CURLE_OK ? NX_OK : failed(k, rc, err);
}

enum nx_code nx_outbound_call(const struct nx_outbound_request *q, struct nx_arena *arena,
			      struct nx_outbound_answer *ret, struct nx_error *err)
{
	struct call k = { .q = q };
	struct curl_slist *head = NULL;
	CURLU *url = NULL;
	CURL *h = NULL;
	long status = 0;
	if (q->max_body < 1 || q->max_body > BODY_MAX ||
	    (q->method && !is_token(nx_str(q->method))))
		return nx_fail(err, NX_E_INTERNAL, "A request to another service is ill-formed.");
	enum nx_code c = take_url(&k, &url, err);
	if (!c)
		c = headers(q, &head, err);
	if (!c && nx_poll_ms(q->deadline, 1000) == 0)
		c = failed(&k, CURLE_OPERATION_TIMEDOUT, err);
	if (!c && !(h = curl_easy_init()))
		c = nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		c = perform(h, &k, url, head, err);
	if (!c)
		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
	if (!c)
		c = hand_over(&k, status, arena, ret, err);
	curl_easy_cleanup(h);
	curl_url_cleanup(url);
	free_list(head);
	if (k.data)
		nx_wipe(k.data, k.cap);
	free(k.data);
	return c;
}

/* ---- once per process ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode started;

static void start(void)
{
	started = curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum nx_code nx_outbound_init(struct nx_error *err)
{
	pthread_once(&once, start);
	return started == CURLE_OK ? NX_OK
				   : nx_fail(err, NX_E_MEMORY, "The HTTP client cannot be set up.");
}
