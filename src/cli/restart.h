/* Restart in place: the same process goes on as the program that is installed now.
 *
 * SIGUSR2. The new program first judges the configuration (`nexus check --start`); when it will not start, the
 * old one goes on. Then the gateway hands its listening sockets over, ends what runs, and exec() follows:
 * process id, control group and the clients' place in the queue stay. Threads: the main one. */
#ifndef NX_CLI_RESTART_H
#define NX_CLI_RESTART_H

#include "gate/gateway.h"

/* Remembers how the program was called; once, before arguments are taken apart. */
void nx_restart_remember(int argc, char **argv);
/* Returns only when the restart was refused before anything changed; else the process is another program,
 * or over. */
void nx_restart(struct nx_gateway *gw);
/* Did a process before this one hand over to it? Then nobody else serves. Before nx_restart_inherited(). */
bool nx_restart_pending(void);
/* The sockets that the process before left for these addresses; none is n 0. */
void nx_restart_inherited(const struct nx_config *cfg, struct nx_inherited *ret);

#endif
