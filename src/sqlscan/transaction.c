#include "sqlscan/scan.h"

static const enum qc_word noise[] = {QC_WORD_WORK, QC_WORD_TRANSACTION, QC_WORD_NONE};

static bool is_sqlite(const struct qc_scan *scan)
{
    return scan->lexer.dialect == QC_SQL_SQLITE;
}

/* [WORK | TRANSACTION], to which SQLite adds a name without a meaning. */
static void skip_noise(struct qc_scan *scan)
{
    if (!is_sqlite(scan))
        qc_scan_skip_any(scan, noise);
    else if (qc_scan_accept(scan, QC_WORD_TRANSACTION) && qc_scan_is_name(scan) && !qc_scan_at(scan, QC_WORD_TO))
        qc_scan_advance(scan);
}

/* Modes of BEGIN and START TRANSACTION: words and commas to the end. */
static void modes(struct qc_scan *scan)
{
    if (qc_scan_at_end(scan))
        return;
    scan->flags |= QC_SQL_ISOLATION;
    while (scan->token->kind == QC_TOKEN_WORD || scan->token->kind == QC_TOKEN_COMMA)
        qc_scan_advance(scan);
}

static void begin(struct qc_scan *scan)
{
    static const enum qc_word immediate[] = {QC_WORD_IMMEDIATE, QC_WORD_EXCLUSIVE, QC_WORD_NONE};
    static const enum qc_word first[] = {QC_WORD_ISOLATION, QC_WORD_READ, QC_WORD_NOT, QC_WORD_DEFERRABLE,
                                         QC_WORD_NONE};
    scan->flags |= QC_SQL_BEGIN;
    qc_scan_advance(scan);
    if (is_sqlite(scan)) {
        if (!qc_scan_accept(scan, QC_WORD_DEFERRED) && qc_scan_at_any(scan, immediate)) {
            scan->flags |= QC_SQL_IMMEDIATE;
            qc_scan_advance(scan);
        }
    }
    skip_noise(scan);
    if (scan->lexer.dialect == QC_SQL_POSTGRESQL && qc_scan_at_any(scan, first))
        modes(scan);
}

static void start(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    if (is_sqlite(scan) || !qc_scan_accept(scan, QC_WORD_TRANSACTION)) {
        qc_scan_unknown(scan);
        qc_scan_skip_statement(scan);
        return;
    }
    scan->flags |= QC_SQL_BEGIN;
    modes(scan);
}

/* [AND [NO] CHAIN] [[NO] RELEASE] */
static void chain(struct qc_scan *scan)
{
    if (qc_scan_accept(scan, QC_WORD_AND)) {
        const bool no = qc_scan_accept(scan, QC_WORD_NO);
        if (!qc_scan_accept(scan, QC_WORD_CHAIN))
            qc_scan_unknown(scan);
        else if (!no)
            scan->flags |= QC_SQL_BEGIN;
    }
    if (scan->lexer.dialect == QC_SQL_MYSQL) {
        (void)qc_scan_accept(scan, QC_WORD_NO);
        (void)qc_scan_accept(scan, QC_WORD_RELEASE);
    }
}

/* COMMIT PREPARED 'x', ROLLBACK PREPARED 'x': of another session perhaps. */
static bool prepared(struct qc_scan *scan)
{
    if (!qc_scan_accept(scan, QC_WORD_PREPARED))
        return false;
    if (scan->token->kind == QC_TOKEN_STRING)
        qc_scan_advance(scan);
    return true;
}

static void commit(struct qc_scan *scan)
{
    scan->flags |= QC_SQL_COMMIT;
    qc_scan_advance(scan);
    if (prepared(scan))
        return;
    skip_noise(scan);
    chain(scan);
}

static void savepoint_name(struct qc_scan *scan)
{
    if (qc_scan_is_name(scan))
        qc_scan_advance(scan);
    else
        qc_scan_unknown(scan);
}

static void rollback(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    if (prepared(scan)) {
        scan->flags |= QC_SQL_ROLLBACK;
        return;
    }
    skip_noise(scan);
    if (!qc_scan_accept(scan, QC_WORD_TO)) {
        scan->flags |= QC_SQL_ROLLBACK;
        chain(scan);
        return;
    }
    scan->flags |= QC_SQL_ROLLBACK_TO;
    (void)qc_scan_accept(scan, QC_WORD_SAVEPOINT);
    savepoint_name(scan);
}

/* XA of MySQL. What another session prepared commits here too. */
static void xa(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    if (qc_scan_at(scan, QC_WORD_START) || qc_scan_at(scan, QC_WORD_BEGIN))
        scan->flags |= QC_SQL_BEGIN;
    else if (qc_scan_at(scan, QC_WORD_ROLLBACK))
        scan->flags |= QC_SQL_ROLLBACK;
    else if (qc_scan_at(scan, QC_WORD_RECOVER))
        scan->flags |= QC_SQL_READ;
    else if (qc_scan_at(scan, QC_WORD_END))
        scan->flags |= QC_SQL_HARMLESS;
    else
        scan->flags |= QC_SQL_COMMIT;
    qc_scan_skip_statement(scan);
}

bool qc_scan_transaction(struct qc_scan *scan)
{
    switch (scan->token->word) {
    case QC_WORD_BEGIN:
        begin(scan);
        return true;
    case QC_WORD_START:
        start(scan);
        return true;
    case QC_WORD_COMMIT:
    case QC_WORD_END:
        commit(scan);
        return true;
    case QC_WORD_ROLLBACK:
    case QC_WORD_ABORT:
        rollback(scan);
        return true;
    case QC_WORD_SAVEPOINT:
        scan->flags |= QC_SQL_SAVEPOINT;
        qc_scan_advance(scan);
        savepoint_name(scan);
        return true;
    case QC_WORD_RELEASE:
        scan->flags |= QC_SQL_RELEASE;
        qc_scan_advance(scan);
        (void)qc_scan_accept(scan, QC_WORD_SAVEPOINT);
        savepoint_name(scan);
        return true;
    case QC_WORD_XA:
        if (scan->lexer.dialect != QC_SQL_MYSQL)
            return false;
        xa(scan);
        return true;
    default:
        return false;
    }
}
