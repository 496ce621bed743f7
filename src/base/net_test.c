#include "base/net.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "test.h"

static void policy(const char *allow, const char *deny)
{
	NX_EQ_I(NX_OK, nx_net_policy(nx_str(allow), nx_str(deny), NULL));
}

static bool ok(const char *address)
{
	struct nx_ip ip;
	NX_CHECK(nx_ip_parse(nx_str(address), &ip));
	return nx_net_allowed(&ip);
}

static int64_t soon(void)
{
	return nx_now() + 10 * NX_SEC;
}

NX_TEST(what_is_refused_by_default)
{
	static const char *const good[] = { "127.0.0.1",   "::1",	 "10.0.0.1",
					    "192.168.1.1", "8.8.8.8",	 "fd00::1",
					    "2001:db8::1", "100.64.0.1", "64:ff9b::808:808" };
	static const char *const bad[] = { "169.254.169.254",
					   "169.254.0.1",
					   "::ffff:169.254.169.254",
					   "fe80::1",
					   "fd00:ec2::254",
					   "100.100.100.200",
					   "0.0.0.0",
					   "::",
					   "224.0.0.1",
					   "255.255.255.255",
					   "ff02::1",
					   "64:ff9b::a9fe:a9fe",
					   "2002:a9fe:a9fe::1",
					   "168.63.129.16" };
	policy("", "");
	for (size_t i = 0; i < NX_COUNTOF(good); i++)
		if (!ok(good[i]))
			nx_test_fail(__FILE__, __LINE__, "%s was refused", good[i]);
	for (size_t i = 0; i < NX_COUNTOF(bad); i++)
		if (ok(bad[i]))
			nx_test_fail(__FILE__, __LINE__, "%s was admitted", bad[i]);
}

NX_TEST(lists)
{
	policy("", "10.0.0.0/8,::1");
	NX_CHECK(!ok("10.1.1.1") && !ok("::1") && ok("11.0.0.1"));
	NX_CHECK(!ok("64:ff9b::a01:101")); /* 10.1.1.1 behind NAT64 */
	policy("10.0.0.0/8", "10.9.0.0/16");
	NX_CHECK(ok("10.1.1.1") && !ok("10.9.1.1") && !ok("8.8.8.8") && !ok("127.0.0.1"));
	policy("169.254.7.0/24", "");
	NX_CHECK(ok("169.254.7.1") && !ok("169.254.8.1"));
	NX_EQ_I(NX_E_CONFIG, nx_net_policy(NX_STR("10.0.0.0/99"), NX_STR(""), NULL));
	NX_CHECK(ok("169.254.7.1")); /* a wrong list changes nothing */
}

NX_TEST(names_and_numbers)
{
	struct nx_net_addrs a;
	struct nx_error err;
	policy("", "");
	NX_EQ_I(NX_OK, nx_net_resolve("127.0.0.1", soon(), &a, &err));
	NX_EQ_I(1, a.n);
	NX_EQ_S("127.0.0.1", a.text[0]);
	NX_EQ_I(NX_OK, nx_net_resolve("localhost", soon(), &a, &err));
	NX_CHECK(a.n >= 1);
	/* the resolver takes odd spellings, the check sees what they mean */
	NX_EQ_I(NX_E_HOST_DENIED, nx_net_resolve("2852039166", soon(), &a, &err));
	NX_EQ_I(NX_E_HOST_DENIED, nx_net_resolve("0xa9fea9fe", soon(), &a, &err));
	NX_EQ_I(NX_E_HOST_DENIED, nx_net_resolve("0251.0376.0251.0376", soon(), &a, &err));
	NX_EQ_I(NX_E_HOST_DENIED, nx_net_resolve("169.254.169.254", soon(), &a, &err));
	NX_CHECK(strstr(err.message, "169") == NULL && strstr(err.detail, "169.254.169.254"));
	NX_EQ_I(NX_E_HOST_DENIED, nx_net_resolve("::ffff:a9fe:a9fe", soon(), &a, &err));
	NX_EQ_I(NX_OK, nx_net_resolve("/run/postgresql", soon(), &a, &err));
	NX_EQ_I(0, a.n);
	policy("", "127.0.0.0/8");
	NX_EQ_I(NX_E_HOST_DENIED, nx_net_resolve("/run/postgresql", soon(), &a, &err));
	NX_EQ_I(NX_E_HOST_DENIED, nx_net_resolve("127.0.0.1", soon(), &a, &err));
}

NX_TEST(peers)
{
	struct nx_error err;
	int pair[2];
	NX_EQ_I(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	NX_EQ_I(NX_E_HOST_DENIED, nx_net_peer(pair[0], &err));
	NX_EQ_I(NX_E_HOST_DENIED, nx_net_peer(-1, &err));
	close(pair[0]);
	close(pair[1]);
}
