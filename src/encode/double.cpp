#include "double.h"

#include <charconv>
#include <cmath>
#include <limits>

/* Inside the plain range to_chars(fixed) prints the shortest digits too: all integers there are
 * exact, so none is padded with digits that mean nothing. */
template <typename T> static char *put(char *p, T v, T plain_end)
{
	bool plain = v == 0 || (v >= T(1e-4) && v < plain_end);
	auto r = std::to_chars(p, p + 32, v,
			       plain ? std::chars_format::fixed : std::chars_format::scientific);
	return r.ptr;
}

char *nx_put_f64_shortest(char *p, double v)
{
	return put(p, v, 1e15);
}

char *nx_put_f32_shortest(char *p, float v)
{
	return put(p, v, 1e6f);
}

template <typename T> static bool read(const char *s, size_t n, T *ret)
{
	bool neg = n > 0 && s[0] == '-';
	const char *from = s + neg, *end = s + n;
	if (from == end)
		return false;
	T v;
	if (*from == 'N' || *from == 'I') { /* from_chars would take "nan(x)" and any case */
		size_t left = size_t(end - from);
		if (left == 3 && from[0] == 'N' && from[1] == 'a' && from[2] == 'N')
			v = std::numeric_limits<T>::quiet_NaN();
		else if (left == 8 && __builtin_memcmp(from, "Infinity", 8) == 0)
			v = std::numeric_limits<T>::infinity();
		else
			return false;
	} else {
		if ((*from < '0' || *from > '9') && *from != '.')
			return false;
		auto r = std::from_chars(from, end, v);
		if (r.ec != std::errc() || r.ptr != end)
			return false;
	}
	*ret = neg ? -v : v;
	return true;
}

bool nx_read_f64(const char *s, size_t n, double *ret)
{
	return read(s, n, ret);
}

bool nx_read_f32(const char *s, size_t n, float *ret)
{
	return read(s, n, ret);
}
