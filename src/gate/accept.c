/* Content negotiation: Accept and Accept-Encoding (RFC 9110 12.5.1, 12.5.3). */
#include "gate/request.h"

/* Takes the next item off a comma list; its q-value is 1 when it has none, 0 when it is unreadable. */
static bool next_item(struct nx_str *list, struct nx_str *ret, double *ret_q)
{
	if (list->len == 0)
		return false;
	const char *comma = memchr(list->ptr, ',', list->len);
	size_t n = comma ? (size_t)(comma - list->ptr) : list->len;
	struct nx_str item = nx_strn(list->ptr, n), rest = { NULL, 0 };
	list->ptr += n + (comma ? 1 : 0);
	list->len -= n + (comma ? 1 : 0);
	const char *semi = n ? memchr(item.ptr, ';', n) : NULL;
	if (semi) {
		rest = nx_strn(semi, (size_t)(item.ptr + n - semi));
		item.len = (size_t)(semi - item.ptr);
	}
	*ret = nx_str_trim(item);
	*ret_q = 1;
	const char *q = rest.len ? memmem(rest.ptr, rest.len, "q=", 2) : NULL;
	if (q) {
		struct nx_str v = nx_strn(q + 2, (size_t)(rest.ptr + rest.len - q) - 2);
		const char *end = v.len ? memchr(v.ptr, ';', v.len) : NULL;
		if (end)
			v.len = (size_t)(end - v.ptr);
		if (!nx_str_to_f64(nx_str_trim(v), ret_q) || !(*ret_q >= 0 && *ret_q <= 1))
			*ret_q = 0;
	}
	return true;
}

/* How closely a media range names a type: 3 exactly, 2 by its main type, 1 as anything, 0 not. */
static int closeness(struct nx_str range, const char *content_type)
{
	struct nx_str have = nx_strn(content_type, strcspn(content_type, ";"));
	if (nx_str_ieq(range, have))
		return 3;
	size_t main = strcspn(content_type, "/") + 1;
	if (range.len == main + 1 && range.ptr[main] == '*' &&
	    nx_str_ieq(nx_strn(range.ptr, main), nx_strn(have.ptr, main)))
		return 2;
	return nx_str_is(range, "*/*") ? 1 : 0;
}

bool nx_accept_format(struct nx_str accept, enum nx_format *ret)
{
	double best = 0;
	bool found = false;
	for (int f = 0; f < NX_FORMAT_OPEN; f++) { /* in order of preference */
		struct nx_str list = accept, item;
		double q, mine = 0;
		int close = 0;
		while (next_item(&list, &item, &q)) {
			int c = closeness(item, nx_formats[f].content_type);
			if (c > close) { /* the closest range decides, wherever it stands */
				close = c;
				mine = q;
			}
		}
		if (mine > best) {
			best = mine;
			*ret = (enum nx_format)f;
			found = true;
		}
	}
	return found;
}

enum nx_coding nx_accept_coding(struct nx_str accept)
{
	enum nx_coding best = NX_CODING_IDENTITY;
	double most = 0;
	struct nx_str item;
	double q;
	while (next_item(&accept, &item, &q)) {
		enum nx_coding c = NX_CODING_IDENTITY;
		if (nx_str_ieq(item, NX_STR("zstd")))
			c = NX_CODING_ZSTD;
		else if (nx_str_ieq(item, NX_STR("gzip")))
			c = NX_CODING_GZIP;
		/* zstd is the cheaper of two that are equally welcome */
		if (c != NX_CODING_IDENTITY && (q > most || (q == most && q > 0 && c > best))) {
			best = c;
			most = q;
		}
	}
	return best;
}
