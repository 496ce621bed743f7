/* Flink SQL. */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_flink[] = {
	{ NX_FN_COSTS, "ml_predict ml_evaluate ai_* vector_search" },
	{ NX_FN_EXECUTES, "python_exec reflect java_method" },
	{ NX_FN_TABLE, "tumble hop cumulate session unnest table descriptor values split "
		       "json_table" },
	{ NX_FN_PURE,
	  "abs acos array array_agg array_append array_concat array_contains array_distinct "
	  "array_except array_intersect array_join array_max array_min array_position array_prepend "
	  "array_remove array_reverse array_slice array_sort array_union ascii asin atan atan2 avg bin "
	  "btrim cardinality cast ceil ceiling char_length character_length chr coalesce collect concat "
	  "concat_ws convert_tz cos cosh cot count cume_dist date_format datediff dayofmonth dayofweek "
	  "dayofyear decode degrees dense_rank e element elt encode endswith exp extract first_value "
	  "floor from_base64 from_unixtime greatest group_id grouping grouping_id hex hour if ifnull "
	  "initcap instr is_alpha is_decimal is_digit json json_array json_arrayagg json_exists "
	  "json_length json_object json_objectagg json_query json_quote json_string json_unquote "
	  "json_value lag last_value lead least left listagg ln locate log log10 log2 lower lpad ltrim "
	  "map map_entries map_from_arrays map_keys map_union map_values max md5 min minute mod month "
	  "ntile nullif object_of object_update octet_length overlaps overlay parse_json parse_url "
	  "percent_rank percentile pi position power printf proctime_materialize quarter radians rank "
	  "regexp regexp_count regexp_extract regexp_extract_all regexp_instr regexp_replace "
	  "regexp_substr repeat replace reverse right round row row_number rpad rtrim second sha1 sha2 "
	  "sha224 sha256 sha384 sha512 sign similar sin sinh split split_index sqrt startswith "
	  "stddev_pop stddev_samp stddev str_to_map substr substring sum tan tanh timestampadd "
	  "timestampdiff to_base64 to_date to_timestamp to_timestamp_ltz translate trim truncate "
	  "try_cast try_parse_json typeof unhex unix_timestamp upper url_decode url_encode uuid_none "
	  "var_pop var_samp variance week year tumble_start tumble_end tumble_rowtime hop_start hop_end "
	  "session_start session_end cube rollup sets first last match_rowtime match_proctime "
	  "varchar char decimal timestamp time varbinary interval multiset raw" },
	{ NX_FN_READ, "now current_date current_time current_timestamp current_row_timestamp localtime "
		      "localtimestamp rand rand_integer uuid proctime current_watermark "
		      "current_database" },
	{ 0, NULL },
};
