/* Canonical text (nexus/batch.h) back to native values. False: not in that form, or not exactly
 * representable in what is asked for; *ret untouched. */
#ifndef NX_ENCODE_READ_TEXT_H
#define NX_ENCODE_READ_TEXT_H

#include "nexus/batch.h"
#include "put_num.h"

struct nx_month_day_nano {
	int32_t months;
	int32_t days;
	int64_t nanos;
};

NX_NODISCARD bool nx_read_date(struct nx_str s, int32_t *ret);
/* Within one day. `per_second` 1000000 or 1000000000. */
NX_NODISCARD bool nx_read_time(struct nx_str s, int64_t per_second, int64_t *ret);
/* zone: must be there (and is applied) or must not. */
NX_NODISCARD bool nx_read_timestamp(struct nx_str s, bool zone, int64_t per_second, int64_t *ret);
NX_NODISCARD bool nx_read_interval(struct nx_str s, struct nx_month_day_nano *ret);
/* Up to 38 digits. */
NX_NODISCARD bool nx_read_decimal(struct nx_str s, int32_t scale, nx_i128 *ret);

#endif
