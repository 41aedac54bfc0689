#include "sqlscan/keywords.h"

#include <string.h>

struct entry {
    char text[QC_WORD_SIZE_MAX];
    uint8_t size;
    uint16_t word;
};

/* A trait's bit for each dialect, in the order of enum qc_trait and enum qc_sql_dialect. */
enum {
    CALL_S = 1 << 0,
    CALL_P = 1 << 1,
    CALL_M = 1 << 2,
    CALL_ANY = 7 << 0,
    ALIAS_S = 1 << 3,
    ALIAS_P = 1 << 4,
    ALIAS_M = 1 << 5,
    ALIAS_ANY = 7 << 3,
    VALUE_P = 1 << 7,
    VALUE_M = 1 << 8,
    VALUE_ANY = 7 << 6
};

/* clang-format off */
#define WORD(text, name) {text, sizeof(text) - 1, QC_WORD_##name}
#define LETTER(table) {table, sizeof(table) / sizeof((table)[0])}

static const struct entry words_a[] = {
    WORD("abort", ABORT), WORD("against", AGAINST), WORD("all", ALL), WORD("alter", ALTER),
    WORD("analyse", ANALYSE), WORD("analyze", ANALYZE), WORD("and", AND), WORD("any", ANY),
    WORD("array", ARRAY), WORD("as", AS), WORD("asc", ASC), WORD("asymmetric", ASYMMETRIC),
    WORD("atomic", ATOMIC), WORD("attach", ATTACH), WORD("authorization", AUTHORIZATION),
};
static const struct entry words_b[] = {
    WORD("begin", BEGIN), WORD("between", BETWEEN), WORD("bigint", BIGINT), WORD("bit", BIT),
    WORD("boolean", BOOLEAN), WORD("both", BOTH), WORD("by", BY),
};
static const struct entry words_c[] = {
    WORD("cache", CACHE), WORD("call", CALL), WORD("cascade", CASCADE), WORD("case", CASE),
    WORD("cast", CAST), WORD("chain", CHAIN), WORD("char", CHAR), WORD("character", CHARACTER),
    WORD("characteristics", CHARACTERISTICS), WORD("check", CHECK), WORD("checkpoint", CHECKPOINT),
    WORD("checksum", CHECKSUM), WORD("close", CLOSE), WORD("cluster", CLUSTER), WORD("collate", COLLATE),
    WORD("comment", COMMENT), WORD("commit", COMMIT), WORD("committed", COMMITTED),
    WORD("concurrently", CONCURRENTLY), WORD("conflict", CONFLICT), WORD("connection", CONNECTION),
    WORD("constraint", CONSTRAINT), WORD("constraints", CONSTRAINTS), WORD("copy", COPY),
    WORD("create", CREATE), WORD("cross", CROSS), WORD("cube", CUBE),
    WORD("current_catalog", CURRENT_CATALOG), WORD("current_date", CURRENT_DATE),
    WORD("current_role", CURRENT_ROLE), WORD("current_schema", CURRENT_SCHEMA),
    WORD("current_time", CURRENT_TIME), WORD("current_timestamp", CURRENT_TIMESTAMP),
    WORD("current_user", CURRENT_USER), WORD("cursor", CURSOR), WORD("cycle", CYCLE),
};
static const struct entry words_d[] = {
    WORD("data", DATA), WORD("database", DATABASE), WORD("deallocate", DEALLOCATE), WORD("dec", DEC),
    WORD("decimal", DECIMAL), WORD("declare", DECLARE), WORD("default", DEFAULT),
    WORD("deferrable", DEFERRABLE), WORD("deferred", DEFERRED), WORD("definer", DEFINER),
    WORD("delayed", DELAYED), WORD("delete", DELETE), WORD("desc", DESC), WORD("describe", DESCRIBE),
    WORD("detach", DETACH), WORD("discard", DISCARD), WORD("distinct", DISTINCT), WORD("do", DO),
    WORD("drop", DROP), WORD("dual", DUAL), WORD("dumpfile", DUMPFILE),
};
static const struct entry words_e[] = {
    WORD("else", ELSE), WORD("end", END), WORD("escape", ESCAPE), WORD("event", EVENT),
    WORD("except", EXCEPT), WORD("exclusive", EXCLUSIVE), WORD("execute", EXECUTE), WORD("exists", EXISTS),
    WORD("explain", EXPLAIN),
};
static const struct entry words_f[] = {
    WORD("false", FALSE), WORD("fetch", FETCH), WORD("filter", FILTER), WORD("first", FIRST),
    WORD("float", FLOAT), WORD("flush", FLUSH), WORD("for", FOR), WORD("force", FORCE),
    WORD("format", FORMAT), WORD("from", FROM), WORD("full", FULL), WORD("function", FUNCTION),
};
static const struct entry words_g[] = {
    WORD("glob", GLOB), WORD("global", GLOBAL), WORD("grant", GRANT), WORD("group", GROUP),
    WORD("grouping", GROUPING),
};
static const struct entry words_h[] = {
    WORD("handler", HANDLER), WORD("having", HAVING), WORD("help", HELP),
    WORD("high_priority", HIGH_PRIORITY),
};
static const struct entry words_i[] = {
    WORD("if", IF), WORD("ignore", IGNORE), WORD("ilike", ILIKE), WORD("immediate", IMMEDIATE),
    WORD("import", IMPORT), WORD("in", IN), WORD("index", INDEX), WORD("indexed", INDEXED),
    WORD("infile", INFILE), WORD("inner", INNER), WORD("insert", INSERT), WORD("install", INSTALL),
    WORD("int", INT), WORD("integer", INTEGER), WORD("intersect", INTERSECT), WORD("interval", INTERVAL),
    WORD("into", INTO), WORD("is", IS), WORD("isolation", ISOLATION),
};
static const struct entry words_j[] = {
    WORD("join", JOIN),
};
static const struct entry words_k[] = {
    WORD("key", KEY), WORD("kill", KILL),
};
static const struct entry words_l[] = {
    WORD("lateral", LATERAL), WORD("leading", LEADING), WORD("left", LEFT), WORD("level", LEVEL),
    WORD("like", LIKE), WORD("limit", LIMIT), WORD("listen", LISTEN), WORD("load", LOAD),
    WORD("local", LOCAL), WORD("localtime", LOCALTIME), WORD("localtimestamp", LOCALTIMESTAMP),
    WORD("lock", LOCK), WORD("low_priority", LOW_PRIORITY),
};
static const struct entry words_m[] = {
    WORD("match", MATCH), WORD("materialized", MATERIALIZED), WORD("merge", MERGE), WORD("mode", MODE),
    WORD("move", MOVE),
};
static const struct entry words_n[] = {
    WORD("names", NAMES), WORD("national", NATIONAL), WORD("natural", NATURAL), WORD("nchar", NCHAR),
    WORD("next", NEXT), WORD("no", NO), WORD("not", NOT), WORD("notify", NOTIFY), WORD("null", NULL),
    WORD("numeric", NUMERIC),
};
static const struct entry words_o[] = {
    WORD("offset", OFFSET), WORD("on", ON), WORD("only", ONLY), WORD("optimize", OPTIMIZE), WORD("or", OR),
    WORD("order", ORDER), WORD("outer", OUTER), WORD("outfile", OUTFILE), WORD("over", OVER),
    WORD("overlaps", OVERLAPS), WORD("overriding", OVERRIDING),
};
static const struct entry words_p[] = {
    WORD("partition", PARTITION), WORD("passing", PASSING), WORD("persist", PERSIST),
    WORD("persist_only", PERSIST_ONLY), WORD("placing", PLACING), WORD("plan", PLAN), WORD("pragma", PRAGMA),
    WORD("precision", PRECISION), WORD("prepare", PREPARE), WORD("prepared", PREPARED),
    WORD("procedure", PROCEDURE), WORD("program", PROGRAM),
};
static const struct entry words_q[] = {
    WORD("query", QUERY), WORD("quick", QUICK),
};
static const struct entry words_r[] = {
    WORD("raise", RAISE), WORD("read", READ), WORD("real", REAL), WORD("reassign", REASSIGN),
    WORD("recover", RECOVER), WORD("recursive", RECURSIVE), WORD("refresh", REFRESH), WORD("regexp", REGEXP),
    WORD("reindex", REINDEX), WORD("release", RELEASE), WORD("rename", RENAME), WORD("repair", REPAIR),
    WORD("repeatable", REPEATABLE), WORD("replace", REPLACE), WORD("reset", RESET),
    WORD("returning", RETURNING), WORD("revoke", REVOKE), WORD("right", RIGHT), WORD("rlike", RLIKE),
    WORD("role", ROLE), WORD("rollback", ROLLBACK), WORD("rollup", ROLLUP), WORD("row", ROW),
    WORD("rows", ROWS),
};
static const struct entry words_s[] = {
    WORD("savepoint", SAVEPOINT), WORD("schema", SCHEMA), WORD("search", SEARCH), WORD("security", SECURITY),
    WORD("select", SELECT), WORD("serializable", SERIALIZABLE), WORD("session", SESSION),
    WORD("session_user", SESSION_USER), WORD("set", SET), WORD("setof", SETOF), WORD("sets", SETS),
    WORD("share", SHARE), WORD("show", SHOW), WORD("similar", SIMILAR), WORD("smallint", SMALLINT),
    WORD("snapshot", SNAPSHOT), WORD("some", SOME), WORD("start", START),
    WORD("straight_join", STRAIGHT_JOIN), WORD("symmetric", SYMMETRIC), WORD("system_time", SYSTEM_TIME),
    WORD("system_user", SYSTEM_USER),
};
static const struct entry words_t[] = {
    WORD("table", TABLE), WORD("tables", TABLES), WORD("tablesample", TABLESAMPLE), WORD("temp", TEMP),
    WORD("temporary", TEMPORARY), WORD("then", THEN), WORD("time", TIME), WORD("timestamp", TIMESTAMP),
    WORD("to", TO), WORD("trailing", TRAILING), WORD("transaction", TRANSACTION), WORD("trigger", TRIGGER),
    WORD("true", TRUE), WORD("truncate", TRUNCATE),
};
static const struct entry words_u[] = {
    WORD("uncommitted", UNCOMMITTED), WORD("uninstall", UNINSTALL), WORD("union", UNION),
    WORD("unique", UNIQUE), WORD("unlisten", UNLISTEN), WORD("unlock", UNLOCK), WORD("unlogged", UNLOGGED),
    WORD("update", UPDATE), WORD("use", USE), WORD("user", USER), WORD("using", USING),
    WORD("utc_date", UTC_DATE), WORD("utc_time", UTC_TIME), WORD("utc_timestamp", UTC_TIMESTAMP),
};
static const struct entry words_v[] = {
    WORD("vacuum", VACUUM), WORD("value", VALUE), WORD("values", VALUES), WORD("varchar", VARCHAR),
    WORD("variadic", VARIADIC), WORD("varying", VARYING), WORD("verbose", VERBOSE), WORD("view", VIEW),
    WORD("virtual", VIRTUAL),
};
static const struct entry words_w[] = {
    WORD("when", WHEN), WORD("where", WHERE), WORD("window", WINDOW), WORD("with", WITH), WORD("work", WORK),
    WORD("write", WRITE),
};
static const struct entry words_x[] = {
    WORD("xa", XA), WORD("xor", XOR),
};
static const struct entry words_z[] = {
    WORD("zone", ZONE),
};
static const struct { const struct entry *entries; size_t count; } letters[26] = {
    LETTER(words_a), LETTER(words_b), LETTER(words_c), LETTER(words_d), LETTER(words_e),
    LETTER(words_f), LETTER(words_g), LETTER(words_h), LETTER(words_i), LETTER(words_j),
    LETTER(words_k), LETTER(words_l), LETTER(words_m), LETTER(words_n), LETTER(words_o),
    LETTER(words_p), LETTER(words_q), LETTER(words_r), LETTER(words_s), LETTER(words_t),
    LETTER(words_u), LETTER(words_v), LETTER(words_w), LETTER(words_x), {NULL, 0},
    LETTER(words_z),
};
static const uint16_t traits[QC_WORDS] = {
    [QC_WORD_ALL] = CALL_ANY, [QC_WORD_ANALYSE] = CALL_P, [QC_WORD_ANALYZE] = CALL_P,
    [QC_WORD_AND] = CALL_ANY, [QC_WORD_ANY] = CALL_P, [QC_WORD_ARRAY] = CALL_P,
    [QC_WORD_AS] = CALL_ANY | ALIAS_ANY, [QC_WORD_ASC] = CALL_ANY, [QC_WORD_BETWEEN] = CALL_ANY,
    [QC_WORD_BIGINT] = CALL_P, [QC_WORD_BIT] = CALL_P, [QC_WORD_BOOLEAN] = CALL_P, [QC_WORD_BOTH] = CALL_P,
    [QC_WORD_BY] = CALL_M, [QC_WORD_CASE] = CALL_ANY, [QC_WORD_CHAR] = CALL_P, [QC_WORD_CHARACTER] = CALL_P,
    [QC_WORD_CHECK] = CALL_ANY, [QC_WORD_COLLATE] = CALL_ANY, [QC_WORD_CONSTRAINT] = CALL_ANY,
    [QC_WORD_CREATE] = CALL_ANY, [QC_WORD_CROSS] = ALIAS_ANY, [QC_WORD_CURRENT_CATALOG] = VALUE_P,
    [QC_WORD_CURRENT_DATE] = VALUE_ANY, [QC_WORD_CURRENT_ROLE] = VALUE_P, [QC_WORD_CURRENT_SCHEMA] = VALUE_P,
    [QC_WORD_CURRENT_TIME] = VALUE_ANY, [QC_WORD_CURRENT_TIMESTAMP] = VALUE_ANY,
    [QC_WORD_CURRENT_USER] = VALUE_P | VALUE_M, [QC_WORD_DEC] = CALL_P, [QC_WORD_DECIMAL] = CALL_P,
    [QC_WORD_DEFAULT] = CALL_ANY, [QC_WORD_DEFERRABLE] = CALL_P, [QC_WORD_DESC] = CALL_P | CALL_M,
    [QC_WORD_DISTINCT] = CALL_ANY, [QC_WORD_DO] = CALL_P | ALIAS_P, [QC_WORD_ELSE] = CALL_ANY,
    [QC_WORD_END] = CALL_P, [QC_WORD_EXCEPT] = CALL_ANY | ALIAS_ANY, [QC_WORD_EXISTS] = CALL_ANY,
    [QC_WORD_FALSE] = CALL_P, [QC_WORD_FETCH] = CALL_P | CALL_M | ALIAS_P | ALIAS_M, [QC_WORD_FLOAT] = CALL_P,
    [QC_WORD_FOR] = CALL_P | CALL_M | ALIAS_P | ALIAS_M, [QC_WORD_FORCE] = ALIAS_M,
    [QC_WORD_FROM] = CALL_ANY | ALIAS_ANY, [QC_WORD_FULL] = ALIAS_S | ALIAS_P,
    [QC_WORD_GROUP] = CALL_ANY | ALIAS_ANY, [QC_WORD_GROUPING] = CALL_P | CALL_M,
    [QC_WORD_HAVING] = CALL_ANY | ALIAS_ANY, [QC_WORD_IGNORE] = ALIAS_M, [QC_WORD_IN] = CALL_ANY,
    [QC_WORD_INDEX] = CALL_S | CALL_M, [QC_WORD_INDEXED] = ALIAS_S, [QC_WORD_INNER] = ALIAS_ANY,
    [QC_WORD_INT] = CALL_P, [QC_WORD_INTEGER] = CALL_P, [QC_WORD_INTERSECT] = CALL_ANY | ALIAS_ANY,
    [QC_WORD_INTERVAL] = CALL_P, [QC_WORD_INTO] = CALL_ANY | ALIAS_ANY, [QC_WORD_IS] = CALL_S | CALL_M,
    [QC_WORD_JOIN] = ALIAS_ANY, [QC_WORD_KEY] = CALL_M, [QC_WORD_LATERAL] = CALL_P | CALL_M,
    [QC_WORD_LEFT] = ALIAS_ANY, [QC_WORD_LIMIT] = CALL_ANY | ALIAS_ANY,
    [QC_WORD_LOCALTIME] = VALUE_P | VALUE_M, [QC_WORD_LOCALTIMESTAMP] = VALUE_P | VALUE_M,
    [QC_WORD_LOCK] = ALIAS_M, [QC_WORD_MATCH] = CALL_M, [QC_WORD_NATIONAL] = CALL_P,
    [QC_WORD_NATURAL] = ALIAS_ANY, [QC_WORD_NCHAR] = CALL_P, [QC_WORD_NOT] = CALL_ANY | ALIAS_S | ALIAS_P,
    [QC_WORD_NULL] = CALL_ANY, [QC_WORD_NUMERIC] = CALL_P, [QC_WORD_OFFSET] = CALL_P | ALIAS_P,
    [QC_WORD_ON] = CALL_ANY | ALIAS_ANY, [QC_WORD_ONLY] = CALL_P, [QC_WORD_OR] = CALL_ANY,
    [QC_WORD_ORDER] = CALL_ANY | ALIAS_ANY, [QC_WORD_OUTER] = ALIAS_ANY, [QC_WORD_PARTITION] = ALIAS_M,
    [QC_WORD_PRECISION] = CALL_P, [QC_WORD_PROCEDURE] = ALIAS_M, [QC_WORD_RAISE] = CALL_S,
    [QC_WORD_REAL] = CALL_P, [QC_WORD_RETURNING] = CALL_ANY | ALIAS_ANY, [QC_WORD_RIGHT] = ALIAS_ANY,
    [QC_WORD_ROW] = CALL_P | CALL_M, [QC_WORD_SELECT] = CALL_ANY | ALIAS_ANY,
    [QC_WORD_SESSION_USER] = VALUE_P, [QC_WORD_SET] = CALL_S | CALL_M | ALIAS_S | ALIAS_M,
    [QC_WORD_SETOF] = CALL_P, [QC_WORD_SMALLINT] = CALL_P, [QC_WORD_SOME] = CALL_P,
    [QC_WORD_STRAIGHT_JOIN] = CALL_M | ALIAS_M, [QC_WORD_SYSTEM_USER] = VALUE_P, [QC_WORD_TABLE] = CALL_ANY,
    [QC_WORD_TABLESAMPLE] = ALIAS_P, [QC_WORD_THEN] = CALL_ANY, [QC_WORD_TIME] = CALL_P,
    [QC_WORD_TIMESTAMP] = CALL_P, [QC_WORD_TO] = CALL_P, [QC_WORD_TRUE] = CALL_P,
    [QC_WORD_UNION] = CALL_ANY | ALIAS_ANY, [QC_WORD_UNIQUE] = CALL_ANY, [QC_WORD_USE] = ALIAS_M,
    [QC_WORD_USER] = VALUE_P, [QC_WORD_USING] = CALL_ANY | ALIAS_ANY, [QC_WORD_UTC_DATE] = VALUE_M,
    [QC_WORD_UTC_TIME] = VALUE_M, [QC_WORD_UTC_TIMESTAMP] = VALUE_M,
    [QC_WORD_VALUES] = CALL_ANY | ALIAS_S | ALIAS_M, [QC_WORD_VARCHAR] = CALL_P, [QC_WORD_VARIADIC] = CALL_P,
    [QC_WORD_WHEN] = CALL_ANY | ALIAS_ANY, [QC_WORD_WHERE] = CALL_ANY | ALIAS_ANY,
    [QC_WORD_WINDOW] = CALL_P | CALL_M | ALIAS_P | ALIAS_M, [QC_WORD_WITH] = CALL_ANY | ALIAS_P | ALIAS_M,
    [QC_WORD_XOR] = CALL_M,
};
/* clang-format on */

enum qc_word qc_word_find(const char *text, size_t size)
{
    char folded[QC_WORD_SIZE_MAX];
    if (size == 0 || size > sizeof folded)
        return QC_WORD_NONE;
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];
        folded[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    if (folded[0] < 'a' || folded[0] > 'z')
        return QC_WORD_NONE;
    const int letter = folded[0] - 'a';
    for (size_t i = 0; i < letters[letter].count; i++) {
        const struct entry *entry = &letters[letter].entries[i];
        if (entry->size == size && memcmp(entry->text, folded, size) == 0)
            return (enum qc_word)entry->word;
    }
    return QC_WORD_NONE;
}

bool qc_word_has(enum qc_word word, enum qc_trait trait, enum qc_sql_dialect dialect)
{
    return (traits[word] >> ((unsigned)trait * 3u + (unsigned)dialect) & 1u) != 0;
}
