/* Shortest round-trip text of binary floating point and its inverse; behind a C header because the
 * C library has neither (the C++ one has: Ryu, and a parser that knows no locale). */
#ifndef NX_ENCODE_DOUBLE_H
#define NX_ENCODE_DOUBLE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* v finite and >= 0. Touch at most 32 bytes; return the end. */
char *nx_put_f64_shortest(char *p, double v);
char *nx_put_f32_shortest(char *p, float v);

/* The whole of [s, s+n) as a number, or NaN, Infinity, -Infinity as written here. */
bool nx_read_f64(const char *s, size_t n, double *ret);
bool nx_read_f32(const char *s, size_t n, float *ret);

#ifdef __cplusplus
}
#endif

#endif
