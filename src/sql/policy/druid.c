/* Druid SQL. */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_druid[] = {
	{ NX_FN_SLEEPS, "sleep" },
	{ NX_FN_FILES, "extern localfiles inline_file localfile" },
	{ NX_FN_NETWORK, "s3 http google azurestorage hdfs delta iceberg lookup_load "
			 "kafka kinesis" },
	{ NX_FN_TABLE, "unnest append table inline generate_series values mv_to_array" },
	{ NX_FN_PURE,
	  "abs acos any_value approx_count_distinct* approx_quantile* array array_agg array_append "
	  "array_concat array_concat_agg array_contains array_length array_offset array_offset_of "
	  "array_ordinal array_ordinal_of array_overlap array_prepend array_slice array_to_mv "
	  "array_to_string ascii asin atan atan2 avg bit_and bit_or bit_xor bitwise_* bloom_filter "
	  "bloom_filter_test btrim cardinality cast ceil char_length character_length chr coalesce "
	  "concat contains_string corr cos cot count cume_dist date_expand date_trunc datasketches dateadd "
	  "decode_base64_complex decode_base64_utf8 degrees dense_rank div ds_* earliest earliest_by exp "
	  "extract first_value floor format greatest grouping hll_* human_readable_* icontains_string "
	  "ilike ipv4_match ipv4_parse ipv4_stringify ipv6_match json_keys json_merge json_object "
	  "json_paths json_query json_query_array json_value lag last_value latest latest_by lead least "
	  "left length like ln log10 lookup lower lpad ltrim max max_by millis_to_timestamp min mod "
	  "mv_* ntile nullif nvl octet_length parse_json parse_long percent_rank position power quantile "
	  "radians rank regexp_extract regexp_like regexp_replace repeat replace reverse right round "
	  "row row_number rpad rtrim safe_divide scalar_in_array sin sqrt stddev stddev_pop stddev_samp "
	  "string_agg string_format string_to_array string_to_mv strlen strpos substr substring sum tan "
	  "tdigest_* textcat theta_* time_ceil time_extract time_floor time_format time_in_interval "
	  "time_parse time_shift timestamp_to_millis timestampadd timestampdiff to_json_string trim trunc "
	  "truncate try_parse_json upper var_pop var_samp variance cube rollup sets varchar char decimal "
	  "timestamp" },
	{ NX_FN_READ, "current_date current_timestamp" },
	{ 0, NULL },
};
