/* Private to the audit log: the chain and its files.
 *
 * A line is {"hash":"H","prev":"P","seq":N,...}: H is the SHA-256, in hex, of everything behind `"H",`
 * to the end of the line (without the line feed), P the H of the record before, across files. */
#ifndef NX_STATS_AUDIT_INT_H
#define NX_STATS_AUDIT_INT_H

#include <openssl/evp.h>

#include "nexus/buf.h"
#include "stats/audit.h"

enum {
	NX_AUDIT_HEX = 64,
	NX_AUDIT_HASH_AT = 9,                              /* {"hash":" */
	NX_AUDIT_BODY_AT = NX_AUDIT_HASH_AT + NX_AUDIT_HEX + 2, /* what H covers begins here */
	NX_AUDIT_PREV_AT = NX_AUDIT_BODY_AT + 8,           /* "prev":" */
	NX_AUDIT_SEQ_AT = NX_AUDIT_PREV_AT + NX_AUDIT_HEX + 2 + 6,
	NX_AUDIT_LINE_MAX = 16 << 20,
};

#define NX_AUDIT_NAME "audit-%08u.jsonl"
#define NX_AUDIT_NAME_LEN 32
#define NX_AUDIT_HEAD "head" /* file with the last seq and hash: shows when the end is missing */

/* Of one parsed line; slices point into it. */
struct nx_audit_line {
	struct nx_str hash, prev, body;
	uint64_t seq;
};
NX_NODISCARD bool nx_audit_line_parse(struct nx_str line, struct nx_audit_line *ret);

/* Number of a file of ours, or 0. */
uint32_t nx_audit_file_number(const char *name);
NX_NODISCARD bool nx_audit_hash(EVP_MD_CTX *ctx, struct nx_str s, char ret[NX_AUDIT_HEX + 1]);

/* The files, as their one writer sees them. */
struct nx_audit_chain {
	int dir_fd, fd, head_fd; /* -1: not open */
	uint32_t number;         /* of the open file */
	uint64_t size, limit;    /* bytes of the open file; where it ends */
	uint64_t seq;            /* of the last record */
	char prev[NX_AUDIT_HEX + 1]; /* its hash */
	EVP_MD_CTX *ctx;
	struct nx_buf out;       /* lines not written yet; `done` bytes of it are */
	size_t done;
	uint64_t torn;           /* bytes without a line feed behind the record we go on from */
	bool sync;
};

NX_NODISCARD enum nx_code nx_audit_chain_open(struct nx_audit_chain *c, const char *dir,
					      uint64_t limit, bool sync, struct nx_error *err);
void nx_audit_chain_done(struct nx_audit_chain *c);
/* Starts a record in c->out: "hash" to "at". The caller adds ,"key":value pairs and ends it. */
void nx_audit_line_begin(struct nx_audit_chain *c, int64_t wall_us, const char *event);
void nx_audit_line_end(struct nx_audit_chain *c);
/* Writes c->out; false: errno says why, and it can be called again. */
NX_NODISCARD bool nx_audit_chain_flush(struct nx_audit_chain *c);
/* The next file; c->out must be empty. False as above. */
NX_NODISCARD bool nx_audit_chain_next(struct nx_audit_chain *c);
void nx_audit_chain_head(struct nx_audit_chain *c); /* notes seq and hash in the head file */

#endif
