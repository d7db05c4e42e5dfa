"""Functions of the engines that compute a value and do nothing else.

A query that runs as part of a change may call these and no others: `setval`, `pg_terminate_backend` and whatever a user's
function does are not visible in the text. `nextval` is among them: it draws a number, which no version notices.
"""

from __future__ import annotations

_SHARED = (
    "abs avg ceil ceiling coalesce concat concat_ws count exp floor format greatest least left length ln log lower lpad ltrim "
    "max min mod nullif power replace reverse right round row_number rpad rtrim sign sqrt strftime substr substring sum trim "
    "trunc upper rank dense_rank first_value last_value lag lead ntile"
)

_POSTGRESQL = (
    "age array_agg array_append array_cat array_length array_position array_prepend array_remove array_replace "
    "array_to_string ascii bit_length bool_and bool_or btrim cardinality cbrt char_length character_length chr "
    "convert_from convert_to date_part date_trunc date_bin decode div encode every extract generate_series "
    "initcap int4range int8range numrange daterange tsrange tstzrange isfinite json_array_elements "
    "json_array_length json_build_array json_build_object json_extract_path json_extract_path_text json_object "
    "json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array "
    "jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object "
    "jsonb_object_agg jsonb_object_keys jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_typeof justify_days "
    "justify_hours json_agg make_date make_interval make_time make_timestamp make_timestamptz md5 "
    "num_nonnulls num_nulls octet_length overlay position quote_ident quote_literal regexp_match regexp_matches "
    "regexp_replace regexp_split_to_array regexp_split_to_table repeat scale sha224 sha256 sha384 sha512 split_part "
    "starts_with string_agg string_to_array strpos timezone to_char to_date to_hex to_json to_jsonb "
    "to_number to_timestamp to_tsvector translate trim_array unnest upper_inf width_bucket "
    "gen_random_uuid uuid_generate_v4 random clock_timestamp now statement_timestamp transaction_timestamp cast nextval"
)

_SQLITE = (
    "cast char date datetime glob group_concat hex ifnull iif instr json json_array json_array_length json_each json_extract "
    "json_group_array json_group_object json_insert json_object json_patch json_quote json_remove json_replace "
    "json_set json_type json_valid julianday likely like lower printf quote random randomblob soundex time total "
    "typeof unicode unixepoch unlikely zeroblob"
)

_MYSQL = (
    "adddate addtime ascii bin binary bit_count bit_length cast char char_length character_length compress concat_ws conv convert "
    "convert_tz crc32 curdate current_date current_time current_timestamp curtime date date_add date_format date_sub datediff "
    "day dayname dayofmonth dayofweek dayofyear div elt export_set extract field find_in_set from_base64 from_days "
    "from_unixtime group_concat hex hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa instr isnull json_array json_array_append "
    "json_array_insert json_contains json_contains_path json_depth json_extract json_insert json_keys json_length json_merge_patch "
    "json_merge_preserve json_object json_overlaps json_quote json_remove json_replace json_search json_set json_type json_unquote "
    "json_valid json_value last_day lcase localtime localtimestamp locate log10 log2 make_set makedate maketime md5 "
    "microsecond mid minute month monthname natural_sort_key now nvl oct octet_length ord period_add pi position pow quarter quote "
    "radians rand regexp_instr regexp_like regexp_replace regexp_substr repeat sec_to_time second sha sha1 sha2 signed soundex space "
    "std stddev str_to_date strcmp subdate substring_index subtime sysdate time time_format time_to_sec timediff timestamp "
    "timestampadd timestampdiff to_base64 to_char to_days to_seconds ucase uncompress unhex unix_timestamp unsigned utc_date utc_time "
    "utc_timestamp uuid week weekday weekofyear weight_string year yearweek nextval"
)

_SQLSERVER = (
    "ascii atn2 bigint binary bit cast char charindex checksum choose concat_ws convert count_big current_timestamp datalength date "
    "date_bucket dateadd datediff datediff_big datefromparts datename datepart datetime datetime2 datetime2fromparts "
    "datetimefromparts datetimeoffset datetrunc day decimal degrees difference eomonth float format getdate getutcdate hashbytes "
    "iif int isdate isjson isnull isnumeric json_array json_modify json_object json_query json_value len "
    "log10 money month nchar newid numeric nvarchar parse parsename patindex pi quotename radians rand real replicate soundex space "
    "sql_variant square str string_agg string_escape stuff switchoffset sysdatetime sysdatetimeoffset sysutcdatetime time "
    "timefromparts tinyint todatetimeoffset translate try_cast try_convert try_parse unicode uniqueidentifier varbinary varchar year"
)

POSTGRESQL = frozenset(f"{_SHARED} {_POSTGRESQL}".split())
SQLITE = frozenset(f"{_SHARED} {_SQLITE}".split())
SQLSERVER = frozenset(f"{_SHARED} {_SQLSERVER}".split())
MYSQL = frozenset(f"{_SHARED} {_MYSQL}".split())

# The time of the statement: evaluated once when a column is added.
STABLE = frozenset(["now", "statement_timestamp", "transaction_timestamp"])
# Cannot fail on a row; an index on anything else may refuse a write of the running version.
NEVER_FAIL = frozenset(["lower", "upper", "coalesce", "btrim", "trim", "ltrim", "rtrim", "length", "md5", "abs"])
# What a DEFAULT may call to be one value for all rows, and never NULL.
DEFAULTS = STABLE | frozenset(
    [
        "cast",
        "concat",
        "date_trunc",
        "jsonb_build_array",
        "jsonb_build_object",
        "lower",
        "make_date",
        "make_interval",
        "md5",
        "timezone",
        "upper",
    ]
)
