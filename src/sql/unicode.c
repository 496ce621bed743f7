#include "sql/lex.h"

static const struct range {
	uint32_t lo, hi;
} ranges[] = {
#define R(lo, hi) { lo, hi },
#include "sql/unicode.def"
#undef R
};

bool nx_unicode_is_name(uint32_t cp)
{
	size_t lo = 0, hi = NX_COUNTOF(ranges);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (cp > ranges[mid].hi)
			lo = mid + 1;
		else if (cp < ranges[mid].lo)
			hi = mid;
		else
			return true;
	}
	return false;
}

uint32_t nx_unicode_at(const char *p, size_t *len)
{
	const unsigned char *u = (const unsigned char *)p;
	if (u[0] < 0x80) {
		*len = 1;
		return u[0];
	}
	if (u[0] < 0xe0) {
		*len = 2;
		return (uint32_t)(u[0] & 0x1f) << 6 | (u[1] & 0x3f);
	}
	if (u[0] < 0xf0) {
		*len = 3;
		return (uint32_t)(u[0] & 0x0f) << 12 | (uint32_t)(u[1] & 0x3f) << 6 | (u[2] & 0x3f);
	}
	*len = 4;
	return (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3f) << 12 |
	       (uint32_t)(u[2] & 0x3f) << 6 | (u[3] & 0x3f);
}

static const struct {
	uint32_t lo, hi;
	const char *name;
} described[] = {
	{ 0xa0, 0xa0, "no-break space" },
	{ 0xad, 0xad, "soft hyphen" },
	{ 0xd7, 0xd7, "multiplication sign" },
	{ 0x2000, 0x200a, "typographic space" },
	{ 0x200b, 0x200d, "zero-width character" },
	{ 0x200e, 0x200f, "text direction mark" },
	{ 0x2010, 0x2015, "typographic dash" },
	{ 0x2018, 0x201b, "typographic single quote" },
	{ 0x201c, 0x201f, "typographic double quote" },
	{ 0x2028, 0x2029, "line separator" },
	{ 0x202a, 0x202e, "text direction mark" },
	{ 0x202f, 0x202f, "narrow no-break space" },
	{ 0x205f, 0x205f, "mathematical space" },
	{ 0x2060, 0x2064, "zero-width character" },
	{ 0x2066, 0x206f, "text direction mark" },
	{ 0x2212, 0x2212, "minus sign" },
	{ 0x3000, 0x3000, "full-width space" },
	{ 0x3001, 0x3001, "ideographic comma" },
	{ 0x3002, 0x3002, "ideographic full stop" },
	{ 0x3008, 0x3011, "East Asian bracket" },
	{ 0xfe00, 0xfe0f, "variation selector" },
	{ 0xfeff, 0xfeff, "byte order mark" },
	{ 0xff01, 0xff01, "full-width exclamation mark" },
	{ 0xff02, 0xff02, "full-width double quote" },
	{ 0xff05, 0xff05, "full-width percent sign" },
	{ 0xff06, 0xff06, "full-width ampersand" },
	{ 0xff07, 0xff07, "full-width single quote" },
	{ 0xff08, 0xff09, "full-width parenthesis" },
	{ 0xff0a, 0xff0a, "full-width asterisk" },
	{ 0xff0b, 0xff0b, "full-width plus sign" },
	{ 0xff0c, 0xff0c, "full-width comma" },
	{ 0xff0d, 0xff0d, "full-width minus sign" },
	{ 0xff0e, 0xff0e, "full-width full stop" },
	{ 0xff0f, 0xff0f, "full-width slash" },
	{ 0xff1a, 0xff1a, "full-width colon" },
	{ 0xff1b, 0xff1b, "full-width semicolon" },
	{ 0xff1c, 0xff1c, "full-width less-than sign" },
	{ 0xff1d, 0xff1d, "full-width equals sign" },
	{ 0xff1e, 0xff1e, "full-width greater-than sign" },
	{ 0xff1f, 0xff1f, "full-width question mark" },
	{ 0xff20, 0xff20, "full-width at sign" },
	{ 0xff3f, 0xff3f, "full-width underscore" },
	{ 0xfffd, 0xfffd, "replacement character" },
};

const char *nx_unicode_describe(uint32_t cp)
{
	for (size_t i = 0; i < NX_COUNTOF(described); i++)
		if (cp >= described[i].lo && cp <= described[i].hi)
			return described[i].name;
	return "character";
}
