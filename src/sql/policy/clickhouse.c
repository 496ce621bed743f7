/* ClickHouse. Table functions reach anything, so they are an allow list; the names of those that do
 * are refused as scalars too (file() is one). */
#include "sql/policy/lists.h"

const struct nx_fn_list nx_fn_clickhouse[] = {
	{ NX_FN_FILES, "file filecluster sqlite infile local executable deltalakelocal iceberglocal" },
	{ NX_FN_NETWORK, "url urlcluster urlengine s3 s3cluster hdfs hdfscluster remote remotesecure "
			 "mysql postgresql mongodb redis jdbc odbc azureblobstorage* iceberg* "
			 "deltalake* hudi* paimon* gcs oss cosn cluster clusterallreplicas arrowflight "
			 "ytsaurus kafka rabbitmq nats reversednsquery prometheusquery* "
			 "timeseries* datalake* catboostevaluate" },
	{ NX_FN_EXECUTES, "executable viewexplain fuzzquery fuzzjson loop merge dictionary input "
			  "joinget joingetornull evalmlmethod mergetreeindex mergetreeprojection "
			  "mergetreeanalyzeindexes mergetreeparts* executeudf* shell" },
	{ NX_FN_NETWORK, "dictget* dicthas dictisin dictgethierarchy dictgetchildren "
			 "dictgetdescendants dictgetall dictgetkeys" },
	{ NX_FN_SLEEPS, "sleep sleepeachrow generaterandom throwif" },
	{ NX_FN_SECRETS, "addresstoline addresstolinewithinlines addresstosymbol demangle "
			 "tid logtrace getserversetting getosknelversion buildid "
			 "showcertificate filesystem* getservercertificate" },
	{ NX_FN_COSTS, "ai* llm* embed* generate_embedding" },
	{ NX_FN_TABLE, "numbers numbers_mt zeros zeros_mt primes values generateseries generate_series "
		       "view null format arrayjoin" },
	{ NX_FN_PURE,
	  "abs acos acosh age any anyheavy anylast argmax argmin array arrayall arrayavg "
	  "arraycompact arrayconcat arraycount arraycumsum arraydifference arraydistinct "
	  "arrayelement arrayenumerate* arrayexists arrayfill arrayfilter arrayfirst* arrayflatten "
	  "arrayfold arrayintersect arrayjaccardindex arraylast* arraymap arraymax arraymin "
	  "arraynormalizedgini arraypartialsort* arraypopback arraypopfront arrayproduct "
	  "arraypushback arraypushfront arrayrandomsample arrayreduce* arrayresize arrayreverse* "
	  "arrayrotate* arrayshift* arrayshingles arrayshuffle arrayslice arraysort arraysplit "
	  "arraystringconcat arraysum arraysymmetricdifference arrayunion arrayuniq arraywithconstant "
	  "arrayzip* array_* ascii asin asinh assumenotnull atan atan2 atanh avg avgweighted bar "
	  "base58* base64* bin bit* bitmap* boundingratio caseWithexpression cast casewithexpression "
	  "categoricalinformationvalue cbrt ceil ceiling char char_length character_length coalesce "
	  "concat concat_ws concatassumeinjective concatwithseparator contingency convertcharset corr "
	  "cos cosh cosinedistance count countequal countif countmatches countsubstrings* covar_pop "
	  "covar_samp covarpop covarsamp cramersv crc32 crc32ieee crc64 cume_dist cutfragment "
	  "cutquerystring* cuttofirst* cuturlparameter cutwww damerau* date date_add date_bin date_diff "
	  "date_format date_sub date_trunc dateadd datediff datename datesub datetime datetime64 "
	  "datetrunc decodeurlcomponent degrees deltasum dense_rank denserank divide divideornull "
	  "domain* editdistance* empty encode* endswith* entropy equals erf erfc evalmlmethod_none exp "
	  "exp10 exp2 exponentialmovingaverage exponentialtimedecayed* extract extractall* "
	  "extractgroups extracturlparameter* farmfingerprint64 farmhash64 finalizeaggregation "
	  "firstsignificantsubdomain* first_value flatten floor formatdatetime* formatreadable* "
	  "formatrow* formatstring fragment fromdaysssinceyearzero frommodifiedjulianday* "
	  "fromunixtimestamp* fromunixtimestamp64* gcd geodistance geohash* greatcircle* greater "
	  "greaterorequals greatest grouparray* groupbit* groupconcat groupuniqarray* grouping "
	  "halfmd5 hamming* has hasall hasany hassubsequence* hassubstr hastoken* hex histogram hivehash "
	  "hop* idnadecode idnaencode if ifnull ilike in initcap* int* intdiv* intexp* intervallengthsum "
	  "ipv4* ipv6* isconstant isfinite isinfinite isipaddressinrange isipv4string isipv6string "
	  "isnan isnotnull isnull isnullable isvalidjson isvalidutf8 iszeroornull jaro* javahash* "
	  "joinget_none json* jumpconsistenthash kafkamurmurhash kurtpop kurtsamp l1* l2* lag "
	  "laginframe largesttriangle* last_value lcase lcm lead leadinframe least left leftpad* "
	  "leftutf8 length lengthutf8 less lessorequals levenshtein* lgamma like linf* ln log log10 "
	  "log1p log2 lower lowerutf8 lp* ltrim lttb mac* makedate* makedatetime* mannwhitneyutest "
	  "map mapadd mapall mapapply mapconcat mapcontains* mapexists mapextractkeylike mapfilter "
	  "mapfromarrays mapkeys mappartial* mappopulateseries mapsort mapsubtract mapupdate mapvalues "
	  "match materialize max max2 maxintersections* maxmap mid min min2 minmap minus minsample* "
	  "mod modulo* monthname multifuzzymatch* multiif multimatch* multiply* multisearch* "
	  "murmurhash* nanvl negate neighbor ngram* normalize* not notempty notequals notilike notin "
	  "notlike now_none nth_value nthvalue ntile nullif octet_length or outliers* overlay* parsedate* "
	  "parsereadable* parsetimedelta path* percent_rank percentrank pi plus point polygon* "
	  "position* positive pow power proportionsztest protocol punycode* quantile* quarter "
	  "querystring* radians range rank rankcorr readwktp* regexp_extract regexpextract "
	  "regexpquotemeta repeat replace* reverse* right rightpad* rightutf8 round* row_number" },
	{ NX_FN_PURE,
	  "rownumberinallblocks rownumberinblock rtrim runningaccumulate runningconcurrency "
	  "runningdifference* s2* seriesdecompose* seriesfft seriesperioddetect sha1 sha224 sha256 "
	  "sha384 sha512* sigmoid sign simplejson* simplelinearregression sin singlevalueornull sinh "
	  "siphash* skewpop skewsamp soundex space sparkbar sparsegrams* splitby* sqid* sqrt "
	  "startswith* stddev* stddev_pop stddev_samp str_to_date str_to_map stringjaccardindex* "
	  "stringtoh3 studentttest* subdate substr substring* subtract* sum sumcount sumif sumkahan "
	  "summap* sumwithoverflow svg synonyms_none tan tanh tgamma theilsu time* to* toc* today_none "
	  "topk* topleveldomain transform translate* trim* trunc truncate trybase* "
	  "trypunycodedecode tumble* tuple* tupleelement ucase ulid_none unbin unhex uniq* upper* url* "
	  "utctimestamp_none uuidnumtostring uuidstringtonum uuidtonum validatenestedarraysizes var_pop "
	  "var_samp varpop varsamp variant* visitparam* week* welchttest width_bucket widthbucket "
	  "wkb wkt wyhash64 xor xxh3 xxhash32 xxhash64 year yearweek yyyymmdd* "
	  "toyear tomonth today cube rollup sets grouping nullable lowcardinality decimal fixedstring "
	  "enum8 enum16 nested simpleaggregatefunction aggregatefunction exists" },
	{ NX_FN_READ, "now now64 nowinblock today yesterday rand rand32 rand64 randcanonical "
		      "randconstant randomstring randomfixedstring randomprintableascii "
		      "generateuuidv4 generateuuidv7 generatesnowflakeid generateulid version uptime "
		      "timezone servertimezone hostname fqdn currentdatabase currentuser user "
		      "currentschemas currentroles defaultroles enabledroles blocknumber "
		      "blocksize blockserializedsize queryid initialqueryid connectionid "
		      "getsetting getmacro hascolumnintable shardcount shardnum totypename_none "
		      "displayname utctimestamp" },
	{ 0, NULL },
};
