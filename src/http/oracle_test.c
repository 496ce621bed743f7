/* Differential test: messages made from seeds by small mutations; whatever we accept, llhttp must
 * accept and read alike. Deterministic. Without llhttp's sources (Debian: llhttp-dev) it is skipped. */
#include <stdio.h>
#include <stdlib.h>

#include "test.h"

#ifdef HAVE_LLHTTP
#include "oracle.h"

static const char *const seeds[] = {
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /a/b?c=d HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nConnection: close\r\n\r\n",
	"GET http://h:80/p?q HTTP/1.1\r\nHost: h:80\r\nX: y \r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"POST /q HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n",
	"PUT /q HTTP/1.1\r\nHost: a\r\ncontent-length:0\r\nX-Y:\r\n\r\n",
	"POST /q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET",
	"POST /q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
	"chunked\r\n\r\n3;z;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n",
	"POST /q HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
	"10\r\n\r\n0123456789",
	"DELETE /%41%20b HTTP/1.1\r\nHost: [::1]\r\nA: \xc3\xa4\r\nB:\t x\t\r\n\r\n",
	"\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
};

static uint64_t state = 1;

static size_t below(size_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(state >> 33) % n;
}

static size_t mutate(char *buf, size_t len, size_t cap)
{
	static const char odd[] = "\r\n\t :;,=\"\\\0\x7f\x80%/?#0+-xX";
	static const char *const bits[] = {
		"\r\n",
		"Content-Length: 4\r\n",
		"Transfer-Encoding: chunked\r\n",
		" chunked",
		"\r\n\r\n",
		"Host: b\r\n",
		"0\r\n",
		"HTTP/1.0",
		", ",
		"\r\n ",
		"X: y\r\n",
		"00",
		";a=b",
		"identity",
	};
	size_t at = below(len);
	const char *bit = bits[below(NX_COUNTOF(bits))];
	size_t n = strlen(bit);
	switch (below(6)) {
	case 0:
		buf[at] = (char)below(256);
		return len;
	case 1:
		buf[at] = odd[below(sizeof(odd))];
		return len;
	case 2: /* a byte goes */
		memmove(buf + at, buf + at + 1, len - at - 1);
		return len > 1 ? len - 1 : len;
	case 3: /* a byte comes */
		if (len + 1 > cap)
			return len;
		memmove(buf + at + 1, buf + at, len - at);
		buf[at] = odd[below(sizeof(odd))];
		return len + 1;
	case 4: /* a telling piece comes */
		if (len + n > cap)
			return len;
		memmove(buf + at + n, buf + at, len - at);
		memcpy(buf + at, bit, n);
		return len + n;
	default: /* cut */
		return below(8) == 0 ? at + 1 : len;
	}
}

static void show(const char *why, const char *buf, size_t len)
{
	printf("# ");
	for (size_t i = 0; i < len; i++)
		if (buf[i] >= 0x20 && buf[i] < 0x7f && buf[i] != '\\')
			putchar(buf[i]);
		else
			printf("\\x%02x", (unsigned char)buf[i]);
	printf("\n");
	nx_test_fail(__FILE__, __LINE__, "llhttp differs: %s", why);
}

NX_TEST_FOR(llhttp_agrees, 120)
{
	enum { ROUNDS = 400000, CAP = 400 };
	unsigned accepted = 0;
	for (int i = 0; i < ROUNDS; i++) {
		char buf[CAP];
		const char *seed = seeds[below(NX_COUNTOF(seeds))];
		size_t len = strlen(seed);
		memcpy(buf, seed, len);
		for (size_t k = below(5); k > 0; k--)
			len = mutate(buf, len, CAP);
		struct nx_whole w;
		nx_whole_parse(&w, buf, len, below(4));
		const char *why = nx_oracle_check(&w, buf, len);
		accepted += !w.code && w.complete;
		nx_whole_done(&w);
		if (why)
			show(why, buf, len);
	}
	printf("# %u of %d messages accepted by us\n", accepted, ROUNDS);
	NX_CHECK(accepted > ROUNDS / 10);
}
#else
NX_TEST(llhttp_agrees)
{
	NX_SKIP("llhttp's sources are not installed (Debian: llhttp-dev)");
}
#endif
