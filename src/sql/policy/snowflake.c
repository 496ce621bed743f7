/* Snowflake. */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_snowflake[] = {
	{ NX_FN_READ, "system$typeof system$reference system$clustering_information "
		      "system$clustering_depth system$get_tag system$database_refresh_progress" },
	{ NX_FN_ADMIN, "system$*" },
	{ NX_FN_EXECUTES, "execute" },
	{ NX_FN_WRITES, "seq_nextval" },
	{ NX_FN_FILES, "get_presigned_url build_scoped_file_url build_stage_file_url get_stage_location "
		       "get_relative_path_url directory infer_schema to_file fl_*" },
	{ NX_FN_COSTS, "ai_* complete embed_text* extract_answer summarize translate_cortex sentiment "
		       "classify_text parse_document search_preview finetune count_tokens" },
	{ NX_FN_COSTS, "snowflake.cortex. snowflake.ml. cortex. snowflake.cortex snowflake.ml" },
	{ NX_FN_TABLE, "flatten generator result_scan split_to_table strtok_split_to_table "
		       "identifier values unnest resampling" },
	{ NX_FN_PURE,
	  "abs acos acosh add_months any_value approx_count_distinct approx_percentile* approx_top_k* "
	  "approximate_* array_* arrays_overlap arrays_to_object arrays_zip as_* ascii asin asinh atan "
	  "atan2 atanh avg base64_* bit_length bitand bitand_agg bitmap_* bitnot bitor bitor_agg "
	  "bitshiftleft bitshiftright bitxor bitxor_agg booland booland_agg boolnot boolor boolor_agg "
	  "boolxor boolxor_agg case cast cbrt ceil charindex check_json check_xml chr char coalesce "
	  "collate collation compress concat concat_ws conditional_change_event conditional_true_event "
	  "contains convert_timezone corr cos cosh cot count count_if covar_pop covar_samp cume_dist "
	  "date date_from_parts date_part date_trunc dateadd datediff datefromparts day dayname "
	  "dayofmonth dayofweek dayofweekiso dayofyear decode decompress_binary decompress_string "
	  "degrees dense_rank div0 div0null editdistance endswith equal_null exp extract factorial "
	  "filter first_value floor get get_ignore_case get_path greatest greatest_ignore_nulls "
	  "grouping grouping_id h3_* hash hash_agg haversine hex_* hll* hour iff ifnull ilike "
	  "initcap insert is_* jarowinkler_similarity json_extract_path_text kurtosis lag last_day "
	  "last_value lead least least_ignore_nulls left length len like listagg ln localtimestamp_none "
	  "log lower lpad ltrim map_* max max_by md5 md5_* median min min_by minhash* minute mod mode "
	  "month monthname months_between next_day nth_value ntile nullif nullifzero nvl nvl2 "
	  "object_* octet_length parse_ip parse_json parse_url parse_xml percent_rank percentile_cont "
	  "percentile_disc pi position pow power previous_day quarter radians rank ratio_to_report "
	  "reduce regexp regexp_* regr_* repeat replace reverse right rlike round row_number rpad rtrim "
	  "rtrimmed_length second sha1 sha1_* sha2 sha2_* sign sin sinh skew soundex soundex_p123 space "
	  "split split_part sqrt square st_* startswith stddev stddev_pop stddev_samp strip_null_value "
	  "strtok strtok_to_array substr substring sum tan tanh time time_from_parts time_slice "
	  "timeadd timediff timefromparts timestamp_from_parts timestamp_ltz_from_parts "
	  "timestamp_ntz_from_parts timestamp_tz_from_parts timestampadd timestampdiff to_* transform "
	  "translate trim trunc truncate try_* typeof unicode uniform_none upper uuid_string_none "
	  "var_pop var_samp variance variance_pop variance_samp vector_* week weekofyear weekiso "
	  "width_bucket xmlget year yearofweek yearofweekiso zeroifnull zipf_none cube rollup sets "
	  "hour minute char varchar number decimal numeric timestamp timestamp_ntz timestamp_ltz "
	  "timestamp_tz time object array vector match_number classifier first last prev next "
	  "at before changes sample tablesample seq_none" },
	{ NX_FN_READ, "current_account current_client current_database current_date current_ip_address "
		      "current_region current_role current_schema current_schemas current_session "
		      "current_statement current_time current_timestamp current_transaction "
		      "current_user current_version current_warehouse current_available_roles "
		      "getdate localtime localtimestamp sysdate systimestamp random randstr uniform "
		      "normal zipf uuid_string seq1 seq2 seq4 seq8 last_query_id get_ddl "
		      "invoker_role invoker_share is_role_in_session all_user_names" },
	{ 0, NULL },
};
