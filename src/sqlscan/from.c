#include "sqlscan/scan.h"

static bool is_mysql(const struct qc_scan *scan)
{
    return scan->lexer.dialect == QC_SQL_MYSQL;
}

static bool is_postgresql(const struct qc_scan *scan)
{
    return scan->lexer.dialect == QC_SQL_POSTGRESQL;
}

bool qc_scan_at_window(const struct qc_scan *scan)
{
    if (!qc_scan_at(scan, QC_WORD_WINDOW) || scan->lexer.dialect != QC_SQL_SQLITE)
        return qc_scan_at(scan, QC_WORD_WINDOW);
    struct qc_lexer ahead = scan->lexer;
    struct qc_token name, as;
    qc_lexer_next(&ahead, &name);
    qc_lexer_next(&ahead, &as);
    return (name.kind == QC_TOKEN_WORD || name.kind == QC_TOKEN_QUOTED) && as.word == QC_WORD_AS;
}

/* [AS] alias [(columns)], AS (columns and types). All but the words that go on with the statement are aliases; SET goes
 * on with an UPDATE only. */
static void alias(struct qc_scan *scan, bool target)
{
    if ((target && qc_scan_at(scan, QC_WORD_SET)) || qc_scan_at_window(scan))
        return;
    const enum qc_token_kind kind = scan->token->kind;
    if (qc_scan_accept(scan, QC_WORD_AS)) {
        if (scan->token->kind == QC_TOKEN_WORD || scan->token->kind == QC_TOKEN_QUOTED ||
            scan->token->kind == QC_TOKEN_STRING)
            qc_scan_advance(scan);
        else if (scan->token->kind != QC_TOKEN_LEFT)
            qc_scan_unknown(scan);
    } else if (kind == QC_TOKEN_QUOTED || kind == QC_TOKEN_STRING ||
               (kind == QC_TOKEN_WORD && !qc_word_has(scan->token->word, QC_TRAIT_NO_ALIAS, scan->lexer.dialect))) {
        qc_scan_advance(scan);
    } else {
        return;
    }
    if (scan->token->kind == QC_TOKEN_LEFT)
        qc_scan_skip_group(scan);
}

/* MySQL: {USE | FORCE | IGNORE} {INDEX | KEY} [FOR ..] (names). False: there was none. */
static bool index_hints(struct qc_scan *scan)
{
    static const enum qc_word hints[] = {QC_WORD_USE, QC_WORD_FORCE, QC_WORD_IGNORE, QC_WORD_NONE};
    bool some = false;
    while (is_mysql(scan) && qc_scan_at_any(scan, hints)) {
        while (scan->token->kind == QC_TOKEN_WORD)
            qc_scan_advance(scan);
        if (scan->token->kind != QC_TOKEN_LEFT) {
            qc_scan_unknown(scan);
            return true;
        }
        qc_scan_skip_group(scan);
        some = true;
    }
    return some;
}

/* PostgreSQL: TABLESAMPLE method (arguments) [REPEATABLE (seed)] */
static void sample(struct qc_scan *scan)
{
    struct qc_path path;
    if (!is_postgresql(scan) || !qc_scan_accept(scan, QC_WORD_TABLESAMPLE) || !qc_scan_path(scan, &path))
        return;
    if (scan->token->kind == QC_TOKEN_LEFT)
        qc_scan_group(scan);
    (void)qc_scan_accept(scan, QC_WORD_REPEATABLE); /* the walk sees to its "(" */
}

/* A query and not a table, which PostgreSQL lets one call values. */
static bool at_query(const struct qc_scan *scan)
{
    static const enum qc_word queries[] = {QC_WORD_SELECT, QC_WORD_WITH, QC_WORD_TABLE, QC_WORD_NONE};
    if (qc_scan_at_any(scan, queries) || (is_postgresql(scan) && qc_scan_at_write(scan)))
        return true;
    if (!qc_scan_at(scan, QC_WORD_VALUES))
        return false;
    struct qc_lexer ahead = scan->lexer;
    struct qc_token next;
    qc_lexer_next(&ahead, &next);
    return next.kind == QC_TOKEN_LEFT || next.word == QC_WORD_ROW;
}

/* "(": a subquery, or tables joined in parentheses. */
static void parenthesised(struct qc_scan *scan, const struct qc_level *level)
{
    if (scan->depth >= QC_SCAN_DEPTH) {
        qc_scan_unknown(scan);
        qc_scan_skip_group(scan);
        return;
    }
    const unsigned names = scan->cte_count;
    scan->depth++;
    qc_scan_advance(scan);
    if (at_query(scan)) {
        (void)qc_scan_query(scan);
    } else {
        struct qc_level inner = {.from = true, .targets = level->targets};
        qc_scan_from_item(scan, &inner);
        qc_scan_walk(scan, &inner);
    }
    scan->depth--;
    scan->cte_count = names;
    if (scan->token->kind == QC_TOKEN_RIGHT)
        qc_scan_advance(scan);
    else
        qc_scan_unknown(scan);
}

static void add_table(struct qc_scan *scan, struct qc_level *level, const struct qc_path *path)
{
    if (is_mysql(scan) && !path->qualified && path->name.word == QC_WORD_DUAL)
        return;
    if (level->targets != QC_TARGETS_NONE)
        qc_scan_add_write(scan, path);
    if (level->targets != QC_TARGETS_FIRST)
        qc_scan_add_read(scan, path);
    if (level->targets == QC_TARGETS_FIRST)
        level->targets = QC_TARGETS_REST;
}

/* A table or a table function. */
static void named(struct qc_scan *scan, struct qc_level *level)
{
    struct qc_path path;
    if (!qc_scan_path(scan, &path))
        return;
    if (path.name.word == QC_WORD_ROWS && is_postgresql(scan) && qc_scan_at(scan, QC_WORD_FROM)) {
        qc_scan_advance(scan); /* ROWS FROM (f(), g()) */
        if (scan->token->kind == QC_TOKEN_LEFT)
            qc_scan_group(scan);
        return;
    }
    if (scan->token->kind == QC_TOKEN_LEFT) {
        qc_scan_add_function(scan, &path.name);
        if (qc_token_starts(&path.name, scan->lexer.dialect == QC_SQL_SQLITE ? "pragma_" : "pg_"))
            scan->flags |= QC_SQL_SYSTEM;
        qc_scan_group(scan);
        return;
    }
    if (is_postgresql(scan) && !path.qualified && qc_word_has(path.name.word, QC_TRAIT_VALUE, QC_SQL_POSTGRESQL)) {
        qc_scan_add_function(scan, &path.name); /* FROM current_date */
        return;
    }
    add_table(scan, level, &path);
    if (scan->token->kind == QC_TOKEN_STAR && is_postgresql(scan))
        qc_scan_advance(scan);
    if (is_mysql(scan) && qc_scan_accept(scan, QC_WORD_PARTITION) && scan->token->kind == QC_TOKEN_LEFT)
        qc_scan_skip_group(scan);
}

void qc_scan_from_item(struct qc_scan *scan, struct qc_level *level)
{
    const bool target = level->targets != QC_TARGETS_NONE;
    if (index_hints(scan)) /* another one, after a comma */
        return;
    if (scan->lexer.dialect != QC_SQL_SQLITE)
        (void)qc_scan_accept(scan, QC_WORD_LATERAL);
    if (is_postgresql(scan))
        (void)qc_scan_accept(scan, QC_WORD_ONLY);
    if (scan->token->kind == QC_TOKEN_LEFT)
        parenthesised(scan, level);
    else
        named(scan, level);
    if (is_postgresql(scan) && qc_scan_accept(scan, QC_WORD_WITH))
        qc_scan_skip(scan); /* ORDINALITY */
    alias(scan, target);
    sample(scan);
    (void)index_hints(scan);
}
