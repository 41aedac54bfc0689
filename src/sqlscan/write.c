#include "sqlscan/scan.h"

static bool is_mysql(const struct qc_scan *scan)
{
    return scan->lexer.dialect == QC_SQL_MYSQL;
}

bool qc_scan_at_write(const struct qc_scan *scan)
{
    static const enum qc_word verbs[] = {QC_WORD_INSERT, QC_WORD_UPDATE, QC_WORD_DELETE, QC_WORD_MERGE, QC_WORD_NONE};
    return qc_scan_at_any(scan, verbs) ||
           (qc_scan_at(scan, QC_WORD_REPLACE) && scan->lexer.dialect != QC_SQL_POSTGRESQL);
}

/* SQLite's OR REPLACE and its like, MySQL's priorities. */
static void modifiers(struct qc_scan *scan)
{
    static const enum qc_word words[] = {QC_WORD_LOW_PRIORITY, QC_WORD_HIGH_PRIORITY, QC_WORD_DELAYED,
                                         QC_WORD_QUICK,        QC_WORD_IGNORE,        QC_WORD_NONE};
    if (scan->lexer.dialect == QC_SQL_SQLITE && qc_scan_accept(scan, QC_WORD_OR)) {
        if (scan->token->kind == QC_TOKEN_WORD)
            qc_scan_advance(scan);
    } else if (is_mysql(scan)) {
        qc_scan_skip_any(scan, words);
    }
}

static void insert(struct qc_scan *scan)
{
    struct qc_level level = {.write = true};
    struct qc_path path;
    modifiers(scan);
    if (!qc_scan_accept(scan, QC_WORD_INTO) && !is_mysql(scan))
        qc_scan_unknown(scan);
    if (!qc_scan_path(scan, &path))
        return;
    qc_scan_add_write(scan, &path);
    if (is_mysql(scan) && qc_scan_accept(scan, QC_WORD_PARTITION) && scan->token->kind == QC_TOKEN_LEFT)
        qc_scan_skip_group(scan);
    if (qc_scan_accept(scan, QC_WORD_AS) && qc_scan_is_name(scan))
        qc_scan_advance(scan);
    if (scan->token->kind == QC_TOKEN_LEFT)
        qc_scan_group(scan); /* columns, or the query */
    if (is_mysql(scan))
        (void)qc_scan_accept(scan, QC_WORD_VALUE);
    if (qc_scan_accept(scan, QC_WORD_OVERRIDING)) {
        qc_scan_skip(scan); /* SYSTEM or USER */
        qc_scan_skip(scan); /* VALUE */
    }
    if (qc_scan_at(scan, QC_WORD_WITH))
        qc_scan_with(scan);
    qc_scan_walk(scan, &level);
}

static void update(struct qc_scan *scan)
{
    struct qc_level level = {.write = true, .from = true, .targets = QC_TARGETS_FIRST};
    modifiers(scan);
    qc_scan_from_item(scan, &level);
    if (!is_mysql(scan) && !qc_scan_at(scan, QC_WORD_SET) && !qc_scan_at(scan, QC_WORD_INDEXED) &&
        !qc_scan_at(scan, QC_WORD_NOT))
        qc_scan_unknown(scan);
    qc_scan_walk(scan, &level);
}

/* MySQL: DELETE a, b.* FROM tables. The targets may be aliases, so every table of the list is taken for one. */
static void delete_from_tables(struct qc_scan *scan, struct qc_level *level)
{
    while (!qc_scan_at(scan, QC_WORD_FROM)) {
        if (scan->token->kind != QC_TOKEN_WORD && scan->token->kind != QC_TOKEN_QUOTED &&
            scan->token->kind != QC_TOKEN_COMMA && scan->token->kind != QC_TOKEN_DOT &&
            scan->token->kind != QC_TOKEN_STAR) {
            qc_scan_unknown(scan);
            return;
        }
        qc_scan_advance(scan);
    }
    qc_scan_advance(scan);
    level->targets = QC_TARGETS_REST;
    qc_scan_from_item(scan, level);
}

static void delete_rows(struct qc_scan *scan)
{
    struct qc_level level = {.write = true, .from = true, .targets = QC_TARGETS_FIRST};
    modifiers(scan);
    if (!qc_scan_accept(scan, QC_WORD_FROM)) {
        if (is_mysql(scan))
            delete_from_tables(scan, &level);
        else
            qc_scan_unknown(scan);
        qc_scan_walk(scan, &level);
        return;
    }
    qc_scan_from_item(scan, &level);
    while (scan->token->kind == QC_TOKEN_COMMA && is_mysql(scan)) {
        qc_scan_advance(scan);
        level.targets = QC_TARGETS_FIRST;
        qc_scan_from_item(scan, &level);
    }
    if (!is_mysql(scan))
        level.targets = QC_TARGETS_NONE;
    if (qc_scan_accept(scan, QC_WORD_USING))
        qc_scan_from_item(scan, &level);
    qc_scan_walk(scan, &level);
}

static void merge(struct qc_scan *scan)
{
    struct qc_level level = {.write = true, .from = true, .targets = QC_TARGETS_FIRST};
    if (!qc_scan_accept(scan, QC_WORD_INTO) || scan->lexer.dialect != QC_SQL_POSTGRESQL)
        qc_scan_unknown(scan);
    qc_scan_from_item(scan, &level);
    level.targets = QC_TARGETS_NONE;
    if (qc_scan_accept(scan, QC_WORD_USING))
        qc_scan_from_item(scan, &level);
    else
        qc_scan_unknown(scan);
    qc_scan_walk(scan, &level);
}

void qc_scan_write(struct qc_scan *scan)
{
    const enum qc_word verb = scan->token->word;
    scan->flags |= QC_SQL_WRITE;
    qc_scan_advance(scan);
    switch (verb) {
    case QC_WORD_INSERT:
    case QC_WORD_REPLACE:
        insert(scan);
        return;
    case QC_WORD_UPDATE:
        update(scan);
        return;
    case QC_WORD_DELETE:
        delete_rows(scan);
        return;
    default:
        merge(scan);
    }
}
