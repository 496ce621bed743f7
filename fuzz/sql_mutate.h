/* A mutator that knows SQL: it inserts the words, quotes, comments and characters on which lexers
 * disagree. Included by the sql_* targets; without libFuzzer it is nothing. */
#ifndef NX_FUZZ_SQL_MUTATE_H
#define NX_FUZZ_SQL_MUTATE_H

#ifdef NX_LIBFUZZER
#include <stddef.h>
#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

static const char *const pieces[] = {
	" ",
	"\n",
	"\t",
	"\r\n",
	"'",
	"\"",
	"`",
	"[",
	"]",
	"(",
	")",
	",",
	";",
	".",
	"$$",
	"$a$",
	"\\",
	"''",
	"\"\"",
	"``",
	"]]",
	"\\'",
	"--",
	"-- ",
	"#",
	"/*",
	"*/",
	"/*!",
	"/*+",
	"?",
	"??",
	"$1",
	"::",
	":=",
	"=>",
	"->>",
	"|>",
	"@",
	"@@",
	":",
	"{",
	"}",
	"<",
	">",
	"=",
	"+",
	"-",
	"*",
	"/",
	"E'",
	"e'",
	"U&'",
	"U&\"",
	"x'",
	"n'",
	"q'[",
	"]'",
	"r'",
	"\xe2\x80\x98",
	"\xc2\xa0",
	"\xe4\xb8\xad",
	" SELECT ",
	" FROM ",
	" WHERE ",
	" INTO ",
	" FOR UPDATE ",
	" FOR SHARE ",
	" UNION ",
	" UNION ALL ",
	" EXCEPT ",
	" INTERSECT ",
	" WITH ",
	" RECURSIVE ",
	" AS ",
	" VALUES ",
	" TABLE ",
	" DELETE ",
	" INSERT ",
	" UPDATE ",
	" MERGE ",
	" CREATE ",
	" DROP ",
	" SET ",
	" LIMIT ",
	" ORDER BY ",
	" GROUP BY ",
	" HAVING ",
	" JOIN ",
	" ON ",
	" USING ",
	" LATERAL ",
	" IN ",
	" EXISTS ",
	" ARRAY",
	" ROWS FROM ",
	" ONLY ",
	" WINDOW ",
	" OVER ",
	" FILTER ",
	" RETURNING ",
	" MATERIALIZED ",
	" SEARCH ",
	" CYCLE ",
	" IS DISTINCT FROM ",
	" EXPLAIN ",
	" ANALYZE ",
	" OUTFILE ",
	" pg_sleep",
	" lower",
	" load_extension",
	" read_text",
	" pragma_table_info",
	" t ",
	" a ",
	" 1 ",
	" NULL ",
	" INDEXED BY ",
	" CASE ",
	" END ",
	" AND ",
	" NOT ",
	" INTERVAL ",
	" ATTACH ",
	" PRAGMA ",
	" REPLACE ",
	" PIVOT ",
	" IF ",
	" INTO TEMP ",
	" FETCH FIRST ",
	"(SELECT 1)",
	"(DELETE FROM t)",
	"AS (",
	"extract(",
	"substring(",
	"cast(",
	" COLLATE ",
	" AS as ",
	"1e5",
	"0x1F",
	".as ",
	" INTO n ",
	" rows ",
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	if (seed % 8 == 0)
		return LLVMFuzzerMutate(data, size, max);
	uint64_t r = seed * 6364136223846793005ull + 1442695040888963407ull;
	for (unsigned rounds = 1 + seed % 3; rounds > 0; rounds--) {
		r = r * 6364136223846793005ull + 1442695040888963407ull;
		const char *piece = pieces[(r >> 33) % (sizeof(pieces) / sizeof(pieces[0]))];
		size_t len = strlen(piece), at = size ? (size_t)(r >> 17) % (size + 1) : 0;
		size_t cut =
			(r >> 60) < 6 && at < size ? (size_t)(r >> 50) % (size - at + 1) % 12 : 0;
		if (size - cut + len > max)
			continue;
		memmove(data + at + len, data + at + cut, size - at - cut);
		memcpy(data + at, piece, len);
		size = size - cut + len;
	}
	return size;
}
#endif

#endif
