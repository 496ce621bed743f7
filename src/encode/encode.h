/* Encoders: batches to bytes, column-wise, in constant memory.
 *
 * An encoder turns one result set into one body: head, rows, tail. It appends to a caller's buffer
 * and never writes anywhere itself. Rows may also come in already encoded by another process that
 * used the same rows function (driver cap ENCODES).
 *
 * json    {"data":{"columns":[..],"rows":[[..],..],"metadata":{..}},"success":true,..}; the tail tells a
 *         failed stream by "error" and success false
 * ndjson  a row a line; the last line is {"@end":{...}} or {"@error":{...}}
 * csv     RFC 4180, header line, NULL is empty and an empty string is "". Failure: the caller breaks
 *         the chunked body
 * arrow   IPC stream (Arrow columnar format 1.x, "IPC Streaming Format"); failure: no end marker
 *         and a broken body
 * agent   {"columns":[names],"types":[..],"rows":[[..],..],"row_count":..}, cells cut at NX_AGENT_CELL bytes
 *         with a mark; failure: the caller drops the body
 *
 * Threads: an encoder belongs to one thread at a time. */
#ifndef NX_ENCODE_ENCODE_H
#define NX_ENCODE_ENCODE_H

#include "nexus/batch.h"
#include "nexus/buf.h"
#include "nexus/driver.h"
#include "nexus/error.h"

struct nx_encoder;

#define NX_AGENT_CELL 500u /* bytes of a cell's JSON text in the agent format */

struct nx_format_info {
	const char *name;         /* "ndjson" */
	const char *content_type; /* "application/x-ndjson" */
};
extern const struct nx_format_info nx_formats[NX_FORMAT_COUNT];
/* "csv" -> NX_FORMAT_CSV; false when unknown. */
NX_NODISCARD bool nx_format_by_name(struct nx_str name, enum nx_format *ret);

/* What the tail says. Slices are copied into the output only. */
struct nx_result_meta {
	uint64_t row_count;
	uint64_t elapsed_ms;
	struct nx_str source_id;
	struct nx_str source_type;
	struct nx_str query_id;
	bool has_more;
	bool truncated;       /* cut by a row or byte limit of the gateway, not by the caller's limit */
	struct nx_str next_uri; /* empty: none */
	uint64_t next_offset;   /* agent: where to go on; 0: nothing follows */
	bool unordered;         /* agent: ... and the order may differ then */
	struct nx_str correlation_id;
	struct nx_str timestamp;  /* ISO 8601 */
	const struct nx_error *error; /* NULL: complete */
};

/* `schema` must outlive the encoder. NULL: out of memory. */
struct nx_encoder *nx_encoder_new(const struct nx_schema *schema, const struct nx_encoding *how);
void nx_encoder_free(struct nx_encoder *e);

NX_NODISCARD enum nx_code nx_encoder_head(struct nx_encoder *e, struct nx_buf *out, struct nx_error *err);
/* Rows [from, to) of the batch. On failure `out` may hold a part of a row: drop it (keep the length
 * from before) and end with a tail that carries the error. */
NX_NODISCARD enum nx_code nx_encoder_rows(struct nx_encoder *e, const struct nx_batch *b, uint32_t from,
					  uint32_t to, struct nx_buf *out, struct nx_error *err);
/* Bytes made elsewhere by nx_encoder_rows on an encoder without head: adds what must stand between. */
void nx_encoder_raw(struct nx_encoder *e, struct nx_str rows, struct nx_buf *out);
NX_NODISCARD enum nx_code nx_encoder_tail(struct nx_encoder *e, const struct nx_result_meta *m,
					  struct nx_buf *out, struct nx_error *err);

/* The columns array alone, [{"name":..,"type":..,"nativeType":..,"nullable":..},..]. */
void nx_encode_columns(const struct nx_schema *schema, struct nx_buf *out);
/* {"code":..,"message":..,"details":{..}}: the error member everywhere in the API. */
void nx_encode_error(const struct nx_error *err, struct nx_buf *out);

/* Content codings. */
enum nx_coding { NX_CODING_IDENTITY, NX_CODING_GZIP, NX_CODING_ZSTD };
struct nx_compressor;
struct nx_compressor *nx_compressor_new(enum nx_coding c, int level /* 0: fast default */);
void nx_compressor_free(struct nx_compressor *c);
enum nx_flush { NX_FLUSH_NO, NX_FLUSH_SYNC, NX_FLUSH_END };
NX_NODISCARD enum nx_code nx_compress(struct nx_compressor *c, struct nx_str in, enum nx_flush flush,
				      struct nx_buf *out, struct nx_error *err);

#endif
