/* Dates, times and intervals to their canonical text (nexus/batch.h), without capacity checks. */
#ifndef NX_ENCODE_PUT_TIME_H
#define NX_ENCODE_PUT_TIME_H

#include "nexus/batch.h"
#include "put_num.h"

enum {
	NX_PUT_DATE = 40,
	NX_PUT_TIME = 48,
	NX_PUT_TIMESTAMP = 72,
	NX_PUT_INTERVAL = 112,
};

/* Days since 1970-01-01 to the proleptic Gregorian calendar. Works in 400-year eras that begin on a
 * 1 March; inside one, the Euclidean affine functions of Neri and Schneider, "Euclidean affine
 * functions and their application to calendar algorithms" (2022), replace all divisions. */
static inline char *nx_put_days(char *p, int64_t days)
{
	int64_t z = days + 719468; /* since 0000-03-01 */
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	uint32_t n1 = 4 * (uint32_t)(z - era * 146097) + 3;
	uint32_t century = n1 / 146097;
	uint64_t p2 = (uint64_t)2939745 * (n1 % 146097 | 3);
	uint32_t day_of_year = (uint32_t)p2 / 2939745 / 4;
	uint32_t n3 = 2141 * day_of_year + 197913;
	uint32_t next = day_of_year >= 306; /* January and February belong to the next year */
	uint32_t month = (n3 >> 16) - 12 * next, day = (n3 & 0xffff) / 2141 + 1;
	int64_t year = era * 400 + 100 * century + (uint32_t)(p2 >> 32) + next;
	if (NX_LIKELY(year >= 0 && year <= 9999)) {
		p = nx_put_2(p, (uint32_t)year / 100);
		p = nx_put_2(p, (uint32_t)year % 100);
	} else {
		uint64_t abs = year < 0 ? 0 - (uint64_t)year : (uint64_t)year;
		*p++ = year < 0 ? '-' : '+';
		p = abs <= 9999 ? nx_put_padded(p, abs, 4) : nx_put_u64(p, abs);
	}
	*p++ = '-';
	p = nx_put_2(p, month);
	*p++ = '-';
	return nx_put_2(p, day);
}

static inline char *nx_put_infinity(char *p, bool negative)
{
	*p = '-';
	p += negative;
	memcpy(p, "infinity", 8);
	return p + 8;
}

static inline char *nx_put_date(char *p, int32_t days)
{
	if (NX_UNLIKELY(days == INT32_MAX || days == -INT32_MAX))
		return nx_put_infinity(p, days < 0);
	return nx_put_days(p, days);
}

/* ".5" for half a second: no trailing zeros; nothing when zero. */
static inline char *nx_put_fraction(char *p, uint32_t v, unsigned digits)
{
	if (v == 0)
		return p;
	*p++ = '.';
	p = nx_put_padded(p, v, digits);
	while (p[-1] == '0')
		p--;
	return p;
}

static inline unsigned nx_unit_digits(enum nx_unit u)
{
	return 3 * (unsigned)u;
}

static inline char *nx_put_hms(char *p, uint32_t seconds)
{
	p = nx_put_2(p, seconds / 3600);
	*p++ = ':';
	p = nx_put_2(p, seconds / 60 % 60);
	*p++ = ':';
	return nx_put_2(p, seconds % 60);
}

/* `per_second` is a constant where this is inlined. */
static inline char *nx_put_timestamp_in(char *p, int64_t v, int64_t per_second, unsigned digits)
{
	if (NX_UNLIKELY(v == INT64_MAX || v == -INT64_MAX))
		return nx_put_infinity(p, v < 0);
	int64_t per_day = 86400 * per_second;
	int64_t days = v / per_day, rest = v % per_day;
	if (rest < 0) {
		rest += per_day;
		days--;
	}
	p = nx_put_days(p, days);
	*p++ = 'T';
	p = nx_put_hms(p, (uint32_t)(rest / per_second));
	return digits ? nx_put_fraction(p, (uint32_t)(rest % per_second), digits) : p;
}

static inline char *nx_put_timestamp(char *p, int64_t v, enum nx_unit unit)
{
	switch (unit) {
	case NX_UNIT_S: return nx_put_timestamp_in(p, v, 1, 0);
	case NX_UNIT_MS: return nx_put_timestamp_in(p, v, 1000, 3);
	case NX_UNIT_US: return nx_put_timestamp_in(p, v, 1000000, 6);
	case NX_UNIT_NS: return nx_put_timestamp_in(p, v, 1000000000, 9);
	}
	return p;
}

/* Zone Z unless the value is infinite. */
static inline char *nx_put_timestamptz(char *p, int64_t v, enum nx_unit unit)
{
	p = nx_put_timestamp(p, v, unit);
	*p = 'Z';
	return p + (v != INT64_MAX && v != -INT64_MAX);
}

/* Hours go beyond 24 and below 0 (MySQL). */
static inline char *nx_put_time(char *p, int64_t v, enum nx_unit unit)
{
	unsigned digits = nx_unit_digits(unit);
	uint64_t per_second = nx_pow10[digits];
	*p = '-';
	p += v < 0;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	uint64_t seconds = u / per_second, hours = seconds / 3600;
	if (hours < 100)
		p = nx_put_2(p, (uint32_t)hours);
	else
		p = nx_put_u64(p, hours);
	*p++ = ':';
	p = nx_put_2(p, (uint32_t)(seconds / 60 % 60));
	*p++ = ':';
	p = nx_put_2(p, (uint32_t)(seconds % 60));
	return nx_put_fraction(p, (uint32_t)(u % per_second), digits);
}

static inline char *nx_put_part(char *p, int64_t v, char unit)
{
	if (v == 0)
		return p;
	p = nx_put_i64(p, v);
	*p++ = unit;
	return p;
}

/* ISO 8601 duration as PostgreSQL writes it: each part has its own sign, zero is PT0S. */
static inline char *nx_put_interval(char *p, struct nx_interval v)
{
	char *start = p;
	*p++ = 'P';
	p = nx_put_part(p, v.months / 12, 'Y');
	p = nx_put_part(p, v.months % 12, 'M');
	p = nx_put_part(p, v.days, 'D');
	if (v.micros == 0 && p > start + 1)
		return p;
	*p++ = 'T';
	int64_t seconds = v.micros / 1000000, frac = v.micros % 1000000;
	p = nx_put_part(p, seconds / 3600, 'H');
	p = nx_put_part(p, seconds / 60 % 60, 'M');
	int64_t s = seconds % 60;
	if (s == 0 && frac == 0 && p[-1] != 'T')
		return p;
	*p = '-';
	p += s < 0 || frac < 0;
	p = nx_put_u27(p, (uint32_t)(s < 0 ? -s : s));
	p = nx_put_fraction(p, (uint32_t)(frac < 0 ? -frac : frac), 6);
	*p++ = 'S';
	return p;
}

#endif
