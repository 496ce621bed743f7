#include "read_text.h"

/* Readers take from the front of *s. */

static bool take(struct nx_str *s, char c)
{
	if (s->len == 0 || *s->ptr != c)
		return false;
	s->ptr++;
	s->len--;
	return true;
}

/* min..max digits (max <= 18). */
static bool take_digits(struct nx_str *s, unsigned min, unsigned max, int64_t *ret)
{
	int64_t v = 0;
	unsigned n = 0;
	for (; n < max && n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9'; n++)
		v = v * 10 + (s->ptr[n] - '0');
	if (n < min)
		return false;
	s->ptr += n;
	s->len -= n;
	*ret = v;
	return true;
}

/* [.f{1,}] in units of 1 / per_second; digits beyond that must be zero. */
static bool take_fraction(struct nx_str *s, int64_t per_second, int64_t *ret)
{
	int64_t v = 0;
	if (take(s, '.')) {
		bool any = false;
		for (; s->len > 0 && *s->ptr >= '0' && *s->ptr <= '9'; s->ptr++, s->len--) {
			any = true;
			per_second /= 10;
			if (per_second == 0 && *s->ptr != '0')
				return false;
			v += (*s->ptr - '0') * per_second;
		}
		if (!any)
			return false;
	}
	*ret = v;
	return true;
}

/* The inverse of nx_put_days; Neri and Schneider again. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool take_date(struct nx_str *s, int64_t *ret)
{
	static const uint8_t days[12] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool neg = take(s, '-');
	if (!neg)
		(void)take(s, '+');
	int64_t y, m, d;
	if (!take_digits(s, 4, 12, &y) || !take(s, '-') || !take_digits(s, 2, 2, &m) ||
	    !take(s, '-') || !take_digits(s, 2, 2, &d))
		return false;
	if (neg)
		y = -y;
	bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
	if (m < 1 || m > 12 || d < 1 || d > days[m - 1] || (m == 2 && d == 29 && !leap))
		return false;
	*ret = days_of(y, m, d);
	return true;
}

static bool take_time(struct nx_str *s, int64_t per_second, int64_t *ret)
{
	int64_t h, m, sec, frac;
	if (!take_digits(s, 2, 2, &h) || !take(s, ':') || !take_digits(s, 2, 2, &m) ||
	    !take(s, ':') || !take_digits(s, 2, 2, &sec) || !take_fraction(s, per_second, &frac))
		return false;
	if (h > 23 || m > 59 || sec > 59)
		return false;
	*ret = ((h * 60 + m) * 60 + sec) * per_second + frac;
	return true;
}

/* Z | +HH[:MM[:SS]] as seconds east. */
static bool take_zone(struct nx_str *s, int64_t *ret)
{
	int64_t h, m = 0, sec = 0;
	if (take(s, 'Z')) {
		*ret = 0;
		return true;
	}
	bool west = take(s, '-');
	if (!west && !take(s, '+'))
		return false;
	if (!take_digits(s, 2, 2, &h) || (take(s, ':') && !take_digits(s, 2, 2, &m)) ||
	    (take(s, ':') && !take_digits(s, 2, 2, &sec)) || m > 59 || sec > 59)
		return false;
	int64_t v = (h * 60 + m) * 60 + sec;
	*ret = west ? -v : v;
	return true;
}

bool nx_read_date(struct nx_str s, int32_t *ret)
{
	int64_t v;
	if (!take_date(&s, &v) || s.len > 0 || v <= -INT32_MAX || v >= INT32_MAX)
		return false;
	*ret = (int32_t)v;
	return true;
}

bool nx_read_time(struct nx_str s, int64_t per_second, int64_t *ret)
{
	int64_t v;
	if (!take_time(&s, per_second, &v) || s.len > 0)
		return false;
	*ret = v;
	return true;
}

bool nx_read_timestamp(struct nx_str s, bool zone, int64_t per_second, int64_t *ret)
{
	int64_t day, time, east = 0, v;
	if (!take_date(&s, &day) || !take(&s, 'T') || !take_time(&s, per_second, &time))
		return false;
	if ((zone && !take_zone(&s, &east)) || s.len > 0)
		return false;
	nx_i128 wide = (nx_i128)day * 86400 * per_second + time - (nx_i128)east * per_second;
	if (wide <= -INT64_MAX || wide >= INT64_MAX)
		return false;
	v = (int64_t)wide;
	*ret = v;
	return true;
}

/* One signed number with an optional fraction, in billionths. */
static bool take_nanos(struct nx_str *s, nx_i128 *ret)
{
	bool neg = take(s, '-');
	if (!neg)
		(void)take(s, '+');
	int64_t whole, frac;
	if (!take_digits(s, 1, 18, &whole) || !take_fraction(s, 1000000000, &frac))
		return false;
	nx_i128 v = (nx_i128)whole * 1000000000 + frac;
	*ret = neg ? -v : v;
	return true;
}

bool nx_read_interval(struct nx_str s, struct nx_month_day_nano *ret)
{
	static const struct {
		char unit;
		bool time;
		int64_t months, days, seconds;
	} parts[] = {
		{ 'Y', false, 12, 0, 0 }, { 'M', false, 1, 0, 0 },   { 'W', false, 0, 7, 0 },
		{ 'D', false, 0, 1, 0 },  { 'H', true, 0, 0, 3600 }, { 'M', true, 0, 0, 60 },
		{ 'S', true, 0, 0, 1 },
	};
	nx_i128 months = 0, days = 0, nanos = 0;
	bool neg = take(&s, '-'), in_time = false;
	if (!take(&s, 'P') || s.len == 0)
		return false;
	for (size_t k = 0; s.len > 0; k++) {
		nx_i128 v;
		if (!in_time && take(&s, 'T'))
			in_time = true;
		if (!take_nanos(&s, &v) || s.len == 0)
			return false;
		while (k < NX_COUNTOF(parts) &&
		       (parts[k].unit != *s.ptr || parts[k].time != in_time))
			k++; /* parts come in this order, each at most once */
		if (k == NX_COUNTOF(parts) || (parts[k].unit != 'S' && v % 1000000000 != 0))
			return false;
		(void)take(&s, *s.ptr);
		months += v / 1000000000 * parts[k].months;
		days += v / 1000000000 * parts[k].days;
		nanos += v * parts[k].seconds;
	}
	if (neg) {
		months = -months;
		days = -days;
		nanos = -nanos;
	}
	if (months < INT32_MIN || months > INT32_MAX || days < INT32_MIN || days > INT32_MAX ||
	    nanos < INT64_MIN || nanos > INT64_MAX)
		return false;
	*ret = (struct nx_month_day_nano){ (int32_t)months, (int32_t)days, (int64_t)nanos };
	return true;
}

bool nx_read_decimal(struct nx_str s, int32_t scale, nx_i128 *ret)
{
	const nx_u128 limit = (nx_u128)nx_pow10[19] * nx_pow10[19]; /* 10^38 */
	bool neg = take(&s, '-'), point = false, any = false;
	nx_u128 v = 0;
	int32_t behind = 0; /* digits after the point so far */
	for (; s.len > 0; s.ptr++, s.len--) {
		if (*s.ptr == '.' && !point) {
			point = true;
			continue;
		}
		if (*s.ptr < '0' || *s.ptr > '9')
			return false;
		any = true;
		if (point && behind == scale) {
			if (*s.ptr != '0')
				return false; /* would be rounded */
			continue;
		}
		behind += point;
		v = v * 10 + (nx_u128)(*s.ptr - '0');
		if (v >= limit)
			return false;
	}
	for (; behind < scale; behind++) {
		v *= 10;
		if (v >= limit)
			return false;
	}
	for (; behind > scale; behind--) { /* negative scale */
		if (v % 10 != 0)
			return false;
		v /= 10;
	}
	if (!any)
		return false;
	*ret = neg ? -(nx_i128)v : (nx_i128)v;
	return true;
}
