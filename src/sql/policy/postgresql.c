/* PostgreSQL and what speaks its SQL: openGauss, GaussDB, Kingbase, Greenplum; Redshift adds a few.
 * The pure names are those whose every overload in PostgreSQL 15's pg_catalog is immutable or
 * stable (tests/corpus_live.py compares), plus words of the grammar that look like calls. Those of
 * NX_PG_CATALOG come from the catalog itself; who resolves a name to a function of a user's own (by a schema
 * before pg_catalog in search_path) is docs/decisions/019. */
#include "sql/policy/lists.h"
#include "sql/policy/postgresql_catalog.h"

#define PG_DENY                                                                                    \
	{ NX_FN_SLEEPS, "pg_sleep pg_sleep_for pg_sleep_until sys_sleep dbe_lock dbms_lock" },     \
	{ NX_FN_LOCKS, "pg_advisory_* pg_try_advisory_* sys_advisory_* sys_try_advisory_* "        \
		       "pg_export_snapshot txid_current pg_current_xact_id" },                     \
	{ NX_FN_SESSION, "set_config setseed pg_notify pg_stat_clear_snapshot "                    \
			 "pg_stat_force_next_flush" },                                             \
	{ NX_FN_WRITES, "nextval setval currtid currtid2 lo_creat lo_create lo_from_bytea "        \
			"lo_import lo_put lo_unlink lo_truncate lo_truncate64 lo_open lo_close "   \
			"lo_lseek lo_lseek64 lo_tell lo_tell64 loread lowrite "                    \
			"pg_logical_emit_message brin_* gin_clean_pending_list "                   \
			"pg_import_system_collations pg_extension_config_dump "                    \
			"binary_upgrade_* pg_nextoid pg_stop_making_pinned_objects "               \
			"tsvector_update_trigger tsvector_update_trigger_column "                  \
			"suppress_redundant_updates_trigger unique_key_recheck" },                 \
	{ NX_FN_FILES, "lo_export pg_read_file pg_read_file_old pg_read_binary_file pg_ls_* "      \
		       "pg_stat_file pg_file_* pg_logdir_ls pg_current_logfile sys_read_* "        \
		       "sys_ls_* sys_stat_file sys_file_* pg_hba_file_rules "                      \
		       "pg_ident_file_mappings pg_show_all_file_settings gs_read_* gs_ls_* "       \
		       "utl_file" },                                                               \
	{ NX_FN_NETWORK, "dblink dblink_* postgres_fdw_* http http_* urlencode_http net_http_* "   \
			 "http_get http_post http_put http_delete http_patch http_head utl_http" }, \
	{ NX_FN_EXECUTES, "query_to_xml* cursor_to_xml* table_to_xml* schema_to_xml* "             \
			  "database_to_xml* ts_stat ts_rewrite crosstab crosstab* connectby "      \
			  "xpath_table plpgsql_* plperl_* plpython* pg_background_* dbe_sql "      \
			  "dbms_sql dbms_job dbms_scheduler "                                     \
			  "exec_on_extension exec_hadoop_sql lambda_* amvalidate" },               \
	{ NX_FN_ADMIN, "pg_cancel_backend pg_terminate_* pg_reload_conf pg_rotate_logfile* "       \
		       "pg_switch_* pg_create_* pg_drop_* pg_copy_* pg_backup_* "                  \
		       "pg_start_backup pg_stop_backup pg_replication_* pg_logical_slot_* "        \
		       "pg_logical_* pg_wal_replay_* pg_xlog_* pg_promote pg_log_backend_* "       \
		       "pg_stat_reset pg_stat_reset_* pg_stat_statements_reset pg_prewarm "        \
		       "autoprewarm_* pg_buffercache_* pg_truncate_visibility_map "                \
		       "pg_surgery_* heap_force_* pg_wait_sampling_reset* pg_repack* "             \
		       "pg_checkpoint pg_isolation_test_* sys_cancel_backend sys_terminate_* "     \
		       "sys_reload_conf sys_rotate_logfile sys_switch_* sys_create_* sys_drop_* "  \
		       "sys_copy_* sys_backup_* sys_start_backup sys_stop_backup "                 \
		       "sys_replication_* sys_logical_* sys_promote sys_stat_reset* gs_* "         \
		       "pgxc_* dbe_* pg_cron_* cron_schedule cron_unschedule" },                   \
	{ NX_FN_NETWORK, "net. http. aws_s3. aws_lambda. aws_commons. extensions_http." },         \
	{ NX_FN_ADMIN, "cron. pglogical. repack. partman. dbe_*. dbms_*. utl_*. gs_*. pgq. "       \
		       "timescaledb_*. repmgr. bdr. pgaudit. pgagent." }

const struct nx_fn_list nx_fn_postgresql[] = {
	PG_DENY,
	{ NX_FN_PURE,
	  "abs acos acosd acosh age area array_agg array_append array_cat array_dims array_fill "
	  "array_length array_lower array_ndims array_position array_positions array_prepend "
	  "array_remove array_replace array_to_json array_to_string array_to_tsvector array_upper "
	  "ascii asin asind asinh atan atan2 atan2d atand atanh avg bit_and bit_count bit_length "
	  "bit_or bit_xor bool_and bool_or bound_box box broadcast btrim cardinality cbrt ceil "
	  "ceiling center char_length character_length chr circle coalesce concat concat_ws convert "
	  "convert_from convert_to corr cos cosd cosh cot cotd count covar_pop covar_samp cume_dist "
	  "date_bin date_part date_trunc decode degrees dense_rank diagonal diameter div encode every "
	  "exp extract factorial family first_value floor format gcd generate_series "
	  "generate_subscripts get_bit get_byte greatest grouping height host hostmask inet_merge "
	  "inet_same_family initcap isempty isfinite is_normalized json_agg json_array_elements "
	  "json_array_elements_text json_array_length json_build_array json_build_object json_each "
	  "json_each_text json_extract_path json_extract_path_text json_object json_object_agg "
	  "json_object_keys json_populate_record json_populate_recordset json_strip_nulls "
	  "json_to_record json_to_recordset json_typeof jsonb_agg jsonb_array_elements "
	  "jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object "
	  "jsonb_concat jsonb_each jsonb_each_text jsonb_exists jsonb_exists_all jsonb_exists_any "
	  "jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg "
	  "jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match "
	  "jsonb_path_match_tz jsonb_path_query jsonb_path_query_array jsonb_path_query_array_tz "
	  "jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz "
	  "jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax "
	  "jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days "
	  "justify_hours justify_interval lag last_value lcm lead least left length line ln log log10 "
	  "lower lower_inc lower_inf lpad lseg ltrim make_date make_interval make_time make_timestamp "
	  "make_timestamptz masklen max md5 min min_scale mod mode multirange netmask network "
	  "normalize npoints nth_value ntile nullif num_nonnulls num_nulls numnode octet_length "
	  "overlaps overlay parse_ident path pclose percent_rank percentile_cont percentile_disc "
	  "phraseto_tsquery pi plainto_tsquery point polygon popen position power pow querytree "
	  "quote_ident quote_literal quote_nullable radians radius range_agg range_intersect_agg "
	  "range_merge rank regexp_count regexp_instr regexp_like regexp_match regexp_matches "
	  "regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr regr_avgx "
	  "regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy repeat "
	  "replace reverse right round row_number row_to_json rpad rtrim scale set_bit set_byte "
	  "set_masklen setweight sha224 sha256 sha384 sha512 sign sin sind sinh slope split_part sqrt "
	  "starts_with stddev stddev_pop stddev_samp string_agg string_to_array string_to_table strip "
	  "strpos substr substring sum tan tand tanh text to_ascii to_char to_date to_hex to_json "
	  "to_jsonb to_number to_timestamp to_tsquery to_tsvector translate trim trim_array trim_scale "
	  "trunc ts_debug ts_delete ts_filter ts_headline ts_rank ts_rank_cd tsquery_phrase "
	  "tsvector_to_array unistr unnest upper upper_inc upper_inf var_pop var_samp variance "
	  "websearch_to_tsquery width width_bucket xmlagg xmlcomment xmlconcat xmlelement xmlexists "
	  "xmlforest xmlparse xmlpi xmlroot xmlserialize xpath xpath_exists json_to_tsvector "
	  "jsonb_to_tsvector pg_size_pretty pg_typeof "
	  "cast cube rollup sets treat xmltable xmlnamespaces operator collation timezone" },
	{ NX_FN_PURE,
	  "int4range int8range numrange tsrange tstzrange daterange int4multirange int8multirange "
	  "nummultirange tsmultirange tstzmultirange datemultirange "
	  "bit bpchar char character dec decimal float float4 float8 int2 int4 int8 interval money "
	  "name numeric oid time timestamp timestamptz timetz varbit varchar varying date bool" },
	/* Exact names only: a prefix would let in functions that users make. */
	NX_PG_CATALOG,
	{ NX_FN_READ,
	  "now clock_timestamp statement_timestamp transaction_timestamp timeofday random "
	  "gen_random_uuid version current_setting current_database current_schema current_schemas "
	  "current_user session_user pg_backend_pid inet_client_addr inet_client_port "
	  "inet_server_addr inet_server_port current_query currval lastval pg_relation_size "
	  "pg_table_size pg_total_relation_size pg_indexes_size pg_database_size pg_tablespace_size "
	  "pg_size_bytes pg_column_size pg_column_compression pg_collation_for pg_client_encoding "
	  "pg_encoding_to_char pg_char_to_encoding pg_is_in_recovery pg_postmaster_start_time "
	  "pg_conf_load_time pg_blocking_pids pg_partition_tree pg_partition_ancestors "
	  "pg_partition_root pg_sequence_last_value pg_sequence_parameters pg_table_is_visible "
	  "pg_type_is_visible pg_function_is_visible pg_has_role format_type obj_description "
	  "col_description shobj_description pg_describe_object pg_identify_object "
	  "pg_show_all_settings pg_timezone_names pg_timezone_abbrevs pg_options_to_table "
	  "pg_lock_status pg_wal_lsn_diff pg_walfile_name pg_xact_status pg_current_snapshot "
	  "pg_current_xact_id_if_assigned pg_visible_in_snapshot pg_filenode_relation "
	  "pg_relation_filenode pg_relation_filepath pg_relation_is_updatable "
	  "pg_column_is_updatable row_security_active lo_get enum_first enum_last enum_range "
	  "aclexplode pg_my_temp_schema pg_is_other_temp_schema pg_trigger_depth pg_cursor "
	  "pg_prepared_statement pg_index_column_has_property pg_index_has_property "
	  "pg_indexam_has_property xml_is_well_formed xml_is_well_formed_content "
	  "xml_is_well_formed_document ts_lexize ts_parse ts_token_type get_current_ts_config "
	  "getdatabaseencoding bernoulli system system_rows system_time pg_current_wal_lsn "
	  "pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_last_committed_xact "
	  "pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp txid_status" },
	{ 0, NULL },
};

const struct nx_fn_list nx_fn_redshift[] = {
	PG_DENY,
	{ NX_FN_COSTS, "explain_model ml_*" },
	{ NX_FN_PURE,
	  "abs acos approximate ascii asin atan atan2 avg bool_and bool_or btrim bpcharcmp cast cbrt "
	  "ceil ceiling char_length character_length charindex checksum chr coalesce concat convert "
	  "convert_timezone cos cot count crc32 cume_dist date_add date_cmp date_diff date_part "
	  "date_part_year date_trunc dateadd datediff decode degrees dense_rank dexp dlog1 dlog10 "
	  "exp extract extract_path_text first_value floor func_sha1 greatest initcap "
	  "interval_cmp is_valid_json is_valid_json_array isfinite json_array_length "
	  "json_extract_array_element_text json_extract_path_text json_parse json_serialize "
	  "json_typeof lag last_day last_value lead least left len length listagg ln log lower lpad "
	  "ltrim max md5 median min mod months_between next_day nth_value ntile nullif nvl nvl2 "
	  "octet_length percent_rank percentile_cont percentile_disc pi position power radians rank "
	  "ratio_to_report regexp_count regexp_instr regexp_replace regexp_substr repeat replace "
	  "replicate reverse right round row_number rpad rtrim sha sha1 sha2 sign sin split_part sqrt "
	  "stddev stddev_pop stddev_samp strpos strtol substring substr sum tan textlen to_char "
	  "to_date to_number to_timestamp translate trim trunc upper url_extract var_pop var_samp "
	  "variance bit_and bit_or cube rollup sets grouping array array_concat array_flatten "
	  "get_array_length split_to_array subarray object varchar char character decimal numeric "
	  "float timestamp time interval generate_series json_array_element" },
	{ NX_FN_READ, "getdate sysdate now current_setting current_database current_schema "
		      "current_schemas version random has_* pg_get_* pg_backend_pid "
		      "pg_last_query_id pg_last_copy_id timeofday user session_user" },
	{ 0, NULL },
};
