/* Time: monotonic nanoseconds for deadlines, wall clock for people. Threads: any. */
#ifndef NX_BASE_CLOCK_H
#define NX_BASE_CLOCK_H

#include <stdint.h>

#define NX_MS 1000000LL
#define NX_SEC 1000000000LL
#define NX_NEVER INT64_MAX

int64_t nx_now(void);      /* CLOCK_MONOTONIC, ns */
int64_t nx_wall_us(void);  /* microseconds since 1970 UTC */
#define NX_ISO_LEN 25
void nx_iso_time(int64_t wall_us, char out[NX_ISO_LEN]); /* "2026-01-02T03:04:05.678Z" */
/* Milliseconds until a deadline for poll(): 0 when past, at most max_ms, rounded up. */
int nx_poll_ms(int64_t deadline, int max_ms);
/* Random bytes, cheap ones in slabs per thread. Never fails. */
void nx_random16(unsigned char out[16]);
/* Random lower-case UUID (version 4), 36 characters and NUL. Never fails. */
void nx_uuid(char out[37]);

#endif
