#include "encode_int.h"

static bool arrow_init(struct nx_encoder *e)
{
	(void)e;
	return true;
}

static enum nx_code arrow_head(struct nx_encoder *e, struct nx_buf *out, struct nx_error *err)
{
	(void)e;
	(void)out;
	return nx_fail(err, NX_E_NOT_IMPLEMENTED, "format arrow is not built yet");
}

static enum nx_code arrow_rows(struct nx_encoder *e, const struct nx_batch *b, uint32_t from,
			       uint32_t to, struct nx_buf *out, struct nx_error *err)
{
	(void)b;
	(void)from;
	(void)to;
	return arrow_head(e, out, err);
}

static void arrow_tail(struct nx_encoder *e, const struct nx_result_meta *m, struct nx_buf *out)
{
	(void)e;
	(void)m;
	(void)out;
}

const struct nx_format_ops nx_ops_arrow = { arrow_init, arrow_head, arrow_rows, arrow_tail };
