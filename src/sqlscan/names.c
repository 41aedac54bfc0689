#include <stdlib.h>
#include <string.h>

#include "sqlscan/scan.h"

#define POSTGRESQL_NAME_MAX 63u /* longer names are cut by the server */

/* ---- Tokens ---- */

void qc_scan_advance(struct qc_scan *scan)
{
    struct qc_token *token = &scan->tokens[++scan->at % QC_SCAN_TOKENS];
    qc_lexer_next(&scan->lexer, token);
    scan->token = token;
}

const struct qc_token *qc_scan_gone(const struct qc_scan *scan, unsigned before)
{
    return &scan->tokens[(scan->at - 1 - before) % QC_SCAN_TOKENS];
}

bool qc_scan_at(const struct qc_scan *scan, enum qc_word word)
{
    return scan->token->word == word;
}

bool qc_scan_at_any(const struct qc_scan *scan, const enum qc_word *words)
{
    for (; *words != QC_WORD_NONE; words++)
        if (scan->token->word == *words)
            return true;
    return false;
}

bool qc_scan_accept(struct qc_scan *scan, enum qc_word word)
{
    if (scan->token->word != word)
        return false;
    qc_scan_advance(scan);
    return true;
}

void qc_scan_skip_any(struct qc_scan *scan, const enum qc_word *words)
{
    while (qc_scan_at_any(scan, words))
        qc_scan_advance(scan);
}

void qc_scan_skip(struct qc_scan *scan)
{
    if (!qc_scan_at_end(scan))
        qc_scan_advance(scan);
}

void qc_scan_unknown(struct qc_scan *scan)
{
    scan->flags |= QC_SQL_UNKNOWN;
}

bool qc_scan_at_end(const struct qc_scan *scan)
{
    return scan->token->kind == QC_TOKEN_SEMICOLON || scan->token->kind == QC_TOKEN_END;
}

void qc_scan_skip_group(struct qc_scan *scan)
{
    size_t depth = 0;
    do {
        if (scan->token->kind == QC_TOKEN_END) {
            qc_scan_unknown(scan);
            return;
        }
        depth += scan->token->kind == QC_TOKEN_LEFT;
        depth -= scan->token->kind == QC_TOKEN_RIGHT;
        qc_scan_advance(scan);
    } while (depth > 0);
}

void qc_scan_skip_statement(struct qc_scan *scan)
{
    while (!qc_scan_at_end(scan)) {
        if (scan->token->kind == QC_TOKEN_LEFT) {
            qc_scan_skip_group(scan);
            continue;
        }
        if (scan->token->kind == QC_TOKEN_RIGHT)
            qc_scan_unknown(scan);
        qc_scan_advance(scan);
    }
}

bool qc_scan_is_name(const struct qc_scan *scan)
{
    /* SQLite takes 'name' for a name where only a name can stand. */
    return scan->token->kind == QC_TOKEN_WORD || scan->token->kind == QC_TOKEN_QUOTED ||
           (scan->token->kind == QC_TOKEN_STRING && scan->lexer.dialect == QC_SQL_SQLITE);
}

bool qc_scan_path(struct qc_scan *scan, struct qc_path *path)
{
    path->qualified = false;
    if (!qc_scan_is_name(scan)) {
        qc_scan_unknown(scan);
        return false;
    }
    path->name = *scan->token;
    qc_scan_advance(scan);
    while (scan->token->kind == QC_TOKEN_DOT) {
        qc_scan_advance(scan);
        if (scan->token->kind == QC_TOKEN_STAR) { /* MySQL: DELETE t.* FROM */
            qc_scan_advance(scan);
            return true;
        }
        if (!qc_scan_is_name(scan)) {
            qc_scan_unknown(scan);
            return false;
        }
        path->schema = path->name;
        path->name = *scan->token;
        path->qualified = true;
        qc_scan_advance(scan);
    }
    return true;
}

/* ---- What a name is ---- */

static char fold(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool qc_token_starts(const struct qc_token *token, const char *text)
{
    const char *at = token->start;
    for (; *text != '\0'; at++, text++)
        if (at >= token->end || fold(*at) != *text)
            return false;
    return true;
}

bool qc_token_is(const struct qc_token *token, const char *text)
{
    return (size_t)(token->end - token->start) == strlen(text) && qc_token_starts(token, text);
}

bool qc_token_is_any(const struct qc_token *token, const char *const *texts)
{
    for (; *texts != NULL; texts++)
        if (qc_token_is(token, *texts))
            return true;
    return false;
}

bool qc_path_is_temporary(const struct qc_scan *scan, const struct qc_path *path)
{
    if (!path->qualified)
        return false;
    if (scan->lexer.dialect == QC_SQL_SQLITE)
        return qc_token_is(&path->schema, "temp");
    return scan->lexer.dialect == QC_SQL_POSTGRESQL && qc_token_starts(&path->schema, "pg_temp");
}

static bool is_system(const struct qc_scan *scan, const struct qc_path *path)
{
    const struct qc_token *name = &path->name, *schema = &path->schema;
    switch (scan->lexer.dialect) {
    case QC_SQL_SQLITE:
        return qc_token_starts(name, "sqlite_") || qc_token_starts(name, "pragma_") || qc_token_is(name, "dbstat");
    case QC_SQL_POSTGRESQL:
        return qc_token_starts(name, "pg_") ||
               (path->qualified && (qc_token_is(schema, "information_schema") || qc_token_is(schema, "pg_catalog")));
    default:
        return path->qualified &&
               (qc_token_is(schema, "information_schema") || qc_token_is(schema, "performance_schema") ||
                qc_token_is(schema, "mysql") || qc_token_is(schema, "sys"));
    }
}

/* ---- The result's lists ---- */

/* Appends the folded name to the text; `*name` tells where. The caller takes it back by text_size. */
static bool append(struct qc_scan *scan, const struct qc_token *token, struct qc_sql_name *name)
{
    struct qc_sql *out = scan->out;
    const uint32_t size = (uint32_t)(token->end - token->start);
    if (out->text == NULL || out->text_room - out->text_size < size) {
        const uint32_t room = (out->text_size + size) * 2 + 256;
        char *text = realloc(out->text, room);
        if (text == NULL) {
            scan->status = QC_ERR_MEMORY;
            return false;
        }
        out->text = text;
        out->text_room = room;
    }
    char *to = out->text + out->text_size;
    for (const char *at = token->start; at < token->end; at++) {
        *to++ = fold(*at);
        if (token->quote != 0 && *at == token->quote && at + 1 < token->end && at[1] == token->quote)
            at++; /* a doubled quote */
    }
    *name = (struct qc_sql_name){out->text_size, (uint32_t)(to - out->text) - out->text_size};
    out->text_size += name->size;
    return true;
}

static bool contains(const struct qc_sql *out, const struct qc_sql_name *names, uint32_t count,
                     const struct qc_sql_name *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (names[i].size == name->size &&
            memcmp(out->text + names[i].offset, out->text + name->offset, name->size) == 0)
            return true;
    return false;
}

static bool make_room(struct qc_scan *scan, struct qc_sql_names *names)
{
    if (names->count < names->room)
        return true;
    const uint32_t room = names->room * 2 + 8;
    struct qc_sql_name *items = realloc(names->items, room * sizeof *items);
    if (items == NULL) {
        scan->status = QC_ERR_MEMORY;
        return false;
    }
    names->items = items;
    names->room = room;
    return true;
}

static void add(struct qc_scan *scan, struct qc_sql_names *names, const struct qc_token *token)
{
    struct qc_sql *out = scan->out;
    struct qc_sql_name name;
    const uint32_t before = out->text_size;
    if (names->count >= out->cap) {
        qc_scan_unknown(scan);
        return;
    }
    if (!append(scan, token, &name))
        return;
    if (contains(out, names->items, names->count, &name) || !make_room(scan, names)) {
        out->text_size = before;
        return;
    }
    names->items[names->count++] = name;
}

static bool is_cte(struct qc_scan *scan, const struct qc_token *token)
{
    struct qc_sql_name name;
    const uint32_t before = scan->out->text_size;
    if (scan->cte_count == 0 || !append(scan, token, &name))
        return false;
    scan->out->text_size = before;
    return contains(scan->out, scan->ctes, scan->cte_count, &name);
}

void qc_scan_add_read(struct qc_scan *scan, const struct qc_path *path)
{
    if (!path->qualified && is_cte(scan, &path->name))
        return;
    if (is_system(scan, path))
        scan->flags |= QC_SQL_SYSTEM;
    add(scan, &scan->out->reads, &path->name);
}

void qc_scan_add_write(struct qc_scan *scan, const struct qc_path *path)
{
    if (is_system(scan, path) && !qc_token_is(&path->name, "sqlite_sequence"))
        qc_scan_unknown(scan);
    if (scan->lexer.dialect == QC_SQL_POSTGRESQL && path->name.end - path->name.start > (ptrdiff_t)POSTGRESQL_NAME_MAX)
        qc_scan_unknown(scan);
    add(scan, &scan->out->writes, &path->name);
}

void qc_scan_add_function(struct qc_scan *scan, const struct qc_token *name)
{
    scan->flags |= qc_function_flags(scan->lexer.dialect, name);
    add(scan, &scan->out->functions, name);
}

void qc_scan_push_cte(struct qc_scan *scan, const struct qc_token *name)
{
    if (scan->cte_count < QC_SCAN_CTES && append(scan, name, &scan->ctes[scan->cte_count]))
        scan->cte_count++;
}
