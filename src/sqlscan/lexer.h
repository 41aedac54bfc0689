/* SQL text as tokens, by each dialect's own rules. Where the meaning of the text hangs on a server setting or on the
 * driver's parameters, the lexer goes on and sets `bad`.
 */
#ifndef QC_SQLSCAN_LEXER_H
#define QC_SQLSCAN_LEXER_H

#include <stdbool.h>
#include <stdint.h>

#include "qcache/sqlscan.h"
#include "sqlscan/keywords.h"

enum qc_token_kind {
    QC_TOKEN_END,
    QC_TOKEN_WORD,   /* an unquoted name or keyword */
    QC_TOKEN_QUOTED, /* a quoted name; start and end leave the quotes out */
    QC_TOKEN_STRING, /* a string constant of any form */
    QC_TOKEN_NUMBER,
    QC_TOKEN_PARAM, /* a placeholder or a variable */
    QC_TOKEN_LEFT,  /* ( */
    QC_TOKEN_RIGHT, /* ) */
    QC_TOKEN_COMMA,
    QC_TOKEN_DOT,
    QC_TOKEN_SEMICOLON,
    QC_TOKEN_STAR,
    QC_TOKEN_EQUALS,
    QC_TOKEN_CAST,    /* :: */
    QC_TOKEN_BRACKET, /* ] */
    QC_TOKEN_OPERATOR /* any other sign */
};

struct qc_token {
    enum qc_token_kind kind;
    enum qc_word word;       /* of a WORD that is one of enum qc_word, else QC_WORD_NONE */
    char quote;              /* what closes a QUOTED or STRING name, else 0: then `end` is where the lexer stopped */
    const char *start, *end; /* in the scanned text */
};

struct qc_lexer {
    const char *at, *start, *end;
    enum qc_sql_dialect dialect;
    bool bad;      /* something was not understood, or could be read in two ways */
    bool variable; /* a MySQL user or system variable was seen */
};

void qc_lexer_init(struct qc_lexer *lexer, enum qc_sql_dialect dialect, const char *text, size_t size);

/* The next token. After QC_TOKEN_END it is QC_TOKEN_END for ever. */
void qc_lexer_next(struct qc_lexer *lexer, struct qc_token *token);

#endif
