/* Configuration: nexus.yaml, environment, flags; config.def is the list of keys.
 *
 * Scalars in the file may hold ${NAME}, ${NAME:-default}, ${file:path} and ${vault:mount/path#key}. Unknown keys are refused
 * by name. Threads: a loaded config is read-only; one thread loads. */
#ifndef NX_GATE_CONFIG_H
#define NX_GATE_CONFIG_H

#include "base/json.h"
#include "nexus/option.h"

#define NX_CONFIG_FILES 256

struct nx_config_later;

struct nx_config {
	struct nx_options *values;
	const struct nx_json *sources; /* array of data source bodies, or NULL */
	struct nx_arena *arena;
	/* what it was read from: the file, sourcesFile, ${file:...}; and the TLS files */
	const char *files[NX_CONFIG_FILES];
	uint32_t nfiles;
	struct nx_config_later *later; /* while it loads: values that Vault has */
	uint64_t seen; /* nx_config_look() before they were read */
};

extern const struct nx_option nx_config_keys[];

/* `file` may be NULL (no file). `flags` are "key=value" texts from the command line. CONFIG on any
 * error, with file and line where there are some. */
NX_NODISCARD enum nx_code nx_config_load(const char *file, const char *const *flags, uint32_t nflags,
					 struct nx_config *ret, struct nx_error *err);
void nx_config_done(struct nx_config *c);
/* A number for the state of its files (times, sizes, inodes): another number, another state. */
uint64_t nx_config_look(const struct nx_config *c);

/* One YAML document as a JSON tree: plain scalars true/false/null and numbers keep their kind. */
NX_NODISCARD enum nx_code nx_yaml_parse(struct nx_str text, struct nx_arena *a,
					const struct nx_json **ret, struct nx_error *err);

#endif
