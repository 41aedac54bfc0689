/* The state of one scan, and the parts of the scanner that call each other.
 *
 * The rule that all of them keep: text the server would accept never loses a write. What isn't understood becomes
 * QC_SQL_UNKNOWN; text the server would refuse may be read in any way.
 */
#ifndef QC_SQLSCAN_SCAN_H
#define QC_SQLSCAN_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "qcache/sqlscan.h"
#include "sqlscan/lexer.h"

#define QC_SCAN_CTES 64u   /* CTE names in scope; those beyond are taken for tables */
#define QC_SCAN_DEPTH 200u /* parentheses within each other */

#define QC_SCAN_TOKENS 4u /* the current one and those before it that are remembered, a power of two */

struct qc_scan {
    struct qc_lexer lexer;
    const struct qc_token *token; /* the current one, in the ring */
    unsigned at;
    struct qc_token tokens[QC_SCAN_TOKENS]; /* filled in place */
    struct qc_sql *out;
    uint32_t flags; /* of the statement at hand */
    int status;
    unsigned depth;
    unsigned cte_count;
    struct qc_sql_name ctes[QC_SCAN_CTES];
};

/* A name with what qualifies it: [[database.]schema.]name */
struct qc_path {
    struct qc_token name, schema;
    bool qualified;
};

/* What has been seen between one pair of parentheses (or of a whole statement). */
struct qc_level {
    bool select;   /* a SELECT: its FROM is a clause and not a part of a function's arguments */
    bool from;     /* inside a list of tables: the next comma or JOIN is followed by one */
    bool write;    /* the rest of an INSERT, UPDATE, DELETE or MERGE */
    bool cast;     /* CAST(.. AS type) */
    bool grouping; /* inside GROUP BY */
    enum { QC_TARGETS_NONE, QC_TARGETS_FIRST, QC_TARGETS_REST } targets; /* tables of the list are written */
};

/* ---- names.c: tokens and the names of the result ---- */

void qc_scan_advance(struct qc_scan *scan);
const struct qc_token *qc_scan_gone(const struct qc_scan *scan, unsigned before); /* 0: the one before the current */
bool qc_scan_at(const struct qc_scan *scan, enum qc_word word);
bool qc_scan_at_any(const struct qc_scan *scan, const enum qc_word *words); /* ended by QC_WORD_NONE */
bool qc_scan_accept(struct qc_scan *scan, enum qc_word word);               /* steps over it if it is the current one */
void qc_scan_skip_any(struct qc_scan *scan, const enum qc_word *words);
void qc_scan_skip(struct qc_scan *scan); /* one token, whatever it is, but not past the statement */
void qc_scan_unknown(struct qc_scan *scan);

/* Steps over a parenthesised group without looking at it; the current token is its "(". */
void qc_scan_skip_group(struct qc_scan *scan);

/* Steps over the rest of the statement, semicolons in parentheses included. */
void qc_scan_skip_statement(struct qc_scan *scan);

bool qc_scan_at_end(const struct qc_scan *scan); /* of a statement */
bool qc_scan_is_name(const struct qc_scan *scan);

/* Reads a name. False, and unknown, when there is none. */
bool qc_scan_path(struct qc_scan *scan, struct qc_path *path);

/* Whether the last part of a name (or its schema) is `text`, ASCII case folded. */
bool qc_token_is(const struct qc_token *token, const char *text);
bool qc_token_starts(const struct qc_token *token, const char *text);
bool qc_token_is_any(const struct qc_token *token, const char *const *texts); /* ended by NULL */

bool qc_path_is_temporary(const struct qc_scan *scan, const struct qc_path *path);
void qc_scan_add_read(struct qc_scan *scan, const struct qc_path *path);
void qc_scan_add_write(struct qc_scan *scan, const struct qc_path *path);
void qc_scan_add_function(struct qc_scan *scan, const struct qc_token *name);
void qc_scan_push_cte(struct qc_scan *scan, const struct qc_token *name);

/* ---- functions.c: what a call does beside giving a value ---- */

uint32_t qc_function_flags(enum qc_sql_dialect dialect, const struct qc_token *name);

/* ---- select.c: everything between parentheses ---- */

/* Goes on to the ")", the ";" or the end that closes this level. */
void qc_scan_walk(struct qc_scan *scan, struct qc_level *level);

/* Steps over a group; the current token is its "(". */
void qc_scan_group(struct qc_scan *scan);

/* [WITH ..] and what follows to the end of the level. True when it was a write (a WITH may be followed by one in any
 * dialect, on PostgreSQL a "(" too). */
bool qc_scan_query(struct qc_scan *scan);

/* The names before a query, in scope until `cte_count` is set back. The current token is WITH. */
void qc_scan_with(struct qc_scan *scan);

/* ---- from.c: one table (function, subquery, joined group) of a list, with its alias ---- */

void qc_scan_from_item(struct qc_scan *scan, struct qc_level *level);

/* Whether a WINDOW clause begins here. SQLite takes "window" for a name where no "name AS" follows. */
bool qc_scan_at_window(const struct qc_scan *scan);

/* ---- write.c: INSERT, REPLACE, UPDATE, DELETE, MERGE to the end of their level ---- */

bool qc_scan_at_write(const struct qc_scan *scan);
void qc_scan_write(struct qc_scan *scan);

/* ---- ddl.c, setting.c, transaction.c, statement.c: whole statements; the current token is the first one ---- */

void qc_scan_create(struct qc_scan *scan);
void qc_scan_alter(struct qc_scan *scan);
void qc_scan_drop(struct qc_scan *scan);
void qc_scan_set(struct qc_scan *scan);
void qc_scan_reset(struct qc_scan *scan);
void qc_scan_pragma(struct qc_scan *scan);
bool qc_scan_transaction(struct qc_scan *scan); /* false: it was none, nothing was stepped over */
void qc_scan_statement(struct qc_scan *scan);   /* to its end in any case */

#endif
