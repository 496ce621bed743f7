/* Oracle, DM and OceanBase in Oracle mode. Any package may do anything, so packages are refused by
 * prefix, with the pure ones named. */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_oracle[] = {
	{ NX_FN_PURE,
	  "dbms_lob.substr dbms_lob.getlength dbms_lob.instr dbms_lob.compare utl_raw.cast_to_raw "
	  "utl_raw.cast_to_varchar2 utl_raw.cast_to_number utl_raw.length utl_raw.substr "
	  "utl_raw.concat utl_raw.bit_and utl_raw.bit_or utl_raw.bit_xor utl_raw.reverse "
	  "utl_encode.base64_encode utl_encode.base64_decode utl_i18n.string_to_raw "
	  "utl_i18n.raw_to_char utl_match.edit_distance utl_match.jaro_winkler_similarity "
	  "utl_match.edit_distance_similarity utl_match.jaro_winkler" },
	{ NX_FN_READ, "dbms_random.value dbms_random.string dbms_random.normal "
		      "dbms_metadata.get_ddl dbms_crypto.hash dbms_utility.get_time" },
	{ NX_FN_TABLE, "sys.odcivarchar2list sys.odcinumberlist sys.odcidatelist "
		       "sys.odcirawlist sys.dbms_debug_vc2coll" },
	{ NX_FN_EXECUTES, "utl_*. dbms_*. sys. ctxsys. ordsys. mdsys. xdb. wwv_*. owa_*. htp. htf. "
			  "apex_*. outln. sysman. lbacsys. dvsys. wmsys. exfsys. olapsys. dbe_*. "
			  "sp_*. sf_*. java_*." },
	{ NX_FN_NETWORK, "httpuritype dburitype xdburitype uritype ftpuritype sys_dburigen "
			 "utl_inaddr utl_http" },
	{ NX_FN_FILES, "bfilename external xmltype_bfile" },
	{ NX_FN_EXECUTES, "sp_* sf_* sys_xmlgen sys_xmlagg_exec xmlquery_exec java_* "
			  "dbms_* utl_* extprocedure ora_invoking_exec" },
	{ NX_FN_SLEEPS, "sleep dbms_lock" },
	{ NX_FN_TABLE, "xmltable json_table xmlsequence containers shards graph_table "
		       "odcivarchar2list odcinumberlist the inline unnest table" },
	{ NX_FN_PURE,
	  "abs acos add_months any_value appendchildxml approx_count approx_count_distinct ascii "
	  "asciistr asin atan atan2 avg bin_to_num bitand bit_and_agg bit_or_agg bit_xor_agg cardinality "
	  "cast ceil chartorowid chr cluster_id coalesce collect compose concat convert corr corr_k "
	  "corr_s cos cosh count covar_pop covar_samp cume_dist cursor decode decompose dense_rank "
	  "depth deref dump empty_blob empty_clob exists existsnode exp extract extractvalue first "
	  "first_value floor from_tz greatest group_id grouping grouping_id hextoraw ilike "
	  "initcap instr instr2 instr4 instrb instrc json_array json_arrayagg json_equal json_exists "
	  "json_mergepatch json_object json_objectagg json_query json_scalar json_serialize "
	  "json_transform json_value kurtosis_pop lag last last_day last_value lead least length "
	  "length2 length4 lengthb lengthc listagg ln lnnvl log lower lpad ltrim max median min mod "
	  "months_between nanvl nchr new_time next_day nls_charset_id nls_charset_name nls_initcap "
	  "nls_lower nls_upper nlssort nth_value ntile nullif numtodsinterval numtoyminterval nvl nvl2 "
	  "ora_hash path percent_rank percentile_cont percentile_disc power powermultiset prior rank "
	  "ratio_to_report rawtohex rawtonhex regexp_count regexp_instr regexp_like regexp_replace "
	  "regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx "
	  "regr_sxy regr_syy remainder replace round row_number rowidtochar rowidtonchar rpad rtrim "
	  "set sign sin sinh soundex sqrt standard_hash stats_mode stddev stddev_pop stddev_samp "
	  "substr substr2 substr4 substrb substrc sum sys_connect_by_path sys_extract_utc "
	  "sys_op_c2c tan tanh to_binary_double to_binary_float to_char to_clob to_date "
	  "to_dsinterval to_lob to_multi_byte to_nchar to_nclob to_number to_single_byte to_timestamp "
	  "to_timestamp_tz to_yminterval translate treat trim trunc tz_offset unistr upper "
	  "validate_conversion value var_pop var_samp variance vsize width_bucket wm_concat xmlagg "
	  "xmlcast xmlcdata xmlcolattval xmlcomment xmlconcat xmlelement xmlexists xmlforest "
	  "xmlparse xmlpi xmlquery xmlroot xmlserialize xmltype xmlattributes cube rollup sets "
	  "varchar varchar2 nvarchar2 char nchar number float decimal numeric raw timestamp interval "
	  "datediff dateadd datepart ifnull isnull left right len substring position datename "
	  "year month day hour minute second" },
	{ NX_FN_READ, "sysdate systimestamp current_date current_timestamp localtimestamp sys_guid "
		      "sys_context user uid userenv dbtimezone sessiontimezone ora_rowscn "
		      "scn_to_timestamp timestamp_to_scn rowidtochar now curdate" },
	{ 0, NULL },
};
