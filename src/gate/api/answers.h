/* The part of /openapi.json that says what comes back. */
#ifndef NX_GATE_API_ANSWERS_H
#define NX_GATE_API_ANSWERS_H

#include "gate/request.h"

void nx_answers_put_schemas(struct nx_buf *b); /* each begins with a comma */
void nx_answers_put_errors(struct nx_buf *b);  /* members of components.responses */
void nx_answers_put_responses(struct nx_buf *b, const struct nx_route *t); /* ,"responses":{..} */

#endif
