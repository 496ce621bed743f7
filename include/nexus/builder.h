/* Fills a batch row by row, for drivers whose client library hands over one row at a time.
 *
 * The schema says each column's layout: TEXT columns take bytes, BITS a bool, I64/F64 and the
 * narrower numbers a value. Nested layouts are not built here: a row-wise driver hands LIST, STRUCT
 * and MAP over as JSON text.
 * Append every column of a row in any order, then end the row. Memory is kept between batches, so
 * a stream allocates only while its batches still grow. Threads: one at a time. */
#ifndef NEXUS_BUILDER_H
#define NEXUS_BUILDER_H

#include "nexus/batch.h"
#include "nexus/error.h"

struct nx_builder;

/* `schema` must outlive the builder. A batch is full at max_rows rows or about max_bytes bytes
 * (one row may go over; 1 <= max_rows <= 65536). NULL: out of memory. */
struct nx_builder *nx_builder_new(const struct nx_schema *schema, uint32_t max_rows, size_t max_bytes);
void nx_builder_free(struct nx_builder *b); /* NULL is fine */

/* Changes the size from the next clear on: streams start small (first byte early) and grow. */
void nx_builder_limits(struct nx_builder *b, uint32_t max_rows, size_t max_bytes);

/* Each at most once per column and row; failure (memory, over 2 GiB of text) is sticky and reported
 * by row_end. A column not set in a row is null. */
void nx_builder_text(struct nx_builder *b, uint32_t col, const void *ptr, size_t len);
/* Room for len bytes of column text to be written by the caller, or NULL; nx_builder_shrink cuts it. */
char *nx_builder_room(struct nx_builder *b, uint32_t col, size_t len);
void nx_builder_shrink(struct nx_builder *b, uint32_t col, size_t len);
void nx_builder_i64(struct nx_builder *b, uint32_t col, int64_t v); /* I8..I64, U8..U32 */
void nx_builder_u64(struct nx_builder *b, uint32_t col, uint64_t v);
void nx_builder_f64(struct nx_builder *b, uint32_t col, double v); /* F32, F64 */
void nx_builder_bool(struct nx_builder *b, uint32_t col, bool v);
NX_NODISCARD enum nx_code nx_builder_row_end(struct nx_builder *b, struct nx_error *err);

bool nx_builder_full(const struct nx_builder *b);
uint32_t nx_builder_rows(const struct nx_builder *b);
/* The rows so far as a batch; valid until the next clear or free. */
void nx_builder_batch(struct nx_builder *b, struct nx_batch *ret);
void nx_builder_clear(struct nx_builder *b); /* next batch */

#endif
