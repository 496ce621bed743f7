/* SQL Server and Azure SQL. */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_sqlserver[] = {
	{ NX_FN_NETWORK, "openrowset openquery opendatasource ai_generate_* "
			 "sp_invoke_external_rest_endpoint" },
	{ NX_FN_FILES, "fn_trace_gettable fn_trace_getinfo fn_xe_file_target_read_file "
		       "fn_get_audit_file fn_dump_dblog fn_dblog fn_full_dblog fn_check_object_* "
		       "dm_os_file_exists dm_os_enumerate_* dm_os_* fn_xe_telemetry_* "
		       "fn_virtualfilestats_none fn_readaudit* fn_stmt_*" },
	{ NX_FN_EXECUTES, "xp_* sp_* predict fn_cdc_* fn_my_exec openxml" },
	{ NX_FN_EXECUTES, "xp_*. sp_*." },
	{ NX_FN_ADMIN, "fn_trace_* fn_syspolicy_* fn_builtin_*" },
	{ NX_FN_SESSION, "set_bit_session context_info_set" },
	{ NX_FN_TABLE, "openjson string_split generate_series nodes containstable freetexttable "
		       "changetable fn_helpcollations fn_listextendedproperty dm_exec_describe_* "
		       "fn_my_permissions dm_sql_referenced_entities dm_sql_referencing_entities "
		       "regexp_matches regexp_split_to_table" },
	{ NX_FN_PURE,
	  "abs acos app_name approx_count_distinct approx_percentile_cont approx_percentile_disc "
	  "ascii asin atan atn2 avg base64_decode base64_encode binary_checksum bit_count cast "
	  "ceiling char charindex checksum checksum_agg choose coalesce compress concat concat_ws "
	  "contains convert cos cot count count_big cume_dist datalength date_bucket dateadd datediff "
	  "datediff_big datefromparts datename datepart datetime2fromparts datetimefromparts "
	  "datetimeoffsetfromparts datetrunc day decompress degrees dense_rank difference "
	  "edit_distance eomonth exp first_value floor format formatmessage freetext get_bit "
	  "greatest grouping grouping_id hashbytes iif isdate isjson isnull isnumeric jaro_winkler_* "
	  "json_array json_arrayagg json_contains json_modify json_object json_objectagg "
	  "json_path_exists json_query json_value lag last_value lead least left left_shift len log "
	  "log10 lower ltrim max min month nchar ntile nullif parse parsename patindex percent_rank "
	  "percentile_cont percentile_disc pi power quotename radians rank regexp_count regexp_instr "
	  "regexp_like regexp_replace regexp_substr replace replicate reverse right right_shift round "
	  "row_number rtrim set_bit sign sin smalldatetimefromparts soundex space sqrt square stdev "
	  "stdevp str string_agg string_escape stuff substring sum switchoffset tan timefromparts "
	  "todatetimeoffset translate trim try_cast try_convert try_parse unicode unistr upper var "
	  "varp year value exist query collate cube rollup sets varchar nvarchar char nchar varbinary "
	  "binary decimal numeric float time datetime2 datetimeoffset vector vector_distance "
	  "product ordinal root path raw auto elements" },
	{ NX_FN_READ, "getdate getutcdate sysdatetime sysdatetimeoffset sysutcdatetime "
		      "current_timestamp newid rand db_name db_id object_id object_name schema_name "
		      "schema_id user_name user_id suser_name suser_sname original_login host_name "
		      "serverproperty databasepropertyex columnproperty objectproperty "
		      "objectpropertyex col_name col_length type_name type_id index_col "
		      "indexproperty has_perms_by_name is_member is_rolemember is_srvrolemember "
		      "session_context sessionproperty context_info connectionproperty scope_identity "
		      "ident_current ident_seed ident_incr error_* xact_state rowcount_big "
		      "object_definition object_schema_name stats_date typeproperty "
		      "decryptbykey encryptbykey encryptbypassphrase decryptbypassphrase "
		      "key_guid cert_id" },
	{ 0, NULL },
};
