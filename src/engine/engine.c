/* nexus-engine: DuckDB outside of the gateway. See engine_int.h. */
#include "engine/engine_int.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static int usage(void)
{
	fputs("nexus-engine is started by nexus.\n"
	      "  nexus-engine --version                      the DuckDB it uses\n"
	      "  nexus-engine --script FILE DIR [NAME=VALUE ...]\n"
	      "      runs the SQL of FILE in the folder DIR, without any fence;\n"
	      "      getvariable('NAME') is VALUE\n",
	      stderr);
	return 64;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--zygote") == 0) {
		/* 0 is the control socket; of the gateway's descriptors nothing else may stay */
		if (syscall(SYS_close_range, 3, ~0u, 0))
			return 2;
		return nx_zygote_run(0, argv[2]);
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("nexus-engine %s DuckDB %s\n", NX_VERSION, duckdb_library_version());
		return 0;
	}
	if (argc >= 4 && strcmp(argv[1], "--script") == 0)
		return nx_script_run(argv[2], argv[3], argv + 4, argc - 4);
	return usage();
}
