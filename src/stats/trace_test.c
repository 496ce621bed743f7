#include <string.h>

#include "base/clock.h"
#include "outbound/outbound.h"
#include "stats/otlp.h"
#include "test.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

NX_TEST(traceparents)
{
	static const struct {
		const char *text;
		bool good, sampled;
	} cases[] = {
		{ "00-" ID "-" PARENT "-01", true, true },
		{ "00-" ID "-" PARENT "-00", true, false },
		{ "00-" ID "-" PARENT "-ff", true, true },
		{ "01-" ID "-" PARENT "-01", true, true },
		{ "01-" ID "-" PARENT "-01-later", true, true },
		{ "00-" ID "-" PARENT "-01-later", false, false },
		{ "01-" ID "-" PARENT "-01later", false, false },
		{ "ff-" ID "-" PARENT "-01", false, false },
		{ "00-" ID "-" PARENT "-0", false, false },
		{ "00-00000000000000000000000000000000-" PARENT "-01", false, false },
		{ "00-" ID "-0000000000000000-01", false, false },
		{ "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", false, false },
		{ "00-" ID "-" PARENT "-0g", false, false },
		{ "00_" ID "-" PARENT "-01", false, false },
		{ "", false, false },
	};
	for (size_t i = 0; i < NX_COUNTOF(cases); i++) {
		uint8_t id[16] = { 0 }, parent[8] = { 0 };
		bool sampled = false;
		char text[NX_TRACEPARENT_LEN + 1];
		NX_EQ_I(cases[i].good,
			nx_traceparent_parse(nx_str(cases[i].text), id, parent, &sampled));
		NX_EQ_I(cases[i].sampled, sampled);
		nx_traceparent_text(id, parent, text);
		if (cases[i].good)
			NX_EQ_S("00-" ID "-" PARENT "-01", text);
	}
}

static const struct nx_traces_config plain = { .endpoint = "http://127.0.0.1:1/v1/traces",
					       .headers = "",
					       .ca_file = "",
					       .service = "test",
					       .instance = "one",
					       .trust_parent = true,
					       .queue = 16,
					       .timeout_ms = 500 };

NX_TEST(a_full_queue_drops_and_counts_and_the_end_is_quick)
{
	struct nx_error err;
	struct nx_traces *t;
	struct nx_traces_stats s;
	NX_EQ_I(NX_OK, nx_outbound_init(&err));
	NX_EQ_I(NX_OK, nx_traces_open(&plain, &t, &err)); /* nobody listens there */
	struct nx_trace_record r = { .method = "GET", .route = "/", .scheme = "http" };
	for (int i = 0; i < 100; i++) {
		r.sql = strdup("SELECT 1"); /* handed over, also when there is no room */
		nx_trace_add(t, &r);
	}
	nx_traces_stats(t, &s);
	NX_EQ_I(100, s.dropped + s.backlog + s.failed);
	NX_CHECK(s.dropped >= 84 - 16);
	NX_EQ_I(0, s.sent);
	int64_t from = nx_now();
	nx_traces_close(t);
	NX_CHECK(nx_now() - from < 5 * NX_SEC);
	nx_traces_close(NULL);
}

NX_TEST(wrong_settings)
{
	struct nx_error err;
	struct nx_traces *t = NULL;
	struct nx_traces_config c = plain;
	c.endpoint = "127.0.0.1:4318";
	NX_EQ_I(NX_E_CONFIG, nx_traces_open(&c, &t, &err));
	c = plain;
	c.headers = "secret-without-equals";
	NX_EQ_I(NX_E_CONFIG, nx_traces_open(&c, &t, &err));
	NX_CHECK(!strstr(err.message, "secret-without"));
	c.headers = "a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=1,k=2,l=3,m=4,n=5,o=6,p=7";
	NX_EQ_I(NX_E_CONFIG, nx_traces_open(&c, &t, &err));
	NX_CHECK(t == NULL);
}

NX_TEST(a_buffer_that_is_too_small_says_so)
{
	struct nx_trace_record r = {
		.method = "GET", .route = "/", .scheme = "http", .elapsed_ns = 1
	};
	for (int i = 0; i < NX_STEP_COUNT; i++)
		r.mark[i] = 0;
	for (size_t max = 0; max < 2000; max += 7) {
		struct nx_buf b;
		nx_buf_init(&b, max);
		nx_otlp_encode(&plain, &r, 1, &b);
		NX_CHECK(b.failed || max > 500);
		nx_buf_done(&b);
	}
}
