/* Writes a FlatBuffer (flatbuffers.dev, "internals") back to front: children first, so that every
 * offset is known when it is written. Positions are counted in bytes from the end of the buffer.
 * Only what Arrow's metadata needs. Failure is sticky; check `failed` once. */
#ifndef NX_ENCODE_FLATBUF_H
#define NX_ENCODE_FLATBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nexus/str.h"

enum { NX_FB_FIELDS = 8 }; /* most fields a table may have */

struct nx_fb {
	uint8_t *data; /* cap bytes; the last `used` are written */
	size_t cap;
	size_t used;
	bool failed;
	/* the table being written */
	size_t table;
	unsigned nfields;
	size_t at[NX_FB_FIELDS]; /* position of each field, 0: absent */
};

void nx_fb_init(struct nx_fb *fb);
void nx_fb_done(struct nx_fb *fb);
void nx_fb_clear(struct nx_fb *fb); /* keeps memory */

/* These return the position to refer to. Not while a table is open. */
uint32_t nx_fb_string(struct nx_fb *fb, struct nx_str s);
uint32_t nx_fb_refs(struct nx_fb *fb, const uint32_t *refs, size_t n); /* vector of tables */
/* A vector of structs of two int64. */
uint32_t nx_fb_pairs(struct nx_fb *fb, const int64_t *pairs, size_t n);

void nx_fb_table(struct nx_fb *fb, unsigned nfields);
void nx_fb_u8(struct nx_fb *fb, unsigned field, uint8_t v);
void nx_fb_i16(struct nx_fb *fb, unsigned field, int16_t v);
void nx_fb_i32(struct nx_fb *fb, unsigned field, int32_t v);
void nx_fb_i64(struct nx_fb *fb, unsigned field, int64_t v);
void nx_fb_ref(struct nx_fb *fb, unsigned field, uint32_t to); /* to 0: absent */
uint32_t nx_fb_table_end(struct nx_fb *fb);

/* The finished buffer, a multiple of 8 bytes; valid until clear or done. */
struct nx_str nx_fb_finish(struct nx_fb *fb, uint32_t root);

#endif
