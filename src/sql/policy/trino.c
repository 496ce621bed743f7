/* Trino and Presto. */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_trino[] = {
	{ NX_FN_EXECUTES, "query raw_query execute native_query" },
	{ NX_FN_EXECUTES, "system." },
	{ NX_FN_ADMIN, "kill_query sync_partition_metadata flush_metadata_cache" },
	{ NX_FN_COSTS, "ai_*" },
	{ NX_FN_TABLE, "unnest sequence table_changes exclude_columns json_table system.table_changes "
		       "system.builtin.exclude_columns values" },
	{ NX_FN_PURE,
	  "abs acos all_match any_match any_value approx_distinct approx_most_frequent "
	  "approx_percentile approx_set arbitrary array array_agg array_distinct array_except "
	  "array_first array_histogram array_intersect array_join array_last array_max array_min "
	  "array_position array_remove array_sort array_union arrays_overlap asin at_timezone atan "
	  "atan2 avg bar beta_cdf bing_tile* bit_count bitwise_* bool_and bool_or cardinality cast cbrt "
	  "ceil ceiling char2hexint checksum chr classify coalesce codepoint color combinations concat "
	  "concat_ws contains contains_sequence convex_hull_agg corr cos cosh cosine_* count count_if "
	  "covar_pop covar_samp crc32 cume_dist date date_add date_diff date_format date_parse "
	  "date_trunc day day_of_month day_of_week day_of_year degrees dense_rank dot_product dow doy e "
	  "element_at empty_approx_set euclidean_distance evaluate_classifier_predictions every exp "
	  "extract features filter first_value flatten floor format format_datetime format_number "
	  "from_base from_base32 from_base64 from_base64url from_big_endian_* from_encoded_polyline "
	  "from_geojson_geometry from_hex from_ieee754_* from_iso8601_* from_unixtime "
	  "from_unixtime_nanos from_utf8 from_unixtime geometric_mean geometry_* great_circle_distance "
	  "greatest grouping hamming_distance hash_counts histogram hmac_* hour human_readable_seconds "
	  "if index infinity intersection_cardinality inverse_* is_finite is_infinite is_json_scalar "
	  "is_nan jaccard_index json_array json_array_contains json_array_get json_array_length "
	  "json_exists json_extract json_extract_scalar json_format json_object json_parse json_query "
	  "json_size json_value kurtosis lag last_day_of_month last_value lead least length "
	  "levenshtein_distance line_* listagg ln log log10 log2 lower lpad ltrim luhn_check "
	  "make_set_digest map map_agg map_concat map_entries map_filter map_from_entries map_keys "
	  "map_union map_values map_zip_with max max_by md5 merge merge_set_digest millisecond min "
	  "min_by minute mod month multimap_agg multimap_from_entries murmur3 nan ngrams none_match "
	  "normal_cdf normalize nth_value ntile nullif numeric_histogram objectid objectid_timestamp "
	  "parse_data_size parse_datetime parse_duration parse_presto_data_size percent_rank pi "
	  "position pow power qdigest_agg quantile_at_value quarter radians rank reduce reduce_agg "
	  "regexp_count regexp_extract regexp_extract_all regexp_like regexp_position regexp_replace "
	  "regexp_split regr_intercept regr_slope regr_* render repeat replace reverse rgb round row "
	  "row_number rpad rtrim second sequence sha1 sha256 sha512 shuffle_none sign simplify_geometry "
	  "sin sinh skewness slice soundex spatial_* split split_part split_to_map split_to_multimap "
	  "spooky_hash_v2_* sqrt st_* starts_with stddev stddev_pop stddev_samp strpos substr substring "
	  "sum t_cdf t_pdf tan tanh tdigest_agg timestamp_objectid timezone timezone_hour "
	  "timezone_minute to_base to_base32 to_base64 to_base64url to_big_endian_* to_char to_date "
	  "to_encoded_polyline to_geojson_geometry to_geometry to_hex to_ieee754_* to_iso8601 "
	  "to_milliseconds to_spherical_geography to_timestamp to_unixtime to_utf8 transform "
	  "transform_keys transform_values translate trim trim_array truncate try try_cast typeof "
	  "upper url_decode url_encode url_extract_* value_at_quantile values_at_quantiles var_pop "
	  "var_samp variance week week_of_year width_bucket wilson_interval_* with_timezone "
	  "word_stem xxhash64 year year_of_week yow zip zip_with cube rollup sets first last prev next "
	  "match_number classifier running final descriptor table decimal varchar char varbinary "
	  "timestamp time interval map" },
	{ NX_FN_READ, "now current_date current_time current_timestamp current_timezone localtime "
		      "localtimestamp rand random uuid version current_user current_catalog "
		      "current_schema current_groups shuffle" },
	{ 0, NULL },
};
