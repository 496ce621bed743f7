/* The web console and the page of the API: files of console/dist, embedded by tools/embed.py.
 *
 * They are no part of the API: the route table does not list them. Threads: any; read-only. */
#ifndef NX_GATE_CONSOLE_H
#define NX_GATE_CONSOLE_H

#include <stddef.h>

#include "nexus/str.h"

struct nx_asset {
	const char *path; /* "/", "/docs", "/assets/..."; NULL ends */
	const char *type, *etag;
	const unsigned char *plain;
	size_t plain_len;
	const unsigned char *packed; /* gzip */
	size_t packed_len;
};
extern const struct nx_asset nx_assets[]; /* generated */

struct nx_route;

/* The route of a page, or NULL: this path is none. "/" and "/docs" are always there: without a console they say
 * so. */
const struct nx_route *nx_console_route(struct nx_str path);

#endif
