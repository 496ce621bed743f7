/* For tests and fuzzing: a second opinion on a request by llhttp (the parser of Node.js), when its
 * sources are installed. What we accept it must accept, and read in the same way. */
#ifndef NX_HTTP_ORACLE_H
#define NX_HTTP_ORACLE_H

#include "parse_whole.h"

/* NULL: it agrees (or its opinion does not count, see oracle.c); else what differs. */
const char *nx_oracle_check(const struct nx_whole *w, const char *data, size_t len);

#endif
