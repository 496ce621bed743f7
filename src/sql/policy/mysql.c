/* MySQL, MariaDB and what speaks their SQL: TiDB, OceanBase (MySQL mode), Doris, StarRocks, GBase. */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_mysql[] = {
	{ NX_FN_SLEEPS, "sleep benchmark master_pos_wait source_pos_wait master_gtid_wait "
			"wait_for_executed_gtid_set wait_until_sql_thread_after_gtids "
			"wait_for_executed_gtid_set_timeout" },
	{ NX_FN_LOCKS, "get_lock release_lock release_all_locks service_get_* service_release_*" },
	{ NX_FN_SESSION, "vtoken_* version_tokens_*" },
	{ NX_FN_EMPTY, "last_insert_id" },
	{ NX_FN_FILES, "load_file" },
	{ NX_FN_WRITES, "nextval setval" },
	{ NX_FN_EXECUTES, "sys_exec sys_eval sys_set sys_get lib_mysqludf_* eval_js http_* curl_* "
			  "query jdbc execute_query" },
	{ NX_FN_NETWORK, "s3 hdfs files file local http_stream frontends_disks broker" },
	{ NX_FN_ADMIN, "keyring_* audit_log_* audit_api_* group_replication_* mysql_firewall_* "
		       "asynchronous_connection_failover_* set_firewall_mode normalize_statement "
		       "read_firewall_* mysqlx_* mysql_query_attribute_set gen_blocklist "
		       "gen_blacklist gen_dictionary_load gen_dictionary_drop wsrep_sync_wait_upto_* "
		       "firewall_group_* masking_dictionary_* flush_rewrite_rules "
		       "load_rewrite_rules admin_*" },
	{ NX_FN_COSTS, "ai_* llm_* embed_text" },
	{ NX_FN_TABLE, "json_table unnest numbers generate_series explode explode_* lateral" },
	{ NX_FN_PURE,
	  "abs acos adddate addtime aes_decrypt aes_encrypt any_value ascii asin atan atan2 avg bin "
	  "bin_to_uuid bit_and bit_count bit_length bit_or bit_xor cast ceil ceiling char char_length "
	  "character_length charset chr coalesce coercibility collation column_add column_check "
	  "column_create column_exists column_get column_json column_list compress concat concat_ws "
	  "conv convert convert_tz cos cot count crc32 crc32c cume_dist date date_add date_format "
	  "date_sub datediff day dayname dayofmonth dayofweek dayofyear decode decode_oracle default "
	  "degrees dense_rank elt encode exp export_set extract extractvalue field find_in_set "
	  "first_value floor format format_bytes from_base64 from_days from_unixtime "
	  "get_format greatest group_concat grouping hex hour if ifnull inet6_aton inet6_ntoa "
	  "inet_aton inet_ntoa insert instr interval is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6 "
	  "is_uuid isnull json_array json_array_append json_array_insert json_array_intersect "
	  "json_arrayagg json_compact json_contains json_contains_path json_depth json_detailed "
	  "json_equals json_exists json_extract json_insert json_keys json_length json_loose "
	  "json_merge json_merge_patch json_merge_preserve json_normalize json_object "
	  "json_object_filter_keys json_object_to_array json_objectagg json_overlaps json_pretty "
	  "json_query json_quote json_remove json_replace json_schema_valid json_search json_set "
	  "json_storage_size json_type json_unquote json_valid json_value kdf lag last_day last_value "
	  "lcase lead least left length lengthb ln locate log log10 log2 lower lpad ltrim make_set "
	  "makedate maketime match max md5 median microsecond mid min minute mod month monthname "
	  "natural_sort_key nth_value ntile nullif nvl nvl2 oct octet_length old_password ord "
	  "percent_rank percentile_cont percentile_disc period_add period_diff pi point position pow "
	  "power quarter quote radians rank regexp_instr regexp_like regexp_replace regexp_substr "
	  "repeat replace reverse right round row_number rpad rtrim sec_to_time second sha sha1 sha2 "
	  "sformat sign sin soundex space sqrt std stddev stddev_pop stddev_samp str_to_date strcmp "
	  "subdate substr substring substring_index substr_oracle subtime sum tan time time_format "
	  "time_to_sec timediff timestamp timestampadd timestampdiff to_base64 to_char to_date to_days "
	  "to_number to_seconds trim trim_oracle truncate trunc ucase uncompress "
	  "uncompressed_length unhex unix_timestamp updatexml upper uuid_to_bin values value var_pop "
	  "var_samp variance week weekday weekofyear weight_string xmltype year yearweek "
	  "st_* mbr* geometrycollection linestring multilinestring multipoint multipolygon polygon "
	  "geomfromtext astext aswkb aswkt geometrytype x y srid within contains crosses disjoint "
	  "equals intersects overlaps touches distance "
	  "binary bit dec decimal double float nchar numeric nvarchar real signed unsigned varbinary "
	  "varchar rollup array_* map_* struct named_struct bitmap_* hll_* split split_part "
	  "date_trunc approx_count_distinct array_agg string_agg datetime time_slice "
	  "get_json_string get_json_int get_json_double parse_url tochar str_to_map "
	  "percentile percentile_approx ndv retention window_funnel murmur_hash3_32 xx_hash3_64" },
	{ NX_FN_READ,
	  "now curdate curtime current_date current_time current_timestamp localtime localtimestamp "
	  "sysdate utc_date utc_time utc_timestamp rand uuid uuid_short sys_guid version database "
	  "schema user current_user session_user system_user current_role connection_id found_rows "
	  "row_count is_free_lock is_used_lock lastval last_value encrypt password des_encrypt "
	  "des_decrypt random_bytes name_const ps_current_thread_id ps_thread_id "
	  "tidb_version tidb_parse_tso tidb_is_ddl_owner tidb_decode_* current_resource_group "
	  "gtid_subset gtid_subtract roles_graphml statement_digest statement_digest_text "
	  "binlog_gtid_pos icu_version ob_version current_version" },
	{ 0, NULL },
};
