#include "sql/lex.h"

struct word {
	const char *name;
	uint8_t len;
	uint8_t flags;
};

static const struct word words[] = {
	[NX_W_NONE] = { "", 0, 0 },
#define NX_WORD(name, flags) { #name, sizeof(#name) - 1, flags },
#include "sql/words.def"
#undef NX_WORD
};

uint16_t nx_word_find(const char *text, size_t len)
{
	char up[18];
	if (len < 2 || len > 17)
		return NX_W_NONE;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		up[i] = (char)(c >= 'a' && c <= 'z' ? c - 0x20 : c);
	}
	size_t lo = 1, hi = NX_COUNTOF(words);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		size_t wlen = words[mid].len;
		int cmp = memcmp(up, words[mid].name, len < wlen ? len : wlen);
		if (cmp == 0 && len == wlen)
			return (uint16_t)mid;
		if (cmp > 0 || (cmp == 0 && len > wlen))
			lo = mid + 1;
		else
			hi = mid;
	}
	return NX_W_NONE;
}

uint8_t nx_word_flags(uint16_t word)
{
	return words[word < NX_W_COUNT ? word : NX_W_NONE].flags;
}
