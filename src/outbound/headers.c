#include "outbound/outbound_int.h"

/* RFC 9111 5.2: seconds, possibly quoted; too large a number means "very long". */
static bool seconds(struct nx_str s, uint32_t *ret)
{
	uint64_t v = 0;
	if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
		s = nx_strn(s.ptr + 1, s.len - 2);
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s.ptr[i] - '0');
		if (v > NX_OUTBOUND_AGE_MAX)
			v = NX_OUTBOUND_AGE_MAX;
	}
	*ret = (uint32_t)v;
	return true;
}

static void directive(struct nx_outbound_head *h, struct nx_str d)
{
	const char *eq = memchr(d.ptr, '=', d.len);
	struct nx_str name = nx_str_trim(nx_strn(d.ptr, eq ? (size_t)(eq - d.ptr) : d.len));
	uint32_t v;
	if (nx_str_ieq(name, NX_STR("no-store")) || nx_str_ieq(name, NX_STR("no-cache")))
		h->fresh_never = true;
	else if (eq && nx_str_ieq(name, NX_STR("max-age")) &&
		 seconds(nx_str_trim(nx_strn(eq + 1, d.len - (size_t)(eq + 1 - d.ptr))), &v))
		h->max_age_s = v;
}

static void cache_control(struct nx_outbound_head *h, struct nx_str v)
{
	size_t from = 0;
	bool quoted = false;
	for (size_t i = 0; i <= v.len; i++) {
		if (i < v.len && v.ptr[i] == '"')
			quoted = !quoted;
		if (i == v.len || (v.ptr[i] == ',' && !quoted)) {
			directive(h, nx_strn(v.ptr + from, i - from));
			from = i + 1;
		}
	}
}

void nx_outbound_head_line(struct nx_outbound_head *h, struct nx_str line)
{
	if (nx_str_starts(line, NX_STR("HTTP/"))) {
		*h = (struct nx_outbound_head){ 0 };
		return;
	}
	const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
	if (!colon)
		return;
	struct nx_str name = nx_strn(line.ptr, (size_t)(colon - line.ptr));
	struct nx_str value = nx_str_trim(nx_strn(colon + 1, line.len - name.len - 1));
	if (nx_str_ieq(name, NX_STR("cache-control")) && value.len)
		cache_control(h, value);
	else if (nx_str_ieq(name, NX_STR("retry-after")))
		(void)seconds(value, &h->retry_after_s); /* the form with a date is not used */
}
