/* SQLite. Its own functions have no effects but those of extensions and of the shell do. */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_sqlite[] = {
	{ NX_FN_EXECUTES, "load_extension fts3_tokenizer eval sqlar_compress sqlar_uncompress "
			  "edit shell_* lsmode rebuild sqlite_exec" },
	{ NX_FN_FILES, "readfile writefile fsdir zipfile lsdir realpath csv vsv lines lines_read "
		       "fileio_* readline sqlite_dbpage sqlite_dbdata sqlite_dbptr dbstat "
		       "define_* undefine" },
	{ NX_FN_NETWORK, "http_*" },
	{ NX_FN_SECRETS, "sqlite_offset sqlite_stmt" },
	{ NX_FN_TABLE, "json_each json_tree jsonb_each jsonb_tree generate_series "
		       "pragma_table_info pragma_table_xinfo pragma_table_list pragma_index_list "
		       "pragma_index_info pragma_index_xinfo pragma_foreign_key_list "
		       "pragma_collation_list pragma_compile_options pragma_function_list "
		       "pragma_module_list unnest" },
	{ NX_FN_PURE,
	  "abs acos acosh asin asinh atan atan2 atanh avg cast ceil ceiling char coalesce concat "
	  "concat_ws cos cosh count cume_dist date datetime degrees dense_rank exp first_value floor "
	  "format glob group_concat hex if ifnull iif instr json json_array json_array_insert "
	  "json_array_length json_error_position json_extract json_group_array json_group_object "
	  "json_insert json_object json_patch json_pretty json_quote json_remove json_replace "
	  "json_set json_type json_valid jsonb jsonb_array jsonb_extract jsonb_group_array "
	  "jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace "
	  "jsonb_set julianday lag last_value lead length like likelihood likely ln log log10 log2 "
	  "lower ltrim match max median min mod nth_value ntile nullif octet_length percent_rank "
	  "percentile percentile_cont percentile_disc pi pow power printf quote radians rank regexp "
	  "replace round row_number rtrim sign sin sinh soundex sqrt strftime string_agg substr "
	  "substring subtype sum tan tanh time timediff total trim trunc typeof unhex unicode "
	  "unistr unistr_quote unixepoch unlikely upper zeroblob bm25 highlight snippet matchinfo "
	  "offsets optimize_none rtreecheck_none varchar char decimal numeric text integer real" },
	{ NX_FN_READ, "changes total_changes last_insert_rowid random randomblob sqlite_version "
		      "sqlite_source_id sqlite_compileoption_get sqlite_compileoption_used "
		      "current_date current_time current_timestamp uuid" },
	{ 0, NULL },
};
