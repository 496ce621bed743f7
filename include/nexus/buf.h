/* Growing byte buffers with a mandatory maximum and sticky failure.
 *
 * Writers do not check every call: after the first failed growth `failed` stays set, further writes
 * do nothing, and the owner checks once. Threads: one thread at a time. */
#ifndef NEXUS_BUF_H
#define NEXUS_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nexus/attr.h"
#include "nexus/str.h"

struct nx_buf {
	char *data; /* heap, owned; NULL until the first write */
	size_t len;
	size_t cap;
	size_t max; /* bytes; never grows beyond */
	bool failed;
};

void nx_buf_init(struct nx_buf *b, size_t max);
void nx_buf_done(struct nx_buf *b);  /* frees; NULL and done twice are fine */
void nx_buf_clear(struct nx_buf *b); /* len = 0, failed = false; keeps memory */
/* Makes room for n more bytes and returns where they go (not yet counted in len), or NULL. */
char *nx_buf_reserve(struct nx_buf *b, size_t n);
void nx_buf_put(struct nx_buf *b, const void *data, size_t n);
void nx_buf_putc(struct nx_buf *b, char c);
void nx_buf_puts(struct nx_buf *b, const char *cstr);
void nx_buf_put_str(struct nx_buf *b, struct nx_str s);
void nx_buf_printf(struct nx_buf *b, const char *fmt, ...) NX_PRINTF(2, 3);
void nx_buf_put_i64(struct nx_buf *b, int64_t v);
void nx_buf_put_u64(struct nx_buf *b, uint64_t v);
/* s as a quoted JSON string; invalid UTF-8 becomes U+FFFD so that the document stays valid. */
void nx_buf_put_json(struct nx_buf *b, struct nx_str s);

static inline struct nx_str nx_buf_str(const struct nx_buf *b)
{
	return (struct nx_str){ b->data, b->len };
}

/* Secrets: overwrites in a way the compiler keeps. */
void nx_wipe(void *p, size_t n);

#endif
