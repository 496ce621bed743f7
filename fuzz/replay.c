/* main() of a fuzz target where libFuzzer is not linked: replays a corpus as a regression test.
 *
 *	fuzz_http corpus/http ...
 *
 * Each file is given as it is, cut short at up to 200 places, and with up to 200 single bytes
 * changed, always in the same way. A crash shows itself; the name of the file was printed before. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MUTANTS = 200, MAX_FILE = 1 << 24, EXIT_SKIP = 77 };

static unsigned long files;

/* A copy of exactly `size` bytes on the heap, so that ASan sees a read past the end. */
static void one(const uint8_t *data, size_t size)
{
	uint8_t *copy = calloc(size ? size : 1, 1);
	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void mutants(uint8_t *data, size_t size)
{
	size_t step = size / MUTANTS + 1;
	for (size_t cut = 0; cut < size; cut += step)
		one(data, cut);
	uint64_t state = 0x9e3779b97f4a7c15u;
	for (int i = 0; i < MUTANTS && size > 0; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		size_t at = (size_t)(state >> 33) % size;
		uint8_t old = data[at];
		data[at] = (uint8_t)(state >> 25);
		one(data, size);
		data[at] = old;
	}
}

static int file(const char *path, long size)
{
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return 1;
	}
	uint8_t *data = malloc((size_t)size + 1);
	if (!data)
		abort();
	size_t n = fread(data, 1, (size_t)size, f);
	fclose(f);
	printf("# %s\n", path);
	fflush(stdout);
	one(data, n);
	mutants(data, n);
	free(data);
	files++;
	return 0;
}

static int walk(const char *path)
{
	struct stat st;
	if (stat(path, &st)) {
		perror(path);
		return errno == ENOENT ? 0 : 1;
	}
	if (!S_ISDIR(st.st_mode))
		return st.st_size > MAX_FILE ? 0 : file(path, (long)st.st_size);
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);
	if (n < 0) {
		perror(path);
		return 1;
	}
	int bad = 0;
	for (int i = 0; i < n; i++) {
		char sub[4096];
		int len = snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof(sub))
			bad |= walk(sub);
		free(names[i]);
	}
	free(names);
	return bad;
}

int main(int argc, char **argv)
{
	int bad = 0;
	one((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		bad |= walk(argv[i]);
	if (!bad && files == 0) {
		printf("SKIP the corpus is empty\n");
		return EXIT_SKIP;
	}
	printf("# %lu files\n", files);
	return bad;
}
