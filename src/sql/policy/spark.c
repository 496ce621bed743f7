/* Spark SQL, Databricks and Hive. */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_spark[] = {
	{ NX_FN_EXECUTES, "reflect reflect2 java_method try_reflect in_file map_reduce execute "
			  "raise_error_exec python_worker_logs default.reflect" },
	{ NX_FN_FILES, "read_files list_files cloud_files read_files_* text csv parquet orc avro "
		       "binaryfile read_parquet read_csv" },
	{ NX_FN_NETWORK, "read_kafka read_kinesis read_pubsub read_pulsar http_request remote_query "
			 "read_statestore read_state_metadata vector_search get_splits "
			 "get_llap_splits jdbc cloud_files_state event_log" },
	{ NX_FN_COSTS, "ai_*" },
	{ NX_FN_SECRETS, "secret try_secret list_secrets" },
	{ NX_FN_SLEEPS, "sleep" },
	{ NX_FN_TABLE, "range explode explode_outer posexplode posexplode_outer inline inline_outer "
		       "stack json_tuple parse_url_tuple variant_explode variant_explode_outer "
		       "sequence values unnest table_changes sql_keywords collations "
		       "read_none" },
	{ NX_FN_PURE,
	  "abs acos acosh add_months aes_decrypt aes_encrypt aggregate any any_value "
	  "approx_count_distinct approx_percentile approx_top_k array array_agg array_append "
	  "array_compact array_contains array_distinct array_except array_insert array_intersect "
	  "array_join array_max array_min array_position array_prepend array_remove array_repeat "
	  "array_size array_sort array_union arrays_overlap arrays_zip ascii asin asinh atan atan2 "
	  "atanh avg base64 between bigint bin binary bit_and bit_count bit_get bit_length bit_or "
	  "bit_xor bitmap_* bool_and bool_or boolean bround btrim cardinality cast cbrt ceil ceiling "
	  "char char_length character_length charindex chr coalesce collate collect_list collect_set "
	  "concat concat_ws contains conv convert_timezone corr cos cosh cot count count_if "
	  "count_min_sketch covar_pop covar_samp crc32 csc cume_dist date date_add date_diff "
	  "date_format date_from_unix_date date_part date_sub date_trunc dateadd datediff datepart day "
	  "dayname dayofmonth dayofweek dayofyear decimal decode degrees dense_rank double e element_at "
	  "elt encode endswith equal_null every exists exp expm1 extract factorial filter find_in_set "
	  "first first_value flatten float floor forall format_number format_string from_avro "
	  "from_csv from_json from_unixtime from_utc_timestamp from_xml get get_json_object getbit "
	  "greatest grouping grouping_id h3_* hash hex histogram_numeric hll_* hour hypot if iff ifnull "
	  "ilike in initcap inline instr int is_variant_null isnan isnotnull isnull json_array_length "
	  "json_object_keys kll_* kurtosis lag last last_day last_value lcase lead least left len "
	  "length levenshtein like listagg ln locate log log10 log1p log2 lower lpad ltrim "
	  "luhn_check make_date make_dt_interval make_interval make_timestamp* make_ym_interval map "
	  "map_concat map_contains_key map_entries map_filter map_from_arrays map_from_entries map_keys "
	  "map_values map_zip_with mask max max_by md5 mean median min min_by minute mod mode month "
	  "monthname months_between named_struct nanvl negative next_day normalize nth_value ntile "
	  "nullif nullifzero nvl nvl2 octet_length overlay parse_json parse_url percent_rank percentile "
	  "percentile_approx percentile_cont percentile_disc pi pmod position positive pow power printf "
	  "quarter quote radians randn_none rank reduce regexp regexp_count regexp_extract "
	  "regexp_extract_all regexp_instr regexp_like regexp_replace regexp_substr regr_* repeat "
	  "replace reverse right rint rlike round row_number rpad rtrim schema_of_* sec second "
	  "sentences session_window sha sha1 sha2 shiftleft shiftright shiftrightunsigned "
	  "shuffle_none sign signum sin sinh size skewness slice smallint some sort_array soundex space "
	  "split split_part sqrt st_* startswith std stddev stddev_pop stddev_samp str_to_map string "
	  "string_agg struct substr substring substring_index sum tan tanh theta_* timestamp "
	  "timestamp_micros timestamp_millis timestamp_seconds timestampadd timestampdiff tinyint "
	  "to_binary to_char to_csv to_date to_json to_number to_timestamp* to_unix_timestamp "
	  "to_utc_timestamp to_variant_object to_varchar to_xml transform transform_keys "
	  "transform_values translate trim trunc try_* typeof ucase unbase64 unhex unix_date "
	  "unix_micros unix_millis unix_seconds unix_timestamp upper url_decode url_encode "
	  "validate_utf8 var_pop var_samp variance variant_get weekday weekofyear width_bucket window "
	  "window_time xpath xpath_* xxhash64 year zeroifnull zip_with cube rollup sets varchar "
	  "interval" },
	{ NX_FN_READ, "now current_date current_timestamp current_timezone localtimestamp rand random "
		      "randn randstr uniform uuid version current_user user session_user "
		      "current_catalog current_database current_schema current_metastore "
		      "monotonically_increasing_id spark_partition_id input_file_name "
		      "input_file_block_length input_file_block_start shuffle raise_error assert_true "
		      "is_account_group_member is_member curdate getdate" },
	{ 0, NULL },
};
