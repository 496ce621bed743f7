/* What a worker or the gateway may find in a frame of the engine's protocol: no payload may crash a
 * parser, and what parses must be writable and parse again to the same bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void again(struct nx_str first, struct nx_buf *b)
{
	if (b->failed || !nx_str_eq(first, nx_buf_str(b)))
		abort();
	nx_buf_done(b);
}

static void schema(struct nx_str in, struct nx_arena *a)
{
	struct nx_schema s;
	struct nx_error err;
	if (nx_wire_get_schema(in, a, &s, &err))
		return;
	struct nx_buf b;
	nx_buf_init(&b, 64 << 20);
	nx_wire_put_schema(&b, &s);
	again(in, &b);
}

static void request(struct nx_str in, struct nx_arena *a)
{
	struct nx_wire_request r;
	struct nx_error err;
	if (nx_wire_get_request(in, a, &r, &err))
		return;
	struct nx_buf b;
	nx_buf_init(&b, 64 << 20);
	nx_wire_put_request(&b, &r);
	again(in, &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < 1)
		return 0;
	struct nx_str in = nx_strn((const char *)bytes + 1, size - 1);
	struct nx_arena *a = nx_arena_new(16 << 20);
	struct nx_error err;
	struct nx_wire_frame f;
	switch (bytes[0] % 4) {
	case 0:
		schema(in, a);
		break;
	case 1:
		request(in, a);
		break;
	case 2:
		if (nx_wire_get_error(in, &err) == NX_OK)
			abort();
		break;
	default:
		if (in.len >= sizeof f) {
			memcpy(&f, in.ptr, sizeof f);
			if (nx_wire_frame_ok(&f) && f.len > NX_WIRE_MAX_ROWS)
				abort();
		}
	}
	nx_arena_free(a);
	return 0;
}
