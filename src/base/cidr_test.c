#include "base/cidr.h"

#include "test.h"

static bool parses(const char *s)
{
	struct nx_ip ip;
	return nx_ip_parse(nx_str(s), &ip);
}

static const char *round_trip(const char *s)
{
	static char text[NX_IP_TEXT];
	struct nx_ip ip;
	NX_CHECK(nx_ip_parse(nx_str(s), &ip));
	nx_ip_text(&ip, text);
	return text;
}

NX_TEST(addresses)
{
	NX_EQ_S("127.0.0.1", round_trip("127.0.0.1"));
	NX_EQ_S("255.255.255.255", round_trip("255.255.255.255"));
	NX_EQ_S("10.1.2.3", round_trip("::ffff:10.1.2.3"));
	NX_EQ_S("10.1.2.3", round_trip("::ffff:0a01:0203"));
	NX_EQ_S("2001:db8::1", round_trip("2001:0DB8:0:0::1"));
	NX_EQ_S("::", round_trip("::"));
	static const char *const bad[] = { "",		 "1",	       "1.2.3",	    "1.2.3.4.",
					   "1.2.3.256",	 "01.2.3.4",   "1.2.3.4 ",  " 1.2.3.4",
					   "1.2.3.04",	 "0x7f.0.0.1", "1.2.3.4:5", "[::1]",
					   "fe80::1%lo", ":::",	       "12345::",   "1.2.3.1000",
					   "localhost",	 "127.1",      "2130706433" };
	for (size_t i = 0; i < NX_COUNTOF(bad); i++)
		if (parses(bad[i]))
			nx_test_fail(__FILE__, __LINE__, "%s was accepted", bad[i]);
	struct nx_ip ip;
	NX_CHECK(!nx_ip_parse(nx_strn("1.2.3.4\0", 8), &ip));
}

static bool in(const char *block, const char *addr)
{
	struct nx_cidr c;
	struct nx_ip ip;
	NX_CHECK(nx_cidr_parse(nx_str(block), &c));
	NX_CHECK(nx_ip_parse(nx_str(addr), &ip));
	return nx_cidr_has(&c, &ip);
}

NX_TEST(blocks)
{
	NX_CHECK(in("10.0.0.0/8", "10.255.0.1"));
	NX_CHECK(!in("10.0.0.0/8", "11.0.0.0"));
	NX_CHECK(in("172.16.0.0/12", "172.31.255.255"));
	NX_CHECK(!in("172.16.0.0/12", "172.32.0.0"));
	NX_CHECK(in("1.2.3.4", "1.2.3.4"));
	NX_CHECK(!in("1.2.3.4", "1.2.3.5"));
	NX_CHECK(in("0.0.0.0/0", "8.8.8.8"));
	NX_CHECK(!in("0.0.0.0/0", "2001:db8::1"));
	NX_CHECK(in("fe80::/10", "febf::1"));
	NX_CHECK(!in("fe80::/10", "fec0::1"));
	NX_CHECK(in("::/0", "2001:db8::1"));
	NX_CHECK(!in("::/0", "8.8.8.8"));
	NX_CHECK(in("169.254.0.0/16", "::ffff:169.254.169.254"));
	NX_CHECK(in("::ffff:0:0/96", "1.2.3.4"));
	NX_CHECK(in("::ffff:a00:0/104", "10.9.9.9"));
}

NX_TEST(bad_blocks)
{
	static const char *const bad[] = { "10.0.0.0/33",  "10.1.2.3/8", "10.0.0.0/",
					   "10.0.0.0/-1",  "::/129",	 "/8",
					   "10.0.0.0/8/8", "fe80::1/10", "10.0.0.0/0x8",
					   "10.0.0.0/0008" };
	struct nx_cidr c;
	for (size_t i = 0; i < NX_COUNTOF(bad); i++)
		if (nx_cidr_parse(nx_str(bad[i]), &c))
			nx_test_fail(__FILE__, __LINE__, "%s was accepted", bad[i]);
}

NX_TEST(lists)
{
	struct nx_cidr_list l;
	struct nx_error err;
	struct nx_ip ip;
	NX_EQ_I(NX_OK, nx_cidr_list_parse(NX_STR(" 10.0.0.0/8,, ::1\t1.2.3.4 "), &l, &err));
	NX_EQ_I(3, l.n);
	NX_CHECK(nx_ip_parse(NX_STR("::1"), &ip) && nx_cidr_list_has(&l, &ip));
	NX_CHECK(nx_ip_parse(NX_STR("::2"), &ip) && !nx_cidr_list_has(&l, &ip));
	nx_cidr_list_done(&l);
	NX_EQ_I(NX_OK, nx_cidr_list_parse(NX_STR(""), &l, &err));
	NX_EQ_I(0, l.n);
	NX_EQ_I(NX_E_CONFIG, nx_cidr_list_parse(NX_STR("10.0.0.0/8 nonsense"), &l, &err));
	NX_CHECK(strstr(err.message, "nonsense") != NULL);
}

static const char *client(const char *peer, const char *value)
{
	static char text[NX_IP_TEXT + 1];
	struct nx_cidr_list l;
	struct nx_ip at;
	NX_EQ_I(NX_OK, nx_cidr_list_parse(NX_STR("10.0.0.0/8,::1"), &l, NULL));
	NX_CHECK(nx_ip_parse(nx_str(peer), &at));
	bool more = nx_forwarded_for(&l, nx_str(value), &at);
	nx_ip_text(&at, text + 1);
	text[0] = more ? '+' : ' ';
	nx_cidr_list_done(&l);
	return text;
}

NX_TEST(forwarded_for)
{
	NX_EQ_S(" 8.8.8.8", client("8.8.8.8", "1.1.1.1")); /* a stranger is not believed */
	NX_EQ_S(" 1.1.1.1", client("10.0.0.1", "1.1.1.1"));
	NX_EQ_S(" 1.1.1.1", client("::1", "6.6.6.6, 1.1.1.1 , 10.2.3.4"));
	NX_EQ_S(" 2001:db8::7", client("10.0.0.1", "[2001:db8::7]:443"));
	NX_EQ_S(" 1.1.1.1", client("10.0.0.1", "1.1.1.1:5000"));
	NX_EQ_S("+10.9.9.9", client("10.0.0.1", "10.9.9.9,10.8.8.8"));
	NX_EQ_S(" 10.8.8.8", client("10.0.0.1", "9.9.9.9,unknown,10.8.8.8"));
	NX_EQ_S(" 10.0.0.1", client("10.0.0.1", ""));
	NX_EQ_S(" 10.0.0.1", client("10.0.0.1", ",,,"));
}
