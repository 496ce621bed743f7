#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

int64_t nx_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NX_SEC + ts.tv_nsec;
}

int64_t nx_wall_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void nx_iso_time(int64_t wall_us, char out[NX_ISO_LEN])
{
	time_t s = (time_t)(wall_us / 1000000);
	struct tm tm;
	gmtime_r(&s, &tm);
	/* years 0..9999 by the caller's clock; the masks tell the compiler the width */
	(void)snprintf(out, NX_ISO_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
		       (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u,
		       (unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u,
		       (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u,
		       (unsigned)(wall_us / 1000 % 1000) % 1000u);
}

int nx_poll_ms(int64_t deadline, int max_ms)
{
	if (deadline == NX_NEVER)
		return max_ms;
	int64_t left = deadline - nx_now();
	if (left <= 0)
		return 0;
	int64_t ms = (left + NX_MS - 1) / NX_MS;
	return ms > max_ms ? max_ms : (int)ms;
}

/* Random bytes come in slabs per thread: one system call for 32 ids. */
void nx_random16(unsigned char out[16])
{
	static _Thread_local unsigned char slab[512];
	static _Thread_local size_t left;
	if (left < 16) {
		size_t have = 0;
		while (have < sizeof(slab)) {
			ssize_t n = getrandom(slab + have, sizeof(slab) - have, 0);
			if (n < 0 && errno != EINTR)
				abort(); /* no kernel we run on refuses this */
			if (n > 0)
				have += (size_t)n;
		}
		left = sizeof(slab);
	}
	left -= 16;
	for (int i = 0; i < 16; i++) {
		out[i] = slab[left + (size_t)i];
		slab[left + (size_t)i] = 0;
	}
}

void nx_uuid(char out[37])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char r[16];
	nx_random16(r);
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	char *p = out;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[r[i] >> 4];
		*p++ = hex[r[i] & 15];
	}
	*p = '\0';
}
