/* Word to the service manager: sd_notify(3), "READY=1" and the like, as a datagram to $NOTIFY_SOCKET. Without
 * that variable nothing happens. Threads: any. */
#ifndef NX_CLI_NOTIFY_H
#define NX_CLI_NOTIFY_H

void nx_notify(const char *state);

#endif
