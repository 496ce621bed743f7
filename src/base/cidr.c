#include "base/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* By hand: it runs for every request behind a proxy, and inet_pton() would accept nothing more. */
static bool parse_v4(struct nx_str s, uint8_t out[4])
{
	size_t at = 0;
	for (int i = 0; i < 4; i++) {
		unsigned v = 0;
		size_t from = at;
		while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9' && at - from < 3)
			v = v * 10 + (unsigned)(s.ptr[at++] - '0');
		if (at == from || v > 255 || (at - from > 1 && s.ptr[from] == '0'))
			return false;
		out[i] = (uint8_t)v;
		if (i < 3 && (at >= s.len || s.ptr[at++] != '.'))
			return false;
	}
	return at == s.len;
}

bool nx_ip_parse(struct nx_str s, struct nx_ip *ret)
{
	struct nx_ip ip;
	memcpy(ip.b, mapped, sizeof(mapped));
	if (!parse_v4(s, ip.b + 12)) {
		char text[NX_IP_TEXT];
		if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, 0, s.len))
			return false;
		memcpy(text, s.ptr, s.len);
		text[s.len] = '\0';
		if (inet_pton(AF_INET6, text, ip.b) != 1)
			return false;
	}
	*ret = ip;
	return true;
}

bool nx_ip_of_sockaddr(const struct sockaddr *sa, struct nx_ip *ret)
{
	struct nx_ip ip = { .b = { [10] = 0xff, [11] = 0xff } };
	if (sa->sa_family == AF_INET)
		memcpy(ip.b + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	else if (sa->sa_family == AF_INET6)
		memcpy(ip.b, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	else
		return false;
	*ret = ip;
	return true;
}

bool nx_ip_is_v4(const struct nx_ip *ip)
{
	return memcmp(ip->b, mapped, sizeof(mapped)) == 0;
}

void nx_ip_text(const struct nx_ip *ip, char ret[NX_IP_TEXT])
{
	bool v4 = nx_ip_is_v4(ip);
	if (!inet_ntop(v4 ? AF_INET : AF_INET6, ip->b + (v4 ? 12 : 0), ret, NX_IP_TEXT))
		ret[0] = '\0';
}

/* Do the first `bits` bits agree. */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

bool nx_cidr_parse(struct nx_str s, struct nx_cidr *ret)
{
	struct nx_cidr c = { .bits = 128 };
	const char *slash = s.len ? memchr(s.ptr, '/', s.len) : NULL;
	struct nx_str addr = slash ? nx_strn(s.ptr, (size_t)(slash - s.ptr)) : s;
	if (!nx_ip_parse(addr, &c.net))
		return false;
	/* "::ffff:0:0/96" is written as IPv6 and counts its bits so */
	bool v4 = nx_ip_is_v4(&c.net) && !memchr(addr.ptr, ':', addr.len);
	if (slash) {
		int64_t bits;
		struct nx_str num = nx_strn(slash + 1, s.len - addr.len - 1);
		if (num.len > 3 || !nx_str_to_i64(num, &bits) || bits < 0 || bits > (v4 ? 32 : 128))
			return false;
		c.bits = (uint8_t)(v4 ? bits + 96 : bits);
	}
	for (unsigned i = c.bits; i < 128; i++)
		if (c.net.b[i / 8] >> (7 - i % 8) & 1)
			return false;
	*ret = c;
	return true;
}

bool nx_cidr_has(const struct nx_cidr *c, const struct nx_ip *ip)
{
	if (c->bits < 96 && nx_ip_is_v4(ip))
		return false;
	return same_prefix(c->net.b, ip->b, c->bits);
}

static bool is_gap(char c)
{
	return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

enum nx_code nx_cidr_list_parse(struct nx_str s, struct nx_cidr_list *ret, struct nx_error *err)
{
	struct nx_cidr_list l = { NULL, 0 };
	enum nx_code c = NX_OK;
	for (size_t i = 0; i < s.len && !c;) {
		size_t from = i;
		while (i < s.len && !is_gap(s.ptr[i]))
			i++;
		struct nx_str one = nx_strn(s.ptr + from, i - from);
		i++;
		if (one.len == 0)
			continue;
		struct nx_cidr *more = NULL;
		if (l.n < NX_CIDR_MAX)
			more = realloc(l.at, (l.n + 1) * sizeof(*more));
		if (!more) {
			c = nx_fail(err, NX_E_CONFIG, "The list of addresses is too long.");
			break;
		}
		l.at = more;
		if (nx_cidr_parse(one, &l.at[l.n]))
			l.n++;
		else
			c = nx_fail(err, NX_E_CONFIG,
				    "%.*s is not an address or a block like 10.0.0.0/8.",
				    (int)(one.len > 60 ? 60 : one.len), one.ptr);
	}
	if (c)
		nx_cidr_list_done(&l);
	else
		*ret = l;
	return c;
}

void nx_cidr_list_done(struct nx_cidr_list *l)
{
	free(l->at);
	*l = (struct nx_cidr_list){ NULL, 0 };
}

bool nx_cidr_list_has(const struct nx_cidr_list *l, const struct nx_ip *ip)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (nx_cidr_has(&l->at[i], ip))
			return true;
	return false;
}

/* "1.2.3.4:56", "[2001:db8::1]:56", "[2001:db8::1]" and the plain forms. */
static bool parse_hop(struct nx_str s, struct nx_ip *ret)
{
	s = nx_str_trim(s);
	if (s.len && s.ptr[0] == '[') {
		const char *end = memchr(s.ptr, ']', s.len);
		return end && nx_ip_parse(nx_strn(s.ptr + 1, (size_t)(end - s.ptr) - 1), ret);
	}
	const char *colon = s.len ? memchr(s.ptr, ':', s.len) : NULL;
	if (colon && !memchr(colon + 1, ':', s.len - (size_t)(colon + 1 - s.ptr)))
		s.len = (size_t)(colon - s.ptr);
	return nx_ip_parse(s, ret);
}

bool nx_forwarded_for(const struct nx_cidr_list *trusted, struct nx_str value, struct nx_ip *at)
{
	size_t end = value.len;
	while (nx_cidr_list_has(trusted, at)) {
		size_t from = end;
		while (from > 0 && value.ptr[from - 1] != ',')
			from--;
		if (!parse_hop(nx_strn(value.ptr + from, end - from), at))
			return false;
		if (from == 0)
			return nx_cidr_list_has(trusted, at);
		end = from - 1;
	}
	return false;
}
