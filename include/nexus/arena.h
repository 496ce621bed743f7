/* Arenas: bump allocation with one lifetime, a byte cap, and cleanup callbacks.
 *
 * A request owns one arena; a batch owns a child. Freeing (or resetting) an arena runs its cleanups
 * in reverse order of registration, then frees children, then memory. Pointers into it die with it.
 * Threads: one thread at a time. */
#ifndef NEXUS_ARENA_H
#define NEXUS_ARENA_H

#include <stddef.h>

#include "nexus/attr.h"
#include "nexus/str.h"

struct nx_arena;

/* `cap` bytes at most (0: no limit of its own), children included. NULL: out of memory. */
struct nx_arena *nx_arena_new(size_t cap);
/* The same for secrets: what it held is overwritten when it is freed or reset; so are its children. */
struct nx_arena *nx_arena_new_secret(size_t cap);
struct nx_arena *nx_arena_child(struct nx_arena *parent);
void nx_arena_free(struct nx_arena *a);  /* NULL is fine */
void nx_arena_reset(struct nx_arena *a); /* as free and new, but keeps the first block */
size_t nx_arena_used(const struct nx_arena *a); /* bytes handed out, children included */

/* NULL when the cap or memory is reached. 16-byte aligned. `n` may be 0. */
NX_NODISCARD void *nx_arena_alloc(struct nx_arena *a, size_t n);
NX_NODISCARD void *nx_arena_zalloc(struct nx_arena *a, size_t n);
/* count * size, checked for overflow. */
NX_NODISCARD void *nx_arena_array(struct nx_arena *a, size_t count, size_t size);
/* Copies with a NUL added; ret.ptr is NULL when memory is out. */
NX_NODISCARD struct nx_str nx_arena_str(struct nx_arena *a, struct nx_str s);
NX_NODISCARD char *nx_arena_cstr(struct nx_arena *a, struct nx_str s);
NX_NODISCARD char *nx_arena_printf(struct nx_arena *a, const char *fmt, ...) NX_PRINTF(2, 3);

/* Runs fn(arg) when the arena is freed or reset. False: no memory, and fn was NOT registered. */
typedef void nx_cleanup_fn(void *arg);
NX_NODISCARD bool nx_arena_cleanup(struct nx_arena *a, nx_cleanup_fn *fn, void *arg);

static inline void nx_arena_freep(struct nx_arena **a)
{
	nx_arena_free(*a);
}

#endif
