/* gzip and zstd behind one call. The fast defaults are chosen for results that are made faster than
 * a good level could be compressed. */
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "encode.h"

enum {
	GZIP_LEVEL = 1,
	ZSTD_LEVEL = 1,
	GZIP_WINDOW = 15 + 16, /* zlib: 16 more asks for the gzip wrapper */
	STEP = 32 * 1024, /* room asked for at a time */
};

struct nx_compressor {
	enum nx_coding coding;
	z_stream gz;
	bool gz_ready;
	ZSTD_CCtx *zstd;
};

struct nx_compressor *nx_compressor_new(enum nx_coding coding, int level)
{
	struct nx_compressor *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->coding = coding;
	switch (coding) {
	case NX_CODING_IDENTITY:
		return c;
	case NX_CODING_GZIP:
		c->gz_ready = deflateInit2(&c->gz, level ? level : GZIP_LEVEL, Z_DEFLATED,
					   GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK;
		if (c->gz_ready)
			return c;
		break;
	case NX_CODING_ZSTD:
		c->zstd = ZSTD_createCCtx();
		if (c->zstd &&
		    !ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel,
							 level ? level : ZSTD_LEVEL)))
			return c;
		break;
	}
	nx_compressor_free(c);
	return NULL;
}

void nx_compressor_free(struct nx_compressor *c)
{
	if (!c)
		return;
	if (c->gz_ready)
		deflateEnd(&c->gz);
	ZSTD_freeCCtx(c->zstd);
	free(c);
}

static enum nx_code full(struct nx_buf *out, struct nx_error *err)
{
	out->failed = false;
	return nx_fail(err, NX_E_MEMORY, "no room for compressed output");
}

static enum nx_code gzip(struct nx_compressor *c, struct nx_str in, enum nx_flush flush,
			 struct nx_buf *out, struct nx_error *err)
{
	static const int modes[] = { [NX_FLUSH_NO] = Z_NO_FLUSH,
				     [NX_FLUSH_SYNC] = Z_SYNC_FLUSH,
				     [NX_FLUSH_END] = Z_FINISH };
	do {
		size_t n = in.len > INT_MAX ? INT_MAX : in.len;
		c->gz.next_in = (z_const Bytef *)(uintptr_t)in.ptr;
		c->gz.avail_in = (uInt)n;
		in.ptr += n;
		in.len -= n;
		int mode = in.len ? Z_NO_FLUSH : modes[flush];
		do {
			char *p = nx_buf_reserve(out, STEP);
			if (!p)
				return full(out, err);
			c->gz.next_out = (Bytef *)p;
			c->gz.avail_out = STEP;
			int rc = deflate(&c->gz, mode);
			if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
				return nx_fail(err, NX_E_INTERNAL, "gzip failed (%d)", rc);
			out->len += STEP - c->gz.avail_out;
		} while (c->gz.avail_out == 0);
	} while (in.len > 0);
	return NX_OK;
}

static enum nx_code zstd(struct nx_compressor *c, struct nx_str in, enum nx_flush flush,
			 struct nx_buf *out, struct nx_error *err)
{
	static const ZSTD_EndDirective modes[] = { [NX_FLUSH_NO] = ZSTD_e_continue,
						   [NX_FLUSH_SYNC] = ZSTD_e_flush,
						   [NX_FLUSH_END] = ZSTD_e_end };
	ZSTD_inBuffer from = { in.ptr, in.len, 0 };
	for (;;) {
		char *p = nx_buf_reserve(out, STEP);
		if (!p)
			return full(out, err);
		ZSTD_outBuffer to = { p, STEP, 0 };
		size_t left = ZSTD_compressStream2(c->zstd, &to, &from, modes[flush]);
		if (ZSTD_isError(left))
			return nx_fail(err, NX_E_INTERNAL, "zstd failed: %s",
				       ZSTD_getErrorName(left));
		out->len += to.pos;
		if (flush == NX_FLUSH_NO ? from.pos == from.size : left == 0)
			return NX_OK;
	}
}

enum nx_code nx_compress(struct nx_compressor *c, struct nx_str in, enum nx_flush flush,
			 struct nx_buf *out, struct nx_error *err)
{
	switch (c->coding) {
	case NX_CODING_GZIP:
		return gzip(c, in, flush, out, err);
	case NX_CODING_ZSTD:
		return zstd(c, in, flush, out, err);
	case NX_CODING_IDENTITY:
		break;
	}
	nx_buf_put_str(out, in);
	return out->failed ? full(out, err) : NX_OK;
}
