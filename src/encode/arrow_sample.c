/* Writes the sample as an Arrow stream to stdout, in two batches (the second begins at row 1, so that
 * bitmaps and offsets are moved), for arrow_check.py. */
#include "arrow_sample.h"

#include <stdio.h>

#include "encode.h"

int main(void)
{
	struct nx_encoding how = { .format = NX_FORMAT_ARROW };
	struct nx_encoder *e = nx_encoder_new(&sample_schema, &how);
	struct nx_result_meta m = { 0 };
	struct nx_error err;
	struct nx_buf out;
	nx_buf_init(&out, 1 << 20);
	if (!e || nx_encoder_head(e, &out, &err) ||
	    nx_encoder_rows(e, &sample_batch, 0, 2, &out, &err) ||
	    nx_encoder_rows(e, &sample_batch, 1, 2, &out, &err) ||
	    nx_encoder_tail(e, &m, &out, &err)) {
		fprintf(stderr, "%s\n", e ? err.message : "out of memory");
		return 1;
	}
	fwrite(out.data, 1, out.len, stdout);
	nx_encoder_free(e);
	nx_buf_done(&out);
	return 0;
}
