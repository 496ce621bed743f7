/* Blocks double from 4 KiB to 256 KiB; larger requests get a block of their own. Under ASan every
 * allocation is its own block, so that overruns inside an arena are seen. */
#include "nexus/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "nexus/buf.h"

#define FIRST_BLOCK ((size_t)4096)
#define LAST_BLOCK ((size_t)256 * 1024)
#define ALIGN ((size_t)16)

#if defined(__SANITIZE_ADDRESS__)
#define SEPARATE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SEPARATE 1
#endif
#endif

struct block {
	struct block *next;
	size_t size, used; /* of data */
	_Alignas(16) char data[];
};

struct cleanup {
	struct cleanup *next;
	nx_cleanup_fn *fn;
	void *arg;
};

struct nx_arena {
	struct block *blocks; /* newest first */
	struct cleanup *cleanups;
	struct nx_arena *parent, *children, *sibling;
	size_t cap, used;
	bool secret; /* blocks are wiped before they are freed */
};

struct nx_arena *nx_arena_new(size_t cap)
{
	struct nx_arena *a = calloc(1, sizeof(*a));
	if (a)
		a->cap = cap;
	return a;
}

struct nx_arena *nx_arena_new_secret(size_t cap)
{
	struct nx_arena *a = nx_arena_new(cap);
	if (a)
		a->secret = true;
	return a;
}

struct nx_arena *nx_arena_child(struct nx_arena *parent)
{
	struct nx_arena *a = nx_arena_new(0);
	if (!a)
		return NULL;
	a->parent = parent;
	a->secret = parent->secret;
	a->sibling = parent->children;
	parent->children = a;
	return a;
}

static bool charge(struct nx_arena *a, size_t n)
{
	for (struct nx_arena *p = a; p; p = p->parent)
		if (p->cap && (p->used > p->cap || n > p->cap - p->used))
			return false;
	for (struct nx_arena *p = a; p; p = p->parent)
		p->used += n;
	return true;
}

static void run_cleanups(struct nx_arena *a)
{
	while (a->cleanups) {
		struct cleanup *c = a->cleanups;
		a->cleanups = c->next;
		c->fn(c->arg);
	}
}

static void unlink_child(struct nx_arena *a)
{
	struct nx_arena **p = &a->parent->children;
	while (*p != a)
		p = &(*p)->sibling;
	*p = a->sibling;
}

static void clear(struct nx_arena *a, bool keep)
{
	run_cleanups(a);
	while (a->children)
		nx_arena_free(a->children);
	for (struct nx_arena *p = a->parent; p; p = p->parent)
		p->used -= a->used;
	a->used = 0;
	struct block *kept = NULL;
	for (struct block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		if (a->secret)
			nx_wipe(b->data, b->used);
#ifndef SEPARATE
		if (keep && !next && b->size <= LAST_BLOCK) {
			kept = b;
			break;
		}
#endif
		free(b);
	}
	(void)keep;
	a->blocks = kept;
	if (kept)
		kept->used = 0;
}

void nx_arena_reset(struct nx_arena *a)
{
	clear(a, true);
}

void nx_arena_free(struct nx_arena *a)
{
	if (!a)
		return;
	clear(a, false);
	if (a->parent)
		unlink_child(a);
	free(a);
}

size_t nx_arena_used(const struct nx_arena *a)
{
	return a->used;
}

void *nx_arena_alloc(struct nx_arena *a, size_t n)
{
	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + ALIGN - 1) & ~(ALIGN - 1);
	if (n == 0)
		n = ALIGN;
	if (!charge(a, n))
		return NULL;
	struct block *b = a->blocks;
	if (!b || b->size - b->used < n) {
		size_t size = b ? b->size * 2 : FIRST_BLOCK - sizeof(struct block);
		if (size > LAST_BLOCK)
			size = LAST_BLOCK;
#ifdef SEPARATE
		size = n;
#endif
		if (size < n)
			size = n;
		struct block *fresh = malloc(sizeof(*fresh) + size);
		if (!fresh) {
			for (struct nx_arena *p = a; p; p = p->parent)
				p->used -= n;
			return NULL;
		}
		fresh->size = size;
		fresh->used = 0;
		fresh->next = b;
		a->blocks = b = fresh;
	}
	void *p = b->data + b->used;
	b->used += n;
	return p;
}

void *nx_arena_zalloc(struct nx_arena *a, size_t n)
{
	void *p = nx_arena_alloc(a, n);
	if (p)
		memset(p, 0, n);
	return p;
}

void *nx_arena_array(struct nx_arena *a, size_t count, size_t size)
{
	size_t n;
	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	return nx_arena_alloc(a, n);
}

char *nx_arena_cstr(struct nx_arena *a, struct nx_str s)
{
	if (s.len == SIZE_MAX)
		return NULL;
	char *p = nx_arena_alloc(a, s.len + 1);
	if (!p)
		return NULL;
	if (s.len > 0)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}

struct nx_str nx_arena_str(struct nx_arena *a, struct nx_str s)
{
	char *p = nx_arena_cstr(a, s);
	return (struct nx_str){ p, p ? s.len : 0 };
}

char *nx_arena_printf(struct nx_arena *a, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = n < 0 ? NULL : nx_arena_alloc(a, (size_t)n + 1);
	if (p && vsnprintf(p, (size_t)n + 1, fmt, again) != n)
		p = NULL;
	va_end(again);
	return p;
}

bool nx_arena_cleanup(struct nx_arena *a, nx_cleanup_fn *fn, void *arg)
{
	struct cleanup *c = nx_arena_alloc(a, sizeof(*c));
	if (!c)
		return false;
	*c = (struct cleanup){ a->cleanups, fn, arg };
	a->cleanups = c;
	return true;
}
