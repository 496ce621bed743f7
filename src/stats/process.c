/* What the kernel knows of this process. Read when somebody asks: some hundred microseconds. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "stats/metrics.h"

uint64_t nx_process_rss(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return 0;
	unsigned long long size = 0, resident = 0;
	int n = fscanf(f, "%llu %llu", &size, &resident);
	(void)fclose(f);
	return n == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* Fields behind the name, which may hold anything but ends with the last ')'; proc(5). */
static void read_stat(struct nx_process_stats *ret)
{
	FILE *f = fopen("/proc/self/stat", "re");
	char text[1024];
	if (!f)
		return;
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[n] = '\0';
	const char *p = strrchr(text, ')');
	unsigned long long threads = 0, start = 0, vsize = 0;
	if (!p || sscanf(p + 1,
			 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
			 " %llu %*d %llu %llu",
			 &threads, &start, &vsize) != 3)
		return;
	ret->threads = threads;
	ret->virtual = vsize;
	/* start counts from boot in ticks */
	struct timespec boot, wall;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &wall);
	int64_t up = (int64_t)boot.tv_sec * 1000000000 + boot.tv_nsec;
	int64_t now = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec;
	long tick = sysconf(_SC_CLK_TCK);
	ret->started_ns =
		now - up + (int64_t)(start * (1000000000ull / (uint64_t)(tick > 0 ? tick : 100)));
}

static uint64_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint64_t n = 0;
	if (!d)
		return 0;
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n > 3 ? n - 3 : 0; /* ".", ".." and the one that reads */
}

void nx_process_stats(struct nx_process_stats *ret)
{
	*ret = (struct nx_process_stats){ .resident = nx_process_rss(), .fds = count_fds() };
	read_stat(ret);
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0)
		ret->fds_max = l.rlim_cur;
	struct timespec cpu;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	ret->cpu_ns = (int64_t)cpu.tv_sec * 1000000000 + cpu.tv_nsec;
}
