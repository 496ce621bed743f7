#include "flatbuf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FB_FIRST = 1024, FB_MAX = 64 << 20 };

void nx_fb_init(struct nx_fb *fb)
{
	*fb = (struct nx_fb){ 0 };
}

void nx_fb_done(struct nx_fb *fb)
{
	free(fb->data);
	fb->data = NULL;
}

void nx_fb_clear(struct nx_fb *fb)
{
	fb->used = 0;
	fb->failed = false;
}

static bool room(struct nx_fb *fb, size_t n)
{
	if (fb->failed)
		return false;
	if (n <= fb->cap - fb->used)
		return true;
	size_t cap = fb->cap ? fb->cap : FB_FIRST;
	while (cap - fb->used < n && cap <= FB_MAX)
		cap *= 2;
	uint8_t *p = cap > FB_MAX ? NULL : malloc(cap);
	if (!p) {
		fb->failed = true;
		return false;
	}
	if (fb->used)
		memcpy(p + cap - fb->used, fb->data + fb->cap - fb->used, fb->used);
	free(fb->data);
	fb->data = p;
	fb->cap = cap;
	return true;
}

static void push(struct nx_fb *fb, const void *v, size_t n)
{
	if (n == 0 || !room(fb, n))
		return;
	fb->used += n;
	memcpy(fb->data + fb->cap - fb->used, v, n);
}

/* Pads so that what starts after `n` more bytes is aligned. */
static void align(struct nx_fb *fb, size_t n, size_t to)
{
	static const uint8_t zeros[8];
	push(fb, zeros, (0 - (fb->used + n)) & (to - 1));
}

static void push_u32(struct nx_fb *fb, uint32_t v)
{
	push(fb, &v, 4);
}

/* A forward offset from here to `to`. */
static void push_ref(struct nx_fb *fb, uint32_t to)
{
	align(fb, 4, 4);
	push_u32(fb, (uint32_t)(fb->used + 4 - to));
}

uint32_t nx_fb_string(struct nx_fb *fb, struct nx_str s)
{
	align(fb, s.len + 1, 4);
	push(fb, "", 1);
	push(fb, s.ptr ? s.ptr : "", s.len);
	push_u32(fb, (uint32_t)s.len);
	return (uint32_t)fb->used;
}

uint32_t nx_fb_refs(struct nx_fb *fb, const uint32_t *refs, size_t n)
{
	align(fb, n * 4, 4);
	for (size_t i = n; i-- > 0;)
		push_ref(fb, refs[i]);
	push_u32(fb, (uint32_t)n);
	return (uint32_t)fb->used;
}

uint32_t nx_fb_pairs(struct nx_fb *fb, const int64_t *pairs, size_t n)
{
	align(fb, n * 16, 8);
	push(fb, pairs, n * 16);
	push_u32(fb, (uint32_t)n);
	return (uint32_t)fb->used;
}

void nx_fb_table(struct nx_fb *fb, unsigned nfields)
{
	assert(nfields <= NX_FB_FIELDS);
	memset(fb->at, 0, sizeof(fb->at));
	fb->nfields = nfields;
	fb->table = fb->used;
}

static void scalar(struct nx_fb *fb, unsigned field, const void *v, size_t n)
{
	assert(field < fb->nfields);
	align(fb, n, n);
	push(fb, v, n);
	fb->at[field] = fb->used;
}

void nx_fb_u8(struct nx_fb *fb, unsigned field, uint8_t v)
{
	scalar(fb, field, &v, 1);
}

void nx_fb_i16(struct nx_fb *fb, unsigned field, int16_t v)
{
	scalar(fb, field, &v, 2);
}

void nx_fb_i32(struct nx_fb *fb, unsigned field, int32_t v)
{
	scalar(fb, field, &v, 4);
}

void nx_fb_i64(struct nx_fb *fb, unsigned field, int64_t v)
{
	scalar(fb, field, &v, 8);
}

void nx_fb_ref(struct nx_fb *fb, unsigned field, uint32_t to)
{
	if (to == 0)
		return;
	push_ref(fb, to);
	fb->at[field] = fb->used;
}

uint32_t nx_fb_table_end(struct nx_fb *fb)
{
	align(fb, 4, 4);
	push_u32(fb, 0); /* the way to the vtable, known below */
	size_t table = fb->used;
	for (unsigned i = fb->nfields; i-- > 0;) {
		uint16_t off = fb->at[i] ? (uint16_t)(table - fb->at[i]) : 0;
		push(fb, &off, 2);
	}
	uint16_t sizes[2] = { (uint16_t)(4 + 2 * fb->nfields), (uint16_t)(table - fb->table) };
	push(fb, sizes, 4);
	int32_t to_vtable = (int32_t)(fb->used - table);
	if (!fb->failed)
		memcpy(fb->data + fb->cap - table, &to_vtable, 4);
	return (uint32_t)table;
}

struct nx_str nx_fb_finish(struct nx_fb *fb, uint32_t root)
{
	align(fb, 4, 8);
	push_ref(fb, root);
	if (fb->failed)
		return nx_strn(NULL, 0);
	return nx_strn((const char *)fb->data + fb->cap - fb->used, fb->used);
}
