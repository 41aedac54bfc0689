#include "sqlscan/scan.h"

static bool is_mysql(const struct qc_scan *scan)
{
    return scan->lexer.dialect == QC_SQL_MYSQL;
}

/* Definitions commit what came before them on MySQL. */
static void define(struct qc_scan *scan)
{
    scan->flags |= is_mysql(scan) ? QC_SQL_DDL | QC_SQL_COMMIT : QC_SQL_DDL;
}

static void note_database(struct qc_scan *scan)
{
    if (qc_scan_at(scan, QC_WORD_DATABASE) || (is_mysql(scan) && qc_scan_at(scan, QC_WORD_SCHEMA)))
        scan->flags |= QC_SQL_DATABASE;
}

static void accept_if_exists(struct qc_scan *scan)
{
    static const enum qc_word words[] = {QC_WORD_IF, QC_WORD_NOT, QC_WORD_EXISTS, QC_WORD_NONE};
    if (qc_scan_at(scan, QC_WORD_IF))
        qc_scan_skip_any(scan, words);
}

/* ---- Bodies with semicolons of their own ---- */

/* SQLite's trigger: BEGIN statement; statement; END. What it reads and writes is listed, for whoever looks at a trigger's
 * closure; its flags aren't those of the CREATE. */
static void trigger_body(struct qc_scan *scan)
{
    while (!qc_scan_at(scan, QC_WORD_BEGIN)) {
        if (qc_scan_at_end(scan)) {
            qc_scan_unknown(scan);
            return;
        }
        if (scan->token->kind == QC_TOKEN_LEFT)
            qc_scan_skip_group(scan);
        else
            qc_scan_advance(scan);
    }
    qc_scan_advance(scan);
    const uint32_t flags = scan->flags;
    while (scan->token->kind != QC_TOKEN_END && !qc_scan_at(scan, QC_WORD_END)) {
        if (!qc_scan_at(scan, QC_WORD_SELECT) && !qc_scan_at(scan, QC_WORD_WITH) && !qc_scan_at_write(scan))
            qc_scan_unknown(scan);
        qc_scan_statement(scan);
        if (scan->token->kind == QC_TOKEN_SEMICOLON)
            qc_scan_advance(scan);
    }
    scan->flags = flags | (scan->flags & QC_SQL_UNKNOWN);
    if (!qc_scan_accept(scan, QC_WORD_END))
        qc_scan_unknown(scan);
}

/* PostgreSQL's BEGIN ATOMIC statement; statement; END, where an END that closes a CASE follows no semicolon. */
static void atomic_body(struct qc_scan *scan)
{
    while (scan->token->kind != QC_TOKEN_END) {
        const struct qc_token *before = qc_scan_gone(scan, 0);
        if (qc_scan_at(scan, QC_WORD_END) && (before->kind == QC_TOKEN_SEMICOLON || before->word == QC_WORD_ATOMIC))
            return;
        qc_scan_advance(scan);
    }
    qc_scan_unknown(scan);
}

/* The rest of a PostgreSQL function; a body of another kind is a string. */
static void function_body(struct qc_scan *scan)
{
    while (!qc_scan_at_end(scan)) {
        if (scan->token->kind == QC_TOKEN_LEFT)
            qc_scan_skip_group(scan);
        else if (!qc_scan_accept(scan, QC_WORD_BEGIN))
            qc_scan_advance(scan);
        else if (qc_scan_accept(scan, QC_WORD_ATOMIC))
            atomic_body(scan);
    }
}

/* ---- CREATE ---- */

/* What stands between CREATE and the kind of thing created. */
struct created {
    bool temporary, unique;
};

static struct created created_how(struct qc_scan *scan)
{
    static const enum qc_word words[] = {QC_WORD_OR,       QC_WORD_REPLACE,   QC_WORD_GLOBAL,     QC_WORD_LOCAL,
                                         QC_WORD_UNLOGGED, QC_WORD_RECURSIVE, QC_WORD_TEMP,       QC_WORD_TEMPORARY,
                                         QC_WORD_VIRTUAL,  QC_WORD_UNIQUE,    QC_WORD_CONSTRAINT, QC_WORD_NONE};
    struct created how = {false, false};
    for (; qc_scan_at_any(scan, words); qc_scan_advance(scan)) {
        how.temporary |= qc_scan_at(scan, QC_WORD_TEMP) || qc_scan_at(scan, QC_WORD_TEMPORARY);
        how.unique |= qc_scan_at(scan, QC_WORD_UNIQUE);
    }
    return how;
}

/* CREATE TEMP TABLE t AS query: the query may hold writes and calls. */
static void query_after_as(struct qc_scan *scan)
{
    while (!qc_scan_at_end(scan) && !qc_scan_at(scan, QC_WORD_AS) && !qc_scan_at(scan, QC_WORD_SELECT)) {
        if (scan->token->kind == QC_TOKEN_LEFT && is_mysql(scan))
            qc_scan_group(scan); /* MySQL: CREATE TABLE t (SELECT ..) */
        else if (scan->token->kind == QC_TOKEN_LEFT)
            qc_scan_skip_group(scan);
        else
            qc_scan_advance(scan);
    }
    if (qc_scan_accept(scan, QC_WORD_AS) && qc_scan_at(scan, QC_WORD_EXECUTE)) {
        qc_scan_unknown(scan);
        return;
    }
    (void)qc_scan_query(scan);
}

/* A table, a view or a sequence: a temporary one is the session's own, and may hide another. */
static void create_relation(struct qc_scan *scan, bool temporary)
{
    struct qc_path path;
    qc_scan_advance(scan);
    accept_if_exists(scan);
    if (!qc_scan_path(scan, &path)) {
        define(scan);
        return;
    }
    if (!temporary && !qc_path_is_temporary(scan, &path)) {
        define(scan);
        return;
    }
    scan->flags |= QC_SQL_TEMP;
    query_after_as(scan);
}

static void create_trigger(struct qc_scan *scan, bool temporary)
{
    struct qc_path path;
    define(scan);
    qc_scan_advance(scan);
    accept_if_exists(scan);
    if (!qc_scan_path(scan, &path))
        return;
    if (temporary || qc_path_is_temporary(scan, &path))
        scan->flags |= QC_SQL_TEMP;
    if (scan->lexer.dialect == QC_SQL_SQLITE)
        trigger_body(scan);
}

static void create_index(struct qc_scan *scan, bool unique)
{
    qc_scan_advance(scan);
    if (!unique && scan->lexer.dialect == QC_SQL_POSTGRESQL && qc_scan_at(scan, QC_WORD_CONCURRENTLY))
        scan->flags |= QC_SQL_HARMLESS;
    else
        define(scan);
}

/* MySQL: whatever comes after may be part of a body, or not. */
static void create_routine_of_mysql(struct qc_scan *scan)
{
    define(scan);
    qc_scan_unknown(scan);
    while (scan->token->kind != QC_TOKEN_END)
        qc_scan_advance(scan);
}

void qc_scan_create(struct qc_scan *scan)
{
    static const enum qc_word routines[] = {QC_WORD_DEFINER,   QC_WORD_TRIGGER, QC_WORD_FUNCTION,
                                            QC_WORD_PROCEDURE, QC_WORD_EVENT,   QC_WORD_NONE};
    qc_scan_advance(scan);
    const struct created how = created_how(scan);
    if (is_mysql(scan) && qc_scan_at_any(scan, routines)) {
        create_routine_of_mysql(scan);
        return;
    }
    switch (scan->token->word) {
    case QC_WORD_TABLE:
    case QC_WORD_VIEW:
        create_relation(scan, how.temporary);
        break;
    case QC_WORD_TRIGGER:
        create_trigger(scan, how.temporary);
        break;
    case QC_WORD_INDEX:
        create_index(scan, how.unique);
        break;
    case QC_WORD_FUNCTION:
    case QC_WORD_PROCEDURE:
        define(scan);
        function_body(scan);
        break;
    default:
        define(scan);
        note_database(scan);
        if (how.temporary) /* a sequence */
            scan->flags |= QC_SQL_TEMP;
    }
    qc_scan_skip_statement(scan);
}

/* ---- ALTER, DROP ---- */

void qc_scan_alter(struct qc_scan *scan)
{
    define(scan);
    qc_scan_advance(scan);
    note_database(scan);
    qc_scan_skip_statement(scan);
}

void qc_scan_drop(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    if (is_mysql(scan) && qc_scan_accept(scan, QC_WORD_TEMPORARY)) {
        scan->flags |= QC_SQL_TEMP; /* what it hid is seen again */
    } else if (is_mysql(scan) && qc_scan_accept(scan, QC_WORD_PREPARE)) {
        scan->flags |= QC_SQL_HARMLESS;
    } else {
        define(scan);
        note_database(scan);
    }
    qc_scan_skip_statement(scan);
}
