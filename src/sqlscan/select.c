#include "sqlscan/scan.h"

static bool dialect_is(const struct qc_scan *scan, enum qc_sql_dialect dialect)
{
    return scan->lexer.dialect == dialect;
}

/* ---- Functions ---- */

/* Whether the token gone by so many before ends an operand: an operator may follow that is spelt like a function
 * (x LIKE (..), like(x, y)). */
static bool ends_operand(const struct qc_scan *scan, unsigned before)
{
    if (qc_scan_gone(scan, before)->word == QC_WORD_NOT)
        before++;
    const enum qc_word word = qc_scan_gone(scan, before)->word;
    switch (qc_scan_gone(scan, before)->kind) {
    case QC_TOKEN_QUOTED:
    case QC_TOKEN_STRING:
    case QC_TOKEN_NUMBER:
    case QC_TOKEN_PARAM:
    case QC_TOKEN_RIGHT:
    case QC_TOKEN_BRACKET:
        return true;
    case QC_TOKEN_WORD:
        return word == QC_WORD_NONE || word == QC_WORD_NULL || word == QC_WORD_TRUE || word == QC_WORD_FALSE ||
               word == QC_WORD_END;
    default:
        return false;
    }
}

/* Whether the word just gone by is syntax before the "(" at hand. Only what can't be a call there may be left out: a
 * function not listed could be one that writes. */
static bool is_syntax(const struct qc_scan *scan, const struct qc_level *level)
{
    const enum qc_word word = qc_scan_gone(scan, 0)->word, before = qc_scan_gone(scan, 1)->word;
    const enum qc_token_kind kind = qc_scan_gone(scan, 1)->kind;
    switch (word) {
    case QC_WORD_NONE:
        return false;
    case QC_WORD_OVER:
    case QC_WORD_FILTER:
    case QC_WORD_AGAINST:
        return kind == QC_TOKEN_RIGHT;
    case QC_WORD_BY:
        return before == QC_WORD_ORDER || before == QC_WORD_GROUP || before == QC_WORD_PARTITION ||
               dialect_is(scan, QC_SQL_MYSQL);
    case QC_WORD_ZONE:
        return before == QC_WORD_TIME;
    case QC_WORD_SETS:
        return before == QC_WORD_GROUPING;
    case QC_WORD_ROLLUP:
    case QC_WORD_CUBE:
        return before == QC_WORD_BY || (level->grouping && kind == QC_TOKEN_COMMA);
    case QC_WORD_FIRST:
    case QC_WORD_NEXT:
        return before == QC_WORD_FETCH;
    case QC_WORD_ANY:
    case QC_WORD_SOME:
        return kind == QC_TOKEN_OPERATOR || kind == QC_TOKEN_EQUALS ||
               qc_word_has(word, QC_TRAIT_NO_CALL, scan->lexer.dialect);
    case QC_WORD_LIKE:
    case QC_WORD_ILIKE:
    case QC_WORD_GLOB:
    case QC_WORD_MATCH:
    case QC_WORD_REGEXP:
    case QC_WORD_RLIKE:
    case QC_WORD_SIMILAR:
    case QC_WORD_OVERLAPS:
    case QC_WORD_IS:
    case QC_WORD_ESCAPE:
        return ends_operand(scan, 1) || qc_word_has(word, QC_TRAIT_NO_CALL, scan->lexer.dialect);
    default:
        return qc_word_has(word, QC_TRAIT_NO_CALL, scan->lexer.dialect);
    }
}

/* A column, a function's name or a word of the grammar: [a.[b.]]c, a.* */
static void operand(struct qc_scan *scan, const struct qc_level *level)
{
    bool chained = false;
    qc_scan_advance(scan);
    while (scan->token->kind == QC_TOKEN_DOT) {
        qc_scan_advance(scan);
        if (scan->token->kind != QC_TOKEN_WORD && scan->token->kind != QC_TOKEN_QUOTED)
            return;
        chained = true;
        qc_scan_advance(scan);
    }
    const struct qc_token *name = qc_scan_gone(scan, 0);
    if (!chained && qc_word_has(name->word, QC_TRAIT_VALUE, scan->lexer.dialect))
        qc_scan_add_function(scan, name);
    else if (scan->token->kind == QC_TOKEN_LEFT && (chained || !is_syntax(scan, level)))
        qc_scan_add_function(scan, name);
}

/* PostgreSQL's x::type(10, 2): the type's "(" calls nothing. */
static void cast_to(struct qc_scan *scan)
{
    static const enum qc_word more[] = {QC_WORD_PRECISION, QC_WORD_VARYING, QC_WORD_NONE};
    struct qc_path path;
    qc_scan_advance(scan);
    (void)qc_scan_accept(scan, QC_WORD_NATIONAL);
    if (qc_scan_path(scan, &path))
        qc_scan_skip_any(scan, more);
}

/* ---- Groups ---- */

static void group_as(struct qc_scan *scan, bool cast)
{
    if (scan->depth >= QC_SCAN_DEPTH) {
        qc_scan_unknown(scan);
        qc_scan_skip_group(scan);
        return;
    }
    const unsigned names = scan->cte_count;
    scan->depth++;
    qc_scan_advance(scan);
    if (cast) {
        struct qc_level level = {.cast = true};
        qc_scan_walk(scan, &level);
    } else {
        (void)qc_scan_query(scan);
    }
    scan->depth--;
    scan->cte_count = names;
    if (scan->token->kind == QC_TOKEN_RIGHT)
        qc_scan_advance(scan);
    else
        qc_scan_unknown(scan);
}

void qc_scan_group(struct qc_scan *scan)
{
    group_as(scan, false);
}

bool qc_scan_query(struct qc_scan *scan)
{
    const bool with = qc_scan_at(scan, QC_WORD_WITH);
    if (with)
        qc_scan_with(scan);
    if ((with || dialect_is(scan, QC_SQL_POSTGRESQL)) && qc_scan_at_write(scan)) {
        qc_scan_write(scan);
        return true;
    }
    struct qc_level level = {0};
    qc_scan_walk(scan, &level);
    return false;
}

/* ---- WITH ---- */

/* SEARCH BREADTH FIRST BY a, b SET c; CYCLE a, b SET c [TO x DEFAULT y] USING d */
static void search_and_cycle(struct qc_scan *scan)
{
    while (qc_scan_at(scan, QC_WORD_SEARCH) || qc_scan_at(scan, QC_WORD_CYCLE)) {
        const enum qc_word last = qc_scan_at(scan, QC_WORD_SEARCH) ? QC_WORD_SET : QC_WORD_USING;
        while (!qc_scan_at(scan, last) && scan->token->kind != QC_TOKEN_LEFT && scan->token->kind != QC_TOKEN_RIGHT &&
               !qc_scan_at_end(scan))
            qc_scan_advance(scan);
        if (!qc_scan_accept(scan, last) || !qc_scan_is_name(scan)) {
            qc_scan_unknown(scan);
            return;
        }
        qc_scan_advance(scan);
    }
}

/* One name [(columns)] AS [[NOT] MATERIALIZED] (query). A recursive one sees itself; another's own name inside it is a
 * table's. */
static bool with_item(struct qc_scan *scan, bool recursive)
{
    static const enum qc_word hints[] = {QC_WORD_NOT, QC_WORD_MATERIALIZED, QC_WORD_NONE};
    const struct qc_token name = *scan->token;
    if (!qc_scan_is_name(scan))
        return false;
    qc_scan_advance(scan);
    if (scan->token->kind == QC_TOKEN_LEFT)
        qc_scan_skip_group(scan);
    if (!qc_scan_accept(scan, QC_WORD_AS))
        return false;
    qc_scan_skip_any(scan, hints);
    if (scan->token->kind != QC_TOKEN_LEFT)
        return false;
    if (recursive)
        qc_scan_push_cte(scan, &name);
    qc_scan_group(scan);
    if (!recursive)
        qc_scan_push_cte(scan, &name);
    search_and_cycle(scan);
    return true;
}

void qc_scan_with(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    const bool recursive = qc_scan_accept(scan, QC_WORD_RECURSIVE);
    do {
        if (!with_item(scan, recursive)) {
            qc_scan_unknown(scan);
            return;
        }
        if (scan->token->kind != QC_TOKEN_COMMA)
            return;
        qc_scan_advance(scan);
    } while (true);
}

/* ---- Words that mean something inside a query ---- */

static void from(struct qc_scan *scan, struct qc_level *level)
{
    const bool distinct = qc_scan_gone(scan, 0)->word == QC_WORD_DISTINCT &&
                          (qc_scan_gone(scan, 1)->word == QC_WORD_IS || qc_scan_gone(scan, 1)->word == QC_WORD_NOT);
    qc_scan_advance(scan);
    if (!level->select || distinct)
        return; /* EXTRACT(x FROM y), IS DISTINCT FROM y */
    level->from = true;
    qc_scan_from_item(scan, level);
}

static void join(struct qc_scan *scan, struct qc_level *level)
{
    const enum qc_token_kind kind = qc_scan_gone(scan, 0)->kind;
    const enum qc_word before = qc_scan_gone(scan, 0)->word;
    if (!level->from) {
        operand(scan, level);
        return;
    }
    if (kind == QC_TOKEN_OPERATOR || kind == QC_TOKEN_EQUALS || before == QC_WORD_ON || before == QC_WORD_AND ||
        before == QC_WORD_OR)
        qc_scan_unknown(scan); /* a PostgreSQL function may be called join */
    qc_scan_advance(scan);
    qc_scan_from_item(scan, level);
}

/* SELECT .. INTO makes a table on PostgreSQL; on MySQL it writes a file or variables. */
static void into(struct qc_scan *scan, struct qc_level *level)
{
    static const enum qc_word kinds[] = {QC_WORD_LOCAL,    QC_WORD_GLOBAL, QC_WORD_TEMP, QC_WORD_TEMPORARY,
                                         QC_WORD_UNLOGGED, QC_WORD_TABLE,  QC_WORD_NONE};
    level->from = false;
    qc_scan_advance(scan);
    if (dialect_is(scan, QC_SQL_MYSQL) && level->select)
        return;
    if (!dialect_is(scan, QC_SQL_POSTGRESQL) || !level->select) {
        qc_scan_unknown(scan);
        return;
    }
    bool temporary = false;
    for (; qc_scan_at_any(scan, kinds); qc_scan_advance(scan))
        temporary |= qc_scan_at(scan, QC_WORD_TEMP) || qc_scan_at(scan, QC_WORD_TEMPORARY);
    struct qc_path path;
    if (qc_word_has(scan->token->word, QC_TRAIT_NO_ALIAS, QC_SQL_POSTGRESQL) || !qc_scan_path(scan, &path)) {
        scan->flags |= QC_SQL_DDL | QC_SQL_TEMP; /* the table is called temp */
        return;
    }
    scan->flags |= temporary || qc_path_is_temporary(scan, &path) ? QC_SQL_TEMP : QC_SQL_DDL;
}

/* FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE. */
static void row_lock(struct qc_scan *scan, struct qc_level *level)
{
    static const enum qc_word strengths[] = {QC_WORD_NO, QC_WORD_KEY, QC_WORD_NONE};
    qc_scan_advance(scan);
    qc_scan_skip_any(scan, strengths);
    if (qc_scan_accept(scan, QC_WORD_UPDATE) || qc_scan_accept(scan, QC_WORD_SHARE)) {
        scan->flags |= QC_SQL_LOCKING;
        level->from = false; /* OF a, b */
    } else if (qc_scan_at(scan, QC_WORD_SYSTEM_TIME)) {
        qc_scan_unknown(scan);
    }
}

/* x IN table, of SQLite. */
static void in(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    if (!dialect_is(scan, QC_SQL_SQLITE) || !qc_scan_is_name(scan))
        return;
    struct qc_path path;
    if (!qc_scan_path(scan, &path))
        return;
    if (scan->token->kind == QC_TOKEN_LEFT)
        qc_scan_add_function(scan, &path.name);
    else
        qc_scan_add_read(scan, &path);
}

/* AS label, where any word may be the label; in CAST, a type up to the end. */
static void as(struct qc_scan *scan, const struct qc_level *level)
{
    qc_scan_advance(scan);
    if (!level->cast) {
        if (scan->token->kind == QC_TOKEN_WORD || scan->token->kind == QC_TOKEN_QUOTED ||
            scan->token->kind == QC_TOKEN_STRING)
            qc_scan_advance(scan);
        return;
    }
    while (scan->token->kind != QC_TOKEN_RIGHT && !qc_scan_at_end(scan)) {
        if (scan->token->kind == QC_TOKEN_LEFT)
            qc_scan_skip_group(scan);
        else
            qc_scan_advance(scan);
    }
}

static void cast(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    if (scan->token->kind == QC_TOKEN_LEFT)
        group_as(scan, true);
}

/* The TABLE t of SELECT * FROM t; before FROM it is a column's label. */
static void table(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    if (qc_scan_at(scan, QC_WORD_FROM))
        return;
    (void)qc_scan_accept(scan, QC_WORD_ONLY);
    struct qc_path path;
    if (qc_scan_path(scan, &path))
        qc_scan_add_read(scan, &path);
}

/* INSERT, UPDATE, DELETE or MERGE, where only ON CONFLICT DO, ON DUPLICATE KEY and MERGE's THEN may be followed by one. */
static void verb(struct qc_scan *scan, struct qc_level *level)
{
    const struct qc_token name = *scan->token;
    const enum qc_word before = qc_scan_gone(scan, 0)->word;
    qc_scan_advance(scan);
    if (level->write && (before == QC_WORD_DO || before == QC_WORD_THEN || before == QC_WORD_KEY))
        level->from = false;
    else if (name.word == QC_WORD_INSERT && dialect_is(scan, QC_SQL_MYSQL) && scan->token->kind == QC_TOKEN_LEFT)
        qc_scan_add_function(scan, &name);
    else
        qc_scan_unknown(scan);
}

/* Words of a write's own grammar, which are plain names elsewhere. False: nothing was stepped over. */
static bool word_of_write(struct qc_scan *scan, struct qc_level *level)
{
    switch (scan->token->word) {
    case QC_WORD_SET:
        level->from = false;
        level->select = true; /* UPDATE t SET .. FROM */
        level->targets = QC_TARGETS_NONE;
        break;
    case QC_WORD_RETURNING:
        level->from = false;
        scan->flags |= QC_SQL_RETURNING;
        break;
    case QC_WORD_ON:
        qc_scan_advance(scan);
        if (!qc_scan_at(scan, QC_WORD_CONFLICT))
            return true;
        break;
    default:
        return false;
    }
    qc_scan_advance(scan);
    return true;
}

static void clause(struct qc_scan *scan, struct qc_level *level)
{
    level->from = false;
    level->grouping = qc_scan_at(scan, QC_WORD_GROUP);
    level->select |= qc_scan_at(scan, QC_WORD_SELECT);
    qc_scan_advance(scan);
}

static void any_word(struct qc_scan *scan, struct qc_level *level)
{
    if (level->write && word_of_write(scan, level))
        return;
    switch (scan->token->word) {
    case QC_WORD_SELECT:
    case QC_WORD_WHERE:
    case QC_WORD_GROUP:
    case QC_WORD_HAVING:
    case QC_WORD_ORDER:
    case QC_WORD_LIMIT:
    case QC_WORD_UNION:
    case QC_WORD_EXCEPT:
    case QC_WORD_INTERSECT:
        clause(scan, level);
        return;
    case QC_WORD_FROM:
        from(scan, level);
        return;
    case QC_WORD_JOIN:
    case QC_WORD_STRAIGHT_JOIN:
        join(scan, level);
        return;
    case QC_WORD_INTO:
        into(scan, level);
        return;
    case QC_WORD_FOR:
        row_lock(scan, level);
        return;
    case QC_WORD_LOCK:
        if (dialect_is(scan, QC_SQL_MYSQL)) /* IN SHARE MODE */
            scan->flags |= QC_SQL_LOCKING;
        operand(scan, level);
        return;
    case QC_WORD_IN:
        in(scan);
        return;
    case QC_WORD_AS:
        as(scan, level);
        return;
    case QC_WORD_TABLE:
        table(scan);
        return;
    case QC_WORD_WINDOW:
        if (qc_scan_at_window(scan))
            level->from = false;
        operand(scan, level);
        return;
    case QC_WORD_CAST:
        cast(scan);
        return;
    case QC_WORD_INSERT:
    case QC_WORD_UPDATE:
    case QC_WORD_DELETE:
    case QC_WORD_MERGE:
        verb(scan, level);
        return;
    default:
        operand(scan, level);
    }
}

/* Nothing can be called by a string or a parameter, unless it is read in another way than we do (ANSI_QUOTES, modulo,
 * a name that the driver puts in). */
static void left(struct qc_scan *scan)
{
    if (qc_scan_gone(scan, 0)->kind == QC_TOKEN_STRING || qc_scan_gone(scan, 0)->kind == QC_TOKEN_PARAM)
        qc_scan_unknown(scan);
    qc_scan_group(scan);
}

void qc_scan_walk(struct qc_scan *scan, struct qc_level *level)
{
    while (true) {
        switch (scan->token->kind) {
        case QC_TOKEN_END:
        case QC_TOKEN_SEMICOLON:
        case QC_TOKEN_RIGHT:
            return;
        case QC_TOKEN_LEFT:
            left(scan);
            break;
        case QC_TOKEN_COMMA:
            qc_scan_advance(scan);
            if (level->from)
                qc_scan_from_item(scan, level);
            break;
        case QC_TOKEN_CAST:
            cast_to(scan);
            break;
        case QC_TOKEN_WORD:
            any_word(scan, level);
            break;
        case QC_TOKEN_QUOTED:
            operand(scan, level);
            break;
        default:
            qc_scan_advance(scan);
        }
    }
}
