/* The scanner against SQLite's own parser: what SQLite would do when it runs a text that it accepts, its authorizer tells
 * while it compiles it. The scanner must have seen every write, definition, transaction step and table read of it, or say
 * that it does not understand. Nothing is run. */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qcache/sqlscan.h"

#define NAMES_MAX 64u
#define NAME_MAX_SIZE 64u

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);

static const char schema[] =
    "CREATE TABLE a (id INTEGER PRIMARY KEY, x, y, z); CREATE TABLE b (id INTEGER PRIMARY KEY, x, y);"
    "CREATE TABLE c (id INTEGER PRIMARY KEY, x, y); CREATE TABLE \"q r\" (id, x);"
    "CREATE TABLE \"from\" (id, x); CREATE TABLE temp.w (id, x); CREATE INDEX i ON a (x);";
static const char *const tables[] = {"a", "b", "c", "q r", "from", "w"};

/* What a statement does. */
struct effects {
    uint32_t flags;
    size_t writes, reads;
    char write[NAMES_MAX][NAME_MAX_SIZE], read[NAMES_MAX][NAME_MAX_SIZE];
};

static sqlite3 *database;
static struct effects effects;
static bool with; /* a word of the text at hand */

/* ---- What SQLite says ---- */

static void note(char names[NAMES_MAX][NAME_MAX_SIZE], size_t *count, const char *name)
{
    bool known = false;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        known |= sqlite3_stricmp(tables[i], name) == 0; /* not sqlite_master, nor the names of a WITH */
    if (!known || *count == NAMES_MAX)
        return;
    size_t size = strlen(name);
    for (size_t i = 0; i <= size; i++)
        names[*count][i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    (*count)++;
}

static uint32_t flags_of(int action, const char *first)
{
    if (first == NULL || strncmp(first, "sqlite_", 7) == 0)
        return 0; /* ANALYZE makes tables of its own */
    switch (action) {
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_VIEW:
        return QC_SQL_TEMP;
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_VIEW:
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TABLE:
    case SQLITE_DROP_TEMP_INDEX:
    case SQLITE_DROP_TEMP_TABLE:
    case SQLITE_DROP_TEMP_TRIGGER:
    case SQLITE_DROP_TEMP_VIEW:
    case SQLITE_DROP_TRIGGER:
    case SQLITE_DROP_VIEW:
    case SQLITE_ALTER_TABLE:
    case SQLITE_REINDEX:
        return QC_SQL_DDL;
    case SQLITE_TRANSACTION:
        return first[0] == 'B' ? QC_SQL_BEGIN : first[0] == 'C' ? QC_SQL_COMMIT : QC_SQL_ROLLBACK;
    case SQLITE_SAVEPOINT:
        return first[0] == 'B' ? QC_SQL_SAVEPOINT : first[1] == 'E' ? QC_SQL_RELEASE : QC_SQL_ROLLBACK_TO;
    default:
        return 0;
    }
}

static int authorize(void *context, int action, const char *first, const char *second, const char *in, const char *by)
{
    (void)context;
    if (action == SQLITE_PRAGMA || action == SQLITE_ATTACH || action == SQLITE_DETACH)
        return SQLITE_DENY; /* some take effect here already */
    effects.flags |= flags_of(action, first);
    if (by != NULL) /* a view's or a trigger's doing */
        return SQLITE_OK;
    if (action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE)
        note(effects.write, &effects.writes, first);
    if (action == SQLITE_READ && with && in == NULL && second[0] == '\0')
        return SQLITE_OK; /* no column of it: may be a name of the WITH, and hide a table */
    if (action == SQLITE_READ)
        note(effects.read, &effects.reads, first);
    return SQLITE_OK;
}

/* Compiles statement after statement up to the first that SQLite refuses. */
static void compile(const char *text)
{
    with = sqlite3_strlike("%with%", text, 0) == 0;
    effects.flags = 0;
    effects.writes = effects.reads = 0;
    while (text != NULL && *text != '\0') {
        const struct effects before = effects;
        sqlite3_stmt *statement = NULL;
        if (sqlite3_prepare_v2(database, text, -1, &statement, &text) != SQLITE_OK) {
            effects = before;
            text = NULL;
        } else if (statement != NULL && sqlite3_stmt_isexplain(statement) != 0) {
            effects = before;
        }
        sqlite3_finalize(statement);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    if (sqlite3_open(":memory:", &database) != SQLITE_OK ||
        sqlite3_exec(database, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_set_authorizer(database, authorize, NULL) != SQLITE_OK)
        abort();
    return 0;
}

/* ---- What the scanner says ---- */

static bool lists(const struct qc_sql *sql, const struct qc_sql_names *names, const char *wanted)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (names->items[i].size == strlen(wanted) &&
            memcmp(sql->text + names->items[i].offset, wanted, strlen(wanted)) == 0)
            return true;
    return false;
}

static void fail(const char *text, const char *what)
{
    fprintf(stderr, "not seen: %s\n    %s\n", what, text);
    abort();
}

static void compare(const char *text, const struct qc_sql *sql)
{
    uint32_t wanted = effects.flags;
    if ((sql->flags & QC_SQL_UNKNOWN) != 0)
        return;
    if ((sql->flags & QC_SQL_TEMP) != 0)
        wanted &= ~(uint32_t)QC_SQL_DDL; /* CREATE TABLE temp.t is one, to SQLite */
    if ((sql->flags & wanted) != wanted)
        fail(text, "what kind it is");
    if ((sql->flags & QC_SQL_DDL) != 0)
        return; /* writes everything */
    for (size_t i = 0; i < effects.writes; i++)
        if ((sql->flags & QC_SQL_WRITE) == 0 || !lists(sql, &sql->writes, effects.write[i]))
            fail(text, effects.write[i]);
    for (size_t i = 0; i < effects.reads; i++)
        if (!lists(sql, &sql->reads, effects.read[i]) && !lists(sql, &sql->writes, effects.read[i]))
            fail(text, effects.read[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct qc_sql sql;
    if (memchr(data, '\0', size) != NULL)
        return 0; /* no driver sends it */
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (qc_sql_scan(QC_SQL_SQLITE, text, size, &sql) != QC_OK)
        abort();
    compile(text);
    compare(text, &sql);
    free(text);
    return 0;
}

/* ---- Words for words ---- */

static const char *const words[] = {
    "SELECT",
    "FROM",
    "WHERE",
    "x",
    "y",
    "a",
    "b",
    "c",
    "\"q r\"",
    "[from]",
    "'a'",
    "`b`",
    "main.a",
    "temp.w",
    "(",
    ")",
    ",",
    ";",
    "=",
    ".",
    "*",
    "1",
    "'s'",
    "?",
    ":n",
    "AS",
    "JOIN",
    "LEFT",
    "ON",
    "USING",
    "UNION",
    "ALL",
    "VALUES",
    "WITH",
    "RECURSIVE",
    "INSERT",
    "REPLACE",
    "INTO",
    "UPDATE",
    "SET",
    "DELETE",
    "OR",
    "IGNORE",
    "RETURNING",
    "CONFLICT",
    "DO",
    "NOTHING",
    "DEFAULT",
    "IN",
    "NOT",
    "EXISTS",
    "IS",
    "DISTINCT",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "INDEXED",
    "BY",
    "ORDER",
    "GROUP",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "WINDOW",
    "OVER",
    "PARTITION",
    "FILTER",
    "MATERIALIZED",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "TO",
    "TRANSACTION",
    "IMMEDIATE",
    "CREATE",
    "TEMP",
    "TABLE",
    "VIEW",
    "TRIGGER",
    "AFTER",
    "DROP",
    "ALTER",
    "ADD",
    "EXPLAIN",
    "QUERY",
    "PLAN",
    "REINDEX",
    "--",
    "/*",
    "*/",
    "\n",
    "'",
    "\"",
    "(SELECT x FROM b)",
    "INSERT INTO c (x) VALUES (1)",
    "DELETE FROM c",
    "UPDATE c SET x = 1",
    "IN b",
    "FROM a, b",
};

/* Half of the time puts a word where a blank is, so that texts stay near SQL; else as libFuzzer does. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed)
{
    const char *word = words[seed / 2 % (sizeof words / sizeof words[0])];
    const size_t length = strlen(word) + 2;
    if (seed % 2 == 0 || size + length > room)
        return LLVMFuzzerMutate(data, size, room);
    size_t place = size == 0 ? 0 : seed / 7 % (size + 1);
    while (place > 0 && place < size && data[place] != ' ')
        place++;
    memmove(data + place + length, data + place, size - place);
    data[place] = ' ';
    memcpy(data + place + 1, word, length - 2);
    data[place + length - 1] = ' ';
    return size + length;
}
