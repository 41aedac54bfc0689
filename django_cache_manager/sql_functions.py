"""Functions whose result depends on their arguments and the rows alone, so that a SELECT which
calls them may be cached.

Names as the scanner gives them. What reads a clock, a sequence, the session or chance is not here;
a name that is missing costs speed, never truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from . import _engine, conf

if TYPE_CHECKING:
    from collections.abc import Iterable

_AGGREGATES = """
count sum avg min max total group_concat string_agg array_agg json_agg jsonb_agg
json_object_agg jsonb_object_agg
json_group_array json_group_object bool_and bool_or every bit_and bit_or bit_xor any_value
stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp
regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
percentile_cont percentile_disc mode median
"""

_WINDOW = """
row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
"""

_NUMBERS = """
abs acos acosh asin asinh atan atan2 atanh cbrt ceil ceiling cos cosh cot degrees div exp
factorial floor gcd lcm ln log
log10 log2 mod pi pow power radians round sign sin sinh sqrt tan tanh trunc width_bucket
bitxor greatest least
"""

_TEXT = """
ascii bit_length btrim char char_length character_length chr concat concat_ws format glob
hex initcap instr left length
like lower lpad ltrim md5 octet_length overlay position printf quote quote_ident
quote_literal quote_nullable regexp
regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
regexp_split_to_array
regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha1 sha224
sha256 sha384 sha512 split_part
starts_with strpos substr substring to_hex translate trim unaccent unhex unicode upper
decode encode convert_from
convert_to digest collation
"""

_GENERAL = """
cast coalesce ifnull iif nullif num_nonnulls num_nulls typeof likelihood likely unlikely
"""

_TIME = """
date_bin date_part date_trunc extract isfinite justify_days justify_hours justify_interval
make_date make_interval
make_time make_timestamp make_timestamptz timezone to_char to_date to_number to_timestamp
django_date_extract django_date_trunc django_datetime_cast_date django_datetime_cast_time
django_datetime_extract
django_datetime_trunc django_format_dtdelta django_time_diff django_time_extract django_time_trunc
django_timestamp_diff
"""

_JSON = """
json json_array json_array_elements json_array_elements_text json_array_length
json_build_array json_build_object
json_each json_each_text json_extract json_extract_path json_extract_path_text json_insert
json_object json_object_keys
json_patch json_populate_record json_quote json_remove json_replace json_set
json_strip_nulls json_tree json_type
json_typeof json_valid jsonb jsonb_array_elements jsonb_array_elements_text
jsonb_array_length jsonb_build_array
jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text
jsonb_insert jsonb_object
jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query
jsonb_path_query_array jsonb_path_query_first
jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_typeof row_to_json to_json to_jsonb
"""

_CONTAINERS = """
akeys array_append array_cat array_dims array_fill array_length array_lower array_ndims
array_position array_positions
array_prepend array_remove array_replace array_to_json array_to_string array_upper avals
cardinality daterange defined
each exist generate_series generate_subscripts hstore hstore_to_json int4range int8range
isempty lower_inc lower_inf
numrange range_merge skeys slice string_to_array string_to_table svals trim_array tsrange
tstzrange unnest upper_inc
upper_inf
"""

_SEARCH = """
numnode phraseto_tsquery plainto_tsquery querytree setweight show_trgm similarity
strict_word_similarity strip
to_tsquery to_tsvector ts_filter ts_headline ts_rank ts_rank_cd ts_rewrite tsquery_phrase
tsvector_to_array
websearch_to_tsquery word_similarity
"""

_NETWORK = """
abbrev broadcast family host hostmask inet_merge inet_same_family masklen netmask network
set_masklen text
"""

# Only MySQL's: on the others some of these names may read the clock, as SQLite's date('now') does.
_OF_MYSQL = """
adddate addtime bin bit_count char_length conv convert convert_tz crc32 date date_add date_format
date_sub datediff day dayname dayofmonth dayofweek dayofyear elt export_set field find_in_set
from_base64 from_days from_unixtime get_format hour if inet6_aton inet6_ntoa inet_aton inet_ntoa
insert interval isnull json_array_append json_array_insert json_contains json_contains_path
json_depth json_keys json_length json_merge_patch json_merge_preserve json_overlaps json_pretty
json_search json_unquote json_value last_day lcase locate make_set makedate maketime match
microsecond mid minute month monthname oct ord period_add period_diff quarter regexp_instr
regexp_like regexp_replace regexp_substr sec_to_time second sha sha2 soundex space std str_to_date
strcmp subdate subtime time time_format time_to_sec timediff timestamp timestampadd timestampdiff
to_base64 to_days to_seconds truncate ucase week weekday weekofyear weight_string year yearweek
"""

CACHEABLE: Final[frozenset[str]] = frozenset(
    " ".join(
        (
            _AGGREGATES,
            _WINDOW,
            _NUMBERS,
            _TEXT,
            _GENERAL,
            _TIME,
            _JSON,
            _CONTAINERS,
            _SEARCH,
            _NETWORK,
        )
    ).split()
)

_CACHEABLE_OF_MYSQL: Final = CACHEABLE | frozenset(_OF_MYSQL.split())


def cacheable(dialect: int) -> frozenset[str]:
    """The functions of one of `_engine.scan`'s dialects."""
    return _CACHEABLE_OF_MYSQL if dialect == _engine.MYSQL else CACHEABLE


def write_nothing(called: Iterable[str], suspect: frozenset[str] | None, dialect: int) -> bool:
    """Whether none of the functions that a SELECT calls writes a row (PROTOCOL 2.8).

    `suspect`: those of the database that may, or None where it hasn't told.
    """
    declared = conf.current().functions
    if suspect is None:
        known = cacheable(dialect)
        return all(name in known or name in declared for name in called)
    return not any(name in suspect and name not in declared for name in called)
