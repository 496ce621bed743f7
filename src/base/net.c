#include "base/net.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/lookup.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER; /* the two lists */
static struct nx_cidr_list allow, deny;

/* Refused unless a list says otherwise. */
static const char *const never[] = {
	"0.0.0.0/8", /* "this host": reaches loopback services */
	"169.254.0.0/16", /* link-local; metadata of AWS, GCP, Azure and others */
	"100.100.100.200/32", /* metadata: Alibaba */
	"168.63.129.16/32", /* Azure's host agent */
	"192.0.0.192/32", /* metadata: Oracle */
	"224.0.0.0/4", /* multicast */
	"240.0.0.0/4", /* reserved, broadcast */
	"::/128",
	"fe80::/10",
	"fd00:ec2::254/128", /* metadata: AWS */
	"fd20:ce::254/128", /* metadata: GCP */
	"ff00::/8",
};

/* The IPv4 address that such an IPv6 address leads to. */
static const struct {
	const char *block;
	uint8_t at; /* byte where it begins */
} carriers[] = { { "64:ff9b::/96", 12 }, { "2002::/16", 2 } };

enum nx_code nx_net_policy(struct nx_str allow_text, struct nx_str deny_text, struct nx_error *err)
{
	struct nx_cidr_list a, d;
	enum nx_code c = nx_cidr_list_parse(allow_text, &a, err);
	if (c)
		return c;
	c = nx_cidr_list_parse(deny_text, &d, err);
	if (c) {
		nx_cidr_list_done(&a);
		return c;
	}
	pthread_rwlock_wrlock(&lock);
	nx_cidr_list_done(&allow);
	nx_cidr_list_done(&deny);
	allow = a;
	deny = d;
	pthread_rwlock_unlock(&lock);
	return NX_OK;
}

static bool in(const char *block, const struct nx_ip *ip)
{
	struct nx_cidr c;
	return nx_cidr_parse(nx_str(block), &c) && nx_cidr_has(&c, ip);
}

static bool one_allowed(const struct nx_ip *ip)
{
	if (nx_cidr_list_has(&deny, ip))
		return false;
	if (allow.n)
		return nx_cidr_list_has(&allow, ip);
	for (size_t i = 0; i < NX_COUNTOF(never); i++)
		if (in(never[i], ip))
			return false;
	return true;
}

/* An address in `allow` is admitted even where the table above says never: the operator named it. */
static bool judge(const struct nx_ip *ip)
{
	if (!one_allowed(ip))
		return false;
	for (size_t i = 0; i < NX_COUNTOF(carriers); i++) {
		struct nx_ip inner = { .b = { [10] = 0xff, [11] = 0xff } };
		memcpy(inner.b + 12, ip->b + carriers[i].at, 4);
		if (in(carriers[i].block, ip) && !nx_cidr_list_has(&allow, ip) &&
		    !one_allowed(&inner))
			return false;
	}
	return true;
}

bool nx_net_allowed(const struct nx_ip *ip)
{
	pthread_rwlock_rdlock(&lock);
	bool ok = judge(ip);
	pthread_rwlock_unlock(&lock);
	return ok;
}

static enum nx_code denied(struct nx_error *err, const char *address)
{
	(void)nx_fail(err, NX_E_HOST_DENIED, "The source's address is not allowed.");
	nx_error_detail(err, "address %s",
			address); /* what a name resolves to is not the client's */
	return NX_E_HOST_DENIED;
}

enum nx_code nx_net_resolve(const char *host, int64_t deadline, struct nx_net_addrs *ret,
			    struct nx_error *err)
{
	struct nx_net_addrs found = { 0 };
	struct nx_lookup_addrs all;
	struct nx_ip ip;
	if (host[0] == '/') {
		if (!nx_ip_parse(NX_STR("127.0.0.1"), &ip) || !nx_net_allowed(&ip))
			return denied(err, host);
		*ret = found;
		return NX_OK;
	}
	enum nx_code c = nx_look_up(host, deadline, &all, err);
	if (c)
		return c;
	char text[NX_IP_TEXT] = "none";
	for (uint32_t i = 0; i < all.n && found.n < NX_NET_MAX; i++) {
		nx_ip_text(&all.at[i], text);
		if (nx_net_allowed(&all.at[i]))
			memcpy(found.text[found.n++], text, sizeof(text));
	}
	if (found.n == 0)
		return denied(err, text);
	*ret = found;
	return NX_OK;
}

enum nx_code nx_net_peer(int fd, struct nx_error *err)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	struct nx_ip ip;
	char text[NX_IP_TEXT] = "unknown";
	if (getpeername(fd, (struct sockaddr *)&sa, &len) == 0 &&
	    nx_ip_of_sockaddr((const struct sockaddr *)&sa, &ip)) {
		nx_ip_text(&ip, text);
		if (nx_net_allowed(&ip))
			return NX_OK;
	}
	return denied(err, text);
}
