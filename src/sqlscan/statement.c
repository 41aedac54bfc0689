#include <stdlib.h>
#include <string.h>

#include "sqlscan/scan.h"

#define TEXT_MAX (UINT32_C(1) << 28) /* bytes: the result's offsets have 32 bits */

static bool dialect_is(const struct qc_scan *scan, enum qc_sql_dialect dialect)
{
    return scan->lexer.dialect == dialect;
}

/* A statement whose first word says it all. */
static void whole(struct qc_scan *scan, uint32_t flags)
{
    scan->flags |= flags;
    qc_scan_skip_statement(scan);
}

static void unknown(struct qc_scan *scan)
{
    whole(scan, QC_SQL_UNKNOWN);
}

/* ---- Reads ---- */

static void read_query(struct qc_scan *scan)
{
    const uint32_t before = scan->flags;
    scan->flags = 0;
    if (!qc_scan_query(scan) && (scan->flags & (QC_SQL_DDL | QC_SQL_TEMP)) == 0) /* SELECT INTO gives no rows */
        scan->flags |= QC_SQL_READ;
    scan->flags |= before;
}

/* PostgreSQL's EXPLAIN (ANALYZE, BUFFERS): true when ANALYZE is among them, whatever its value. What stands in the
 * parentheses may be the query as well: then nothing follows that could be taken for a statement that runs. */
static bool options_analyze(struct qc_scan *scan)
{
    bool analyze = false;
    for (; scan->token->kind != QC_TOKEN_RIGHT && !qc_scan_at_end(scan); qc_scan_advance(scan))
        analyze |= qc_scan_at(scan, QC_WORD_ANALYZE) || qc_scan_at(scan, QC_WORD_ANALYSE);
    qc_scan_skip(scan);
    return analyze;
}

/* FORMAT = JSON and its like of MySQL. */
static void skip_format(struct qc_scan *scan)
{
    if (!dialect_is(scan, QC_SQL_MYSQL) || !qc_scan_accept(scan, QC_WORD_FORMAT))
        return;
    if (scan->token->kind == QC_TOKEN_EQUALS)
        qc_scan_advance(scan);
    qc_scan_skip(scan);
}

/* What an EXPLAIN ANALYZE runs. */
static void explained(struct qc_scan *scan)
{
    if (scan->depth >= QC_SCAN_DEPTH) {
        unknown(scan);
        return;
    }
    scan->depth++;
    qc_scan_statement(scan);
    scan->depth--;
}

/* EXPLAIN runs nothing, EXPLAIN ANALYZE what it explains, and SQLite carries some pragmas out while it compiles them. */
static void explain(struct qc_scan *scan)
{
    static const enum qc_word options[] = {QC_WORD_ANALYZE, QC_WORD_ANALYSE, QC_WORD_VERBOSE,
                                           QC_WORD_QUERY,   QC_WORD_PLAN,    QC_WORD_NONE};
    bool runs = false;
    qc_scan_advance(scan);
    for (; qc_scan_at_any(scan, options); qc_scan_advance(scan))
        runs |= qc_scan_at(scan, QC_WORD_ANALYZE) || qc_scan_at(scan, QC_WORD_ANALYSE);
    skip_format(scan);
    scan->flags |= QC_SQL_READ;
    if (!runs && dialect_is(scan, QC_SQL_POSTGRESQL) && scan->token->kind == QC_TOKEN_LEFT) {
        const struct qc_scan before = *scan;
        qc_scan_advance(scan);
        runs = options_analyze(scan);
        if (!runs)
            *scan = before;
    }
    if (runs || qc_scan_at(scan, QC_WORD_PRAGMA))
        explained(scan);
    else
        qc_scan_skip_statement(scan);
}

/* MariaDB's ANALYZE [FORMAT = JSON] runs the statement that follows; ANALYZE TABLE commits. */
static void analyze(struct qc_scan *scan)
{
    static const enum qc_word words[] = {QC_WORD_LOCAL, QC_WORD_TABLE, QC_WORD_NONE};
    qc_scan_advance(scan);
    if (!dialect_is(scan, QC_SQL_MYSQL)) {
        whole(scan, QC_SQL_HARMLESS);
        return;
    }
    skip_format(scan);
    if (qc_scan_at_any(scan, words) || qc_token_is(scan->token, "no_write_to_binlog"))
        whole(scan, QC_SQL_HARMLESS | QC_SQL_COMMIT);
    else
        explained(scan);
}

/* DECLARE name .. CURSOR .. FOR query */
static void declare(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    if (qc_scan_is_name(scan))
        qc_scan_advance(scan);
    while (scan->token->kind == QC_TOKEN_WORD && !qc_scan_at(scan, QC_WORD_FOR))
        qc_scan_advance(scan);
    if (qc_scan_accept(scan, QC_WORD_FOR))
        read_query(scan);
    else
        unknown(scan);
}

/* ---- Writes other than those of write.c ---- */

static void truncate_tables(struct qc_scan *scan)
{
    struct qc_path path;
    qc_scan_advance(scan);
    scan->flags |= dialect_is(scan, QC_SQL_MYSQL) ? QC_SQL_WRITE | QC_SQL_DDL | QC_SQL_COMMIT : QC_SQL_WRITE;
    (void)qc_scan_accept(scan, QC_WORD_TABLE);
    while (true) {
        if (dialect_is(scan, QC_SQL_POSTGRESQL))
            (void)qc_scan_accept(scan, QC_WORD_ONLY);
        if (!qc_scan_path(scan, &path))
            return;
        qc_scan_add_write(scan, &path);
        if (scan->token->kind == QC_TOKEN_STAR)
            qc_scan_advance(scan);
        if (scan->token->kind != QC_TOKEN_COMMA)
            break;
        qc_scan_advance(scan);
    }
    for (; !qc_scan_at_end(scan); qc_scan_advance(scan))
        if (qc_scan_at(scan, QC_WORD_CASCADE) || scan->token->kind != QC_TOKEN_WORD)
            qc_scan_unknown(scan); /* CASCADE follows every foreign key, whatever its own action */
}

/* COPY (query) TO; COPY [BINARY] table [(columns)] TO, or FROM. True: there was no mistake. */
static bool copied(struct qc_scan *scan)
{
    struct qc_path path;
    if (scan->token->kind == QC_TOKEN_LEFT) {
        scan->flags |= QC_SQL_READ;
        qc_scan_group(scan);
        return qc_scan_at(scan, QC_WORD_TO);
    }
    if (!qc_scan_path(scan, &path))
        return false;
    if (qc_scan_is_name(scan) && !qc_scan_at(scan, QC_WORD_FROM) && !qc_scan_at(scan, QC_WORD_TO) &&
        !qc_scan_path(scan, &path)) /* BINARY before it */
        return false;
    if (scan->token->kind == QC_TOKEN_LEFT)
        qc_scan_skip_group(scan);
    if (qc_scan_at(scan, QC_WORD_TO)) {
        scan->flags |= QC_SQL_READ;
        qc_scan_add_read(scan, &path);
        return true;
    }
    scan->flags |= QC_SQL_WRITE | QC_SQL_COPY_FROM;
    qc_scan_add_write(scan, &path);
    return qc_scan_at(scan, QC_WORD_FROM);
}

static void copy(struct qc_scan *scan)
{
    struct qc_level level = {0};
    qc_scan_advance(scan);
    if (!copied(scan)) {
        unknown(scan);
        return;
    }
    qc_scan_advance(scan);
    if (qc_scan_at(scan, QC_WORD_PROGRAM))
        qc_scan_unknown(scan);
    while (!qc_scan_at_end(scan) && !qc_scan_at(scan, QC_WORD_WHERE))
        qc_scan_advance(scan);
    qc_scan_walk(scan, &level);
}

static void refresh(struct qc_scan *scan)
{
    struct qc_path path;
    qc_scan_advance(scan);
    if (!qc_scan_accept(scan, QC_WORD_MATERIALIZED) || !qc_scan_accept(scan, QC_WORD_VIEW)) {
        unknown(scan);
        return;
    }
    (void)qc_scan_accept(scan, QC_WORD_CONCURRENTLY);
    scan->flags |= QC_SQL_WRITE;
    if (qc_scan_path(scan, &path))
        qc_scan_add_write(scan, &path);
    qc_scan_skip_statement(scan);
}

/* MySQL: LOAD DATA .. INTO TABLE t .. [SET c = expression] */
static void load(struct qc_scan *scan)
{
    struct qc_path path;
    while (!qc_scan_at_end(scan) && !qc_scan_at(scan, QC_WORD_INTO))
        qc_scan_advance(scan);
    if (!qc_scan_accept(scan, QC_WORD_INTO) || !qc_scan_accept(scan, QC_WORD_TABLE) || !qc_scan_path(scan, &path)) {
        unknown(scan);
        return;
    }
    scan->flags |= QC_SQL_WRITE;
    qc_scan_add_write(scan, &path);
    while (!qc_scan_at_end(scan) &&
           !(qc_scan_at(scan, QC_WORD_SET) && qc_scan_gone(scan, 0)->word != QC_WORD_CHARACTER))
        qc_scan_advance(scan);
    struct qc_level level = {.write = true};
    qc_scan_walk(scan, &level);
}

static void prepare(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    whole(scan, qc_scan_at(scan, QC_WORD_TRANSACTION) ? QC_SQL_COMMIT : QC_SQL_UNKNOWN);
}

/* ---- By the first word ---- */

static void of_sqlite(struct qc_scan *scan)
{
    switch (scan->token->word) {
    case QC_WORD_PRAGMA:
        qc_scan_pragma(scan);
        return;
    case QC_WORD_VACUUM:
        whole(scan, QC_SQL_HARMLESS);
        return;
    case QC_WORD_REINDEX:
        whole(scan, QC_SQL_DDL);
        return;
    case QC_WORD_ATTACH:
    case QC_WORD_DETACH:
        whole(scan, QC_SQL_ATTACH);
        return;
    default:
        unknown(scan);
    }
}

static void of_postgresql(struct qc_scan *scan)
{
    switch (scan->token->word) {
    case QC_WORD_TRUNCATE:
        truncate_tables(scan);
        return;
    case QC_WORD_COPY:
        copy(scan);
        return;
    case QC_WORD_DECLARE:
        declare(scan);
        return;
    case QC_WORD_REFRESH:
        refresh(scan);
        return;
    case QC_WORD_PREPARE:
        prepare(scan);
        return;
    case QC_WORD_SHOW:
    case QC_WORD_FETCH:
    case QC_WORD_MOVE:
    case QC_WORD_CLOSE:
        whole(scan, QC_SQL_READ);
        return;
    case QC_WORD_LISTEN:
    case QC_WORD_UNLISTEN:
    case QC_WORD_NOTIFY:
    case QC_WORD_LOCK:
    case QC_WORD_VACUUM:
    case QC_WORD_CHECKPOINT:
    case QC_WORD_DEALLOCATE:
        whole(scan, QC_SQL_HARMLESS);
        return;
    case QC_WORD_COMMENT:
    case QC_WORD_GRANT:
    case QC_WORD_REVOKE:
    case QC_WORD_REINDEX:
    case QC_WORD_CLUSTER:
    case QC_WORD_SECURITY:
    case QC_WORD_IMPORT:
    case QC_WORD_REASSIGN:
        whole(scan, QC_SQL_DDL);
        return;
    case QC_WORD_DISCARD:
        whole(scan, QC_SQL_SESSION);
        return;
    case QC_WORD_LOAD: /* a library may do anything */
        whole(scan, QC_SQL_UNKNOWN | QC_SQL_SESSION);
        return;
    default:
        unknown(scan);
    }
}

static void of_mysql(struct qc_scan *scan)
{
    switch (scan->token->word) {
    case QC_WORD_TRUNCATE:
        truncate_tables(scan);
        return;
    case QC_WORD_LOAD:
        load(scan);
        return;
    case QC_WORD_DESC:
    case QC_WORD_DESCRIBE:
        explain(scan);
        return;
    case QC_WORD_SHOW:
    case QC_WORD_HANDLER:
    case QC_WORD_HELP:
    case QC_WORD_CHECKSUM:
        whole(scan, QC_SQL_READ);
        return;
    case QC_WORD_KILL:
    case QC_WORD_DEALLOCATE:
        whole(scan, QC_SQL_HARMLESS);
        return;
    case QC_WORD_LOCK:
    case QC_WORD_UNLOCK:
    case QC_WORD_FLUSH:
    case QC_WORD_CACHE:
    case QC_WORD_CHECK:
    case QC_WORD_OPTIMIZE:
    case QC_WORD_REPAIR:
        whole(scan, QC_SQL_COMMIT);
        return;
    case QC_WORD_RENAME:
    case QC_WORD_GRANT:
    case QC_WORD_REVOKE:
    case QC_WORD_INSTALL:
    case QC_WORD_UNINSTALL:
        whole(scan, QC_SQL_DDL | QC_SQL_COMMIT);
        return;
    case QC_WORD_USE:
        whole(scan, QC_SQL_SESSION);
        return;
    default:
        unknown(scan);
    }
}

/* What all three have. */
static bool common(struct qc_scan *scan)
{
    switch (scan->token->word) {
    case QC_WORD_SELECT:
    case QC_WORD_VALUES:
    case QC_WORD_TABLE:
    case QC_WORD_WITH:
        read_query(scan);
        return true;
    case QC_WORD_EXPLAIN:
        explain(scan);
        return true;
    case QC_WORD_ANALYZE:
    case QC_WORD_ANALYSE:
        analyze(scan);
        return true;
    case QC_WORD_CREATE:
        qc_scan_create(scan);
        return true;
    case QC_WORD_ALTER:
        qc_scan_alter(scan);
        return true;
    case QC_WORD_DROP:
        qc_scan_drop(scan);
        return true;
    case QC_WORD_SET:
        qc_scan_set(scan);
        return true;
    case QC_WORD_RESET:
        qc_scan_reset(scan);
        return true;
    default:
        if (scan->token->kind != QC_TOKEN_LEFT)
            return false;
        read_query(scan);
        return true;
    }
}

static void dispatch(struct qc_scan *scan)
{
    scan->cte_count = 0;
    if (qc_scan_at_write(scan)) {
        qc_scan_write(scan);
        return;
    }
    if (common(scan) || qc_scan_transaction(scan))
        return;
    if (dialect_is(scan, QC_SQL_SQLITE))
        of_sqlite(scan);
    else if (dialect_is(scan, QC_SQL_POSTGRESQL))
        of_postgresql(scan);
    else
        of_mysql(scan);
}

void qc_scan_statement(struct qc_scan *scan)
{
    dispatch(scan);
    if (!qc_scan_at_end(scan)) {
        qc_scan_unknown(scan);
        qc_scan_skip_statement(scan);
    }
}

/* ---- The whole string ---- */

static void statements(struct qc_scan *scan)
{
    while (scan->token->kind != QC_TOKEN_END && scan->status == QC_OK) {
        if (scan->token->kind == QC_TOKEN_SEMICOLON)
            qc_scan_advance(scan);
        else
            qc_scan_statement(scan);
    }
}

int qc_sql_scan(enum qc_sql_dialect dialect, const char *text, size_t size, struct qc_sql *out)
{
    struct qc_scan scan;
    out->reads.count = out->writes.count = out->functions.count = 0;
    out->text_size = 0;
    out->cap = QC_SQL_NAMES_MAX;
    if (size > TEXT_MAX) {
        out->flags = QC_SQL_UNKNOWN;
        return QC_OK;
    }
    scan.out = out;
    scan.flags = 0;
    scan.status = QC_OK;
    scan.depth = scan.cte_count = 0;
    scan.at = 0;
    memset(scan.tokens, 0, sizeof scan.tokens);
    qc_lexer_init(&scan.lexer, dialect, text, size);
    qc_scan_advance(&scan);
    statements(&scan);
    if (scan.flags == 0)
        scan.flags = QC_SQL_HARMLESS; /* nothing but comments and blanks */
    if (scan.lexer.bad || scan.status != QC_OK)
        scan.flags |= QC_SQL_UNKNOWN;
    if (scan.lexer.variable)
        scan.flags |= QC_SQL_SYSTEM; /* what a variable holds is in no table */
    out->flags = scan.flags;
    return scan.status;
}

void qc_sql_release(struct qc_sql *sql)
{
    free(sql->reads.items);
    free(sql->writes.items);
    free(sql->functions.items);
    free(sql->text);
    *sql = (struct qc_sql){0};
}
