#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "encode.h"
#include "test.h"

enum { N = 300000 };

static char *sample(void)
{
	char *s = malloc(N);
	uint64_t x = 1;
	for (int i = 0; i < N; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		s[i] = (char)('a' + (x >> 60));
	}
	return s;
}

/* What a client can read of `in` so far. */
static size_t decode(enum nx_coding coding, struct nx_str in, char *out)
{
	if (coding == NX_CODING_IDENTITY) {
		memcpy(out, in.ptr, in.len);
		return in.len;
	}
	if (coding == NX_CODING_ZSTD) {
		ZSTD_DCtx *d = ZSTD_createDCtx();
		ZSTD_inBuffer i = { in.ptr, in.len, 0 };
		ZSTD_outBuffer o = { out, N, 0 };
		while (i.pos < i.size && !ZSTD_isError(ZSTD_decompressStream(d, &o, &i)))
			;
		ZSTD_freeDCtx(d);
		return o.pos;
	}
	z_stream z = { .next_in = (z_const Bytef *)(uintptr_t)in.ptr,
		       .avail_in = (uInt)in.len,
		       .next_out = (Bytef *)out,
		       .avail_out = N };
	NX_EQ_I(Z_OK, inflateInit2(&z, 15 + 16));
	int rc = inflate(&z, Z_SYNC_FLUSH);
	NX_CHECK(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
	inflateEnd(&z);
	return N - z.avail_out;
}

static void round_trip(enum nx_coding coding)
{
	char *s = sample(), *back = malloc(N);
	struct nx_compressor *c = nx_compressor_new(coding, 0);
	struct nx_buf out;
	struct nx_error err;
	NX_CHECK(c);
	nx_buf_init(&out, 1 << 20);
	NX_EQ_I(NX_OK, nx_compress(c, nx_strn(s, 100), NX_FLUSH_SYNC, &out, &err));
	NX_EQ_I(100, decode(coding, nx_buf_str(&out), back)); /* early rows leave early */
	NX_EQ_I(NX_OK, nx_compress(c, nx_strn(s + 100, 1000), NX_FLUSH_NO, &out, &err));
	NX_EQ_I(NX_OK, nx_compress(c, nx_strn(s + 1100, N - 1100), NX_FLUSH_SYNC, &out, &err));
	NX_EQ_I(N, decode(coding, nx_buf_str(&out), back));
	NX_EQ_I(NX_OK, nx_compress(c, nx_strn(NULL, 0), NX_FLUSH_END, &out, &err));
	NX_EQ_I(N, decode(coding, nx_buf_str(&out), back));
	NX_CHECK(memcmp(s, back, N) == 0);
	nx_buf_done(&out);
	nx_compressor_free(c);
	free(s);
	free(back);
}

NX_TEST(identity)
{
	round_trip(NX_CODING_IDENTITY);
}
NX_TEST(gzip)
{
	round_trip(NX_CODING_GZIP);
}
NX_TEST(zstd)
{
	round_trip(NX_CODING_ZSTD);
}

NX_TEST(full_output_is_an_error)
{
	for (int k = NX_CODING_IDENTITY; k <= NX_CODING_ZSTD; k++) {
		char *s = sample();
		struct nx_compressor *c = nx_compressor_new((enum nx_coding)k, 0);
		struct nx_buf out;
		struct nx_error err;
		nx_buf_init(&out, 40000);
		NX_EQ_I(NX_E_MEMORY, nx_compress(c, nx_strn(s, N), NX_FLUSH_END, &out, &err));
		nx_buf_done(&out);
		nx_compressor_free(c);
		free(s);
	}
}
