/* What the formats share inside this folder. */
#ifndef NX_ENCODE_ENCODE_INT_H
#define NX_ENCODE_ENCODE_INT_H

#include "cell.h"
#include "encode.h"

struct nx_arrow;

struct nx_encoder {
	const struct nx_schema *schema;
	struct nx_encoding how;
	const struct nx_format_ops *ops;
	struct nx_arena *arena;
	uint64_t rows; /* written by rows() and raw() */
	bool raw_seen; /* rows of unknown number came in as bytes */

	/* text formats */
	struct nx_cell *cells;
	size_t slack;
	struct nx_str row_sep; /* before every row but the first */
	struct nx_str row_open, row_close;
	struct nx_buf tmp;

	struct nx_arrow *arrow;
};

struct nx_format_ops {
	bool (*init)(struct nx_encoder *e); /* false: out of memory */
	enum nx_code (*head)(struct nx_encoder *e, struct nx_buf *out, struct nx_error *err);
	enum nx_code (*rows)(struct nx_encoder *e, const struct nx_batch *b, uint32_t from, uint32_t to,
			     struct nx_buf *out, struct nx_error *err);
	void (*tail)(struct nx_encoder *e, const struct nx_result_meta *m, struct nx_buf *out);
};

extern const struct nx_format_ops nx_ops_json, nx_ops_ndjson, nx_ops_csv, nx_ops_arrow, nx_ops_agent;

/* The failure behind a buffer that refused `need` more bytes (0: not known). */
enum nx_code nx_encode_full(struct nx_buf *out, size_t need, struct nx_error *err);
/* rows.c: the row loop of the text formats, and their set-up. */
enum nx_code nx_text_rows(struct nx_encoder *e, const struct nx_batch *b, uint32_t from, uint32_t to,
			  struct nx_buf *out, struct nx_error *err);
bool nx_text_init(struct nx_encoder *e, enum nx_cell_style style, const char *sep, const char *open,
		  const char *close);
/* agent.c: the JSON text of one value at `from`, `len` bytes, cut to about NX_AGENT_CELL bytes and still
 * one JSON value; the new length. Only makes it shorter; `len` is above NX_AGENT_LONG. */
#define NX_AGENT_LONG (NX_AGENT_CELL + 48)
size_t nx_agent_cut(char *from, size_t len);
/* nx_encode_error() without its braces. */
void nx_encode_error_members(const struct nx_error *err, struct nx_buf *out);

#endif
