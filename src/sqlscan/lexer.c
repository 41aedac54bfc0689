#include "sqlscan/lexer.h"

#include <string.h>

static const char OPERATOR_SIGNS[] = "+-/<>!~^&|?:#@[`";

/* MARK: what ends a run of plain signs between quotes. From LETTER on: parts of a name. */
enum { OTHER = 0, SPACE = 1, MARK = 2, LETTER = 3, DIGIT = 4, DOLLAR = 5 };

/* clang-format off */
static const uint8_t classes[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 0, 2, 0, 5, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 0, 0, 0, 0, 0, 0,
    0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 2, 2, 0, 3,
    2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
};
/* clang-format on */

static uint8_t class_of(char c)
{
    return classes[(unsigned char)c];
}

static bool is_name_start(char c)
{
    return class_of(c) == LETTER;
}

static bool is_name_part(char c)
{
    return class_of(c) >= LETTER;
}

/* The sign at `at` + `ahead`, or NUL past the end. */
static char peek(const struct qc_lexer *lexer, size_t ahead)
{
    return (size_t)(lexer->end - lexer->at) > ahead ? lexer->at[ahead] : '\0';
}

static const char *skip_name(const char *at, const char *end)
{
    while (at < end && is_name_part(*at))
        at++;
    return at;
}

/* The end of a driver's placeholder (%s, %b, %t, %(name)s) that begins at the percent sign `at`, or NULL. */
static const char *placeholder_end(const char *at, const char *end)
{
    const char *format = at + 1;
    if (format < end && *format == '(') {
        const char *close = skip_name(format + 1, end);
        if (close == format + 1 || close == end || *close != ')')
            return NULL;
        format = close + 1;
    }
    if (format < end && (*format == 's' || *format == 'b' || *format == 't'))
        return format + 1;
    return NULL;
}

/* psycopg and mysqlclient put a parameter's quoted text wherever the placeholder stands, in a string or a comment too,
 * where its own quote or line end would close what we think still open. */
static void check_inside(struct qc_lexer *lexer, const char *at, const char *end)
{
    if (lexer->dialect == QC_SQL_SQLITE)
        return;
    while (at < end && (at = memchr(at, '%', (size_t)(end - at))) != NULL) {
        const char *after = placeholder_end(at, end);
        if (after != NULL && (after == end || !is_name_part(*after)))
            lexer->bad = true;
        at += at + 1 < end && at[1] == '%' ? 2 : 1;
    }
}

/* ---- White space and comments ---- */

static void skip_line(struct qc_lexer *lexer)
{
    const char *from = lexer->at;
    while (lexer->at < lexer->end && *lexer->at != '\n' && !(*lexer->at == '\r' && lexer->dialect == QC_SQL_POSTGRESQL))
        lexer->at++;
    check_inside(lexer, from, lexer->at);
}

/* Skips a comment whose opening sign is at hand; nested ones on PostgreSQL. Unterminated: bad, and the end. */
static void skip_block(struct qc_lexer *lexer)
{
    const char *from = lexer->at;
    unsigned depth = 1;
    lexer->at += 2;
    while (depth > 0) {
        if (lexer->end - lexer->at < 2) {
            lexer->bad = true;
            lexer->at = lexer->end;
            break;
        }
        if (lexer->at[0] == '*' && lexer->at[1] == '/') {
            depth--;
            lexer->at += 2;
        } else if (lexer->dialect == QC_SQL_POSTGRESQL && lexer->at[0] == '/' && lexer->at[1] == '*') {
            depth++;
            lexer->at += 2;
        } else {
            lexer->at++;
        }
    }
    check_inside(lexer, from, lexer->at);
}

/* MySQL: "--" opens a comment only before white space, a control sign or the end. */
static bool opens_line(const struct qc_lexer *lexer)
{
    if (peek(lexer, 1) != '-')
        return false;
    const unsigned char after = (unsigned char)peek(lexer, 2);
    return lexer->dialect != QC_SQL_MYSQL || after <= ' ' || after == 0x7f;
}

/* The opening of a comment that some servers execute, by their version: its content is read as SQL, its end as two
 * operators, and it is bad. */
static bool open_executable(struct qc_lexer *lexer)
{
    if (lexer->dialect != QC_SQL_MYSQL)
        return false;
    const char third = peek(lexer, 2);
    if (third != '!' && !(third == 'M' && peek(lexer, 3) == '!'))
        return false;
    lexer->at += third == '!' ? 3 : 4;
    while (lexer->at < lexer->end && class_of(*lexer->at) == DIGIT)
        lexer->at++;
    lexer->bad = true;
    return true;
}

static void skip_blank(struct qc_lexer *lexer)
{
    while (lexer->at < lexer->end) {
        const char c = *lexer->at;
        if (class_of(c) == SPACE) {
            lexer->at++;
        } else if ((c == '-' && opens_line(lexer)) || (c == '#' && lexer->dialect == QC_SQL_MYSQL)) {
            skip_line(lexer);
        } else if (c == '/' && peek(lexer, 1) == '*') {
            if (!open_executable(lexer))
                skip_block(lexer);
        } else {
            return;
        }
    }
}

/* ---- Quotes ---- */

/* What a backslash does in a string. */
enum backslash { BACKSLASH_PLAIN, BACKSLASH_ESCAPES, BACKSLASH_DEPENDS };

/* Steps over a backslash. Whether it escapes a quote may hang on a setting (standard_conforming_strings,
 * NO_BACKSLASH_ESCAPES, ANSI_QUOTES): then the string could end in two places. */
static const char *step_backslash(struct qc_lexer *lexer, const char *at, char quote, enum backslash backslash)
{
    if (backslash == BACKSLASH_PLAIN || at + 1 >= lexer->end)
        return at + 1;
    if (backslash == BACKSLASH_DEPENDS && at[1] == quote) {
        lexer->bad = true;
        return lexer->dialect == QC_SQL_MYSQL ? at + 2 : at + 1;
    }
    return at + 2;
}

/* A token from the opening quote at hand to `quote`, which is doubled inside. */
static void quoted(struct qc_lexer *lexer, struct qc_token *token, enum qc_token_kind kind, char quote,
                   enum backslash backslash)
{
    const char *at = lexer->at + 1;
    bool percents = false;
    token->kind = kind;
    token->quote = quote;
    token->start = at;
    for (; at < lexer->end; at++) {
        if (class_of(*at) != MARK)
            continue;
        if (*at == '%') {
            percents = true;
        } else if (*at == '\\') {
            at = step_backslash(lexer, at, quote, backslash) - 1;
        } else if (*at == quote) {
            if (quote == ']' || at + 1 >= lexer->end || at[1] != quote)
                break;
            at++;
        }
    }
    token->end = at;
    if (percents)
        check_inside(lexer, token->start, at);
    lexer->bad |= at == lexer->end;
    lexer->at = at < lexer->end ? at + 1 : at;
}

static void plain_string(struct qc_lexer *lexer, struct qc_token *token)
{
    quoted(lexer, token, QC_TOKEN_STRING, *lexer->at,
           lexer->dialect == QC_SQL_SQLITE ? BACKSLASH_PLAIN : BACKSLASH_DEPENDS);
}

/* $1, ?, ?1 */
static void numbered(struct qc_lexer *lexer, struct qc_token *token)
{
    token->kind = QC_TOKEN_PARAM;
    lexer->at++;
    while (lexer->at < lexer->end && class_of(*lexer->at) == DIGIT)
        lexer->at++;
}

/* PostgreSQL's $tag$..$tag$, or $1. */
static void dollar(struct qc_lexer *lexer, struct qc_token *token)
{
    const char *tag = lexer->at, *at = tag + 1;
    if (class_of(peek(lexer, 1)) == DIGIT) {
        numbered(lexer, token);
        lexer->bad |= is_name_part(peek(lexer, 0));
        return;
    }
    while (at < lexer->end && (class_of(*at) == LETTER || class_of(*at) == DIGIT))
        at++;
    token->kind = QC_TOKEN_STRING;
    lexer->at = at;
    if (at == lexer->end || *at != '$') {
        lexer->bad = true;
        return;
    }
    const size_t size = (size_t)(at - tag) + 1;
    const char *close = memmem(at + 1, (size_t)(lexer->end - at - 1), tag, size);
    check_inside(lexer, at + 1, close != NULL ? close : lexer->end);
    lexer->bad |= close == NULL;
    lexer->at = close != NULL ? close + size : lexer->end;
}

/* ---- Names, numbers, placeholders ---- */

/* E'..', B'..', X'..', N'..', U&'..', U&"..": a letter that belongs to the quote after it, where it does. */
static bool prefixed(struct qc_lexer *lexer, struct qc_token *token)
{
    const char letter = (char)(*lexer->at | 0x20);
    if (peek(lexer, 1) == '\'') {
        static const char letters[][5] = {[QC_SQL_SQLITE] = "x", [QC_SQL_POSTGRESQL] = "ebxn", [QC_SQL_MYSQL] = "bxn"};
        if (strchr(letters[lexer->dialect], letter) == NULL)
            return false;
        lexer->at++;
        if (letter == 'e')
            quoted(lexer, token, QC_TOKEN_STRING, '\'', BACKSLASH_ESCAPES);
        else
            plain_string(lexer, token);
        return true;
    }
    if (letter != 'u' || lexer->dialect != QC_SQL_POSTGRESQL || peek(lexer, 1) != '&')
        return false;
    if (peek(lexer, 2) != '\'' && peek(lexer, 2) != '"')
        return false;
    lexer->at += 2;
    if (*lexer->at == '\'') {
        plain_string(lexer, token);
    } else {
        lexer->bad = true; /* its Unicode escapes are not undone: the name is not known */
        quoted(lexer, token, QC_TOKEN_QUOTED, '"', BACKSLASH_PLAIN);
    }
    return true;
}

static void name(struct qc_lexer *lexer, struct qc_token *token)
{
    if ((peek(lexer, 1) == '\'' || peek(lexer, 1) == '&') && prefixed(lexer, token))
        return;
    if (lexer->dialect == QC_SQL_SQLITE && lexer->end - lexer->at >= 3 && memcmp(lexer->at, "\xef\xbb\xbf", 3) == 0)
        lexer->bad = true; /* a byte order mark is white space to SQLite */
    token->kind = QC_TOKEN_WORD;
    lexer->at = token->end = skip_name(lexer->at + 1, lexer->end);
    token->word = qc_word_find(token->start, (size_t)(token->end - token->start));
}

/* Servers disagree, by version, on what follows when a name touches a number. */
static void number(struct qc_lexer *lexer, struct qc_token *token)
{
    const char *at = lexer->at, *end = lexer->end;
    const bool hexadecimal = *at == '0' && at + 1 < end && (at[1] | 0x20) == 'x';
    if (*at == '.' && lexer->dialect == QC_SQL_MYSQL && at > lexer->start && (is_name_part(at[-1]) || at[-1] == '`'))
        lexer->bad = true; /* database.2024 is a table */
    while (at < end && (is_name_part(*at) || *at == '.')) {
        const char c = (char)(*at | 0x20);
        if (class_of(*at) != DIGIT && *at != '.' && *at != '_' && !hexadecimal) {
            const char *digit = at + 1;
            if (digit < end && (*digit == '+' || *digit == '-'))
                digit++;
            if (c != 'e' || digit >= end || class_of(*digit) != DIGIT) {
                lexer->bad = true;
                break;
            }
            at = digit;
        }
        at++;
    }
    token->kind = QC_TOKEN_NUMBER;
    lexer->at = token->end = at;
}

static void percent(struct qc_lexer *lexer, struct qc_token *token)
{
    const char *after = placeholder_end(lexer->at, lexer->end);
    token->kind = QC_TOKEN_OPERATOR;
    if (after != NULL) {
        token->kind = QC_TOKEN_PARAM;
        /* %suffix: a placeholder, or modulo a name when there are no parameters; prefix%s: a number completes the name */
        if ((after < lexer->end && is_name_part(*after)) || (lexer->at > lexer->start && is_name_part(lexer->at[-1])))
            lexer->bad = true;
        lexer->at = after;
        return;
    }
    if (peek(lexer, 1) == '(')
        lexer->bad = true;
    lexer->at += peek(lexer, 1) == '%' ? 2 : 1;
}

/* :name, @name, $name of SQLite, where a "(" or "::" would belong to the name. */
static void variable(struct qc_lexer *lexer, struct qc_token *token)
{
    token->kind = QC_TOKEN_PARAM;
    const char *from = lexer->at + 1;
    lexer->at = skip_name(from, lexer->end);
    if (lexer->at == from || peek(lexer, 0) == '(' || peek(lexer, 0) == ':')
        lexer->bad = true;
}

/* @name, @@name, @'name' of MySQL. */
static void server_variable(struct qc_lexer *lexer, struct qc_token *token)
{
    lexer->variable = true;
    lexer->at++;
    if (peek(lexer, 0) == '@')
        lexer->at++;
    const char quote = peek(lexer, 0);
    if (quote == '\'' || quote == '"' || quote == '`') {
        quoted(lexer, token, QC_TOKEN_PARAM, quote, quote == '`' ? BACKSLASH_PLAIN : BACKSLASH_DEPENDS);
        return;
    }
    token->kind = QC_TOKEN_PARAM;
    while (lexer->at < lexer->end && (is_name_part(*lexer->at) || *lexer->at == '.'))
        lexer->at++;
}

/* ---- Signs ---- */

static enum qc_token_kind sign(char c)
{
    switch (c) {
    case '(':
        return QC_TOKEN_LEFT;
    case ')':
        return QC_TOKEN_RIGHT;
    case ',':
        return QC_TOKEN_COMMA;
    case '.':
        return QC_TOKEN_DOT;
    case ';':
        return QC_TOKEN_SEMICOLON;
    case '*':
        return QC_TOKEN_STAR;
    case '=':
        return QC_TOKEN_EQUALS;
    case ']':
        return QC_TOKEN_BRACKET;
    default:
        return QC_TOKEN_OPERATOR;
    }
}

static void plain_sign(struct qc_lexer *lexer, struct qc_token *token)
{
    const char c = *lexer->at;
    token->kind = sign(c);
    if (token->kind == QC_TOKEN_OPERATOR && memchr(OPERATOR_SIGNS, c, sizeof OPERATOR_SIGNS - 1) == NULL)
        lexer->bad = true; /* control signs, braces, backslashes */
    if (c == ':' && peek(lexer, 1) == ':') {
        token->kind = QC_TOKEN_CAST;
        lexer->at++;
    }
    lexer->at++;
}

/* Signs that open something in one dialect and are operators in another. False: a plain sign. */
static bool special_sign(struct qc_lexer *lexer, struct qc_token *token)
{
    const enum qc_sql_dialect dialect = lexer->dialect;
    switch (*lexer->at) {
    case '`':
        if (dialect == QC_SQL_POSTGRESQL)
            return false;
        quoted(lexer, token, QC_TOKEN_QUOTED, '`', BACKSLASH_PLAIN);
        return true;
    case '[':
        if (dialect != QC_SQL_SQLITE)
            return false;
        quoted(lexer, token, QC_TOKEN_QUOTED, ']', BACKSLASH_PLAIN);
        return true;
    case '?':
        if (dialect == QC_SQL_POSTGRESQL)
            return false;
        numbered(lexer, token);
        return true;
    case ':':
        if (dialect != QC_SQL_SQLITE)
            return false;
        variable(lexer, token);
        return true;
    case '@':
        if (dialect == QC_SQL_POSTGRESQL)
            return false;
        if (dialect == QC_SQL_SQLITE)
            variable(lexer, token);
        else
            server_variable(lexer, token);
        return true;
    case '$':
        if (dialect == QC_SQL_POSTGRESQL)
            dollar(lexer, token);
        else if (dialect == QC_SQL_SQLITE)
            variable(lexer, token);
        else
            name(lexer, token);
        return true;
    default:
        return false;
    }
}

static void other(struct qc_lexer *lexer, struct qc_token *token)
{
    const char c = *lexer->at;
    if (c == '\'')
        plain_string(lexer, token);
    else if (c == '"' && lexer->dialect == QC_SQL_MYSQL)
        plain_string(lexer, token);
    else if (c == '"')
        quoted(lexer, token, QC_TOKEN_QUOTED, '"', BACKSLASH_PLAIN);
    else if (c == '%')
        percent(lexer, token);
    else if (c == '.' && class_of(peek(lexer, 1)) == DIGIT)
        number(lexer, token);
    else if (!special_sign(lexer, token))
        plain_sign(lexer, token);
}

void qc_lexer_init(struct qc_lexer *lexer, enum qc_sql_dialect dialect, const char *text, size_t size)
{
    *lexer = (struct qc_lexer){.at = text, .start = text, .end = text + size, .dialect = dialect};
}

void qc_lexer_next(struct qc_lexer *lexer, struct qc_token *token)
{
    skip_blank(lexer);
    *token = (struct qc_token){.kind = QC_TOKEN_END, .start = lexer->at, .end = lexer->at};
    if (lexer->at == lexer->end)
        return;
    const char c = *lexer->at;
    if (is_name_start(c))
        name(lexer, token);
    else if (class_of(c) == DIGIT)
        number(lexer, token);
    else
        other(lexer, token);
    if (token->quote == 0)
        token->end = lexer->at;
}
