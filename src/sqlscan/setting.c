#include <string.h>

#include "sqlscan/scan.h"

/* PROTOCOL 2.8: what a setting may do to queries. */

static bool ends_with(const struct qc_token *token, const char *text)
{
    const size_t size = strlen(text);
    if ((size_t)(token->end - token->start) < size)
        return false;
    struct qc_token tail = *token;
    tail.start = tail.end - size;
    return qc_token_is(&tail, text);
}

/* ---- SET and RESET ---- */

static uint32_t class_of_postgresql(const struct qc_token *name)
{
    static const char *const harmless[] = {
        "application_name", "client_min_messages", "jit", "maintenance_work_mem", "work_mem", NULL};
    static const char *const isolation[] = {"transaction_isolation",
                                            "transaction_read_only",
                                            "transaction_deferrable",
                                            "default_transaction_isolation",
                                            "default_transaction_read_only",
                                            "default_transaction_deferrable",
                                            NULL};
    if (qc_token_is_any(name, harmless) || qc_token_starts(name, "enable_") || qc_token_starts(name, "jit_") ||
        ends_with(name, "_timeout"))
        return QC_SQL_HARMLESS;
    return qc_token_is_any(name, isolation) ? QC_SQL_ISOLATION : QC_SQL_SESSION;
}

static uint32_t class_of_mysql(const struct qc_token *name, const struct qc_token *value)
{
    static const char *const harmless[] = {"foreign_key_checks", "max_execution_time", "max_statement_time",
                                           "unique_checks", NULL};
    static const char *const isolation[] = {"transaction_isolation", "tx_isolation", "transaction_read_only",
                                            "tx_read_only", NULL};
    if (qc_token_is(name, "autocommit"))
        return QC_SQL_COMMIT;
    if (qc_token_is(name, "password") || qc_token_is(name, "default")) /* PASSWORD, DEFAULT ROLE: of accounts */
        return QC_SQL_COMMIT | QC_SQL_SESSION;
    if (qc_token_is_any(name, isolation))
        return QC_SQL_ISOLATION;
    if (qc_token_is_any(name, harmless) || ends_with(name, "_timeout"))
        return QC_SQL_HARMLESS;
    if (qc_token_is(name, "sql_auto_is_null") && qc_token_is(value, "0"))
        return QC_SQL_HARMLESS; /* the default; Django sets it on each new connection */
    return QC_SQL_SESSION;
}

/* The value of a PostgreSQL setting: constants and names, nothing that runs. */
static void value_of_postgresql(struct qc_scan *scan)
{
    while (!qc_scan_at_end(scan)) {
        if (scan->token->kind == QC_TOKEN_LEFT || scan->token->kind == QC_TOKEN_RIGHT)
            qc_scan_unknown(scan);
        qc_scan_advance(scan);
    }
}

/* SET [SESSION | LOCAL] TRANSACTION .., SET SESSION CHARACTERISTICS .. */
static bool set_transaction(struct qc_scan *scan)
{
    if (!qc_scan_at(scan, QC_WORD_TRANSACTION) && !qc_scan_at(scan, QC_WORD_CHARACTERISTICS))
        return false;
    scan->flags |= QC_SQL_ISOLATION;
    qc_scan_skip_statement(scan);
    return true;
}

static void set_of_postgresql(struct qc_scan *scan)
{
    static const enum qc_word scopes[] = {QC_WORD_SESSION, QC_WORD_LOCAL, QC_WORD_NONE};
    if (qc_scan_accept(scan, QC_WORD_CONSTRAINTS) && qc_scan_is_name(scan) && !qc_scan_at(scan, QC_WORD_TO)) {
        scan->flags |= QC_SQL_HARMLESS;
        qc_scan_skip_statement(scan);
        return;
    }
    qc_scan_skip_any(scan, scopes);
    if (set_transaction(scan))
        return;
    struct qc_path path;
    if (!qc_scan_path(scan, &path)) {
        scan->flags |= QC_SQL_SESSION;
        return;
    }
    const bool assigned = scan->token->kind == QC_TOKEN_EQUALS || qc_scan_at(scan, QC_WORD_TO);
    /* TIME ZONE, ROLE, SESSION AUTHORIZATION and their like have no sign; a dotted name is somebody's own setting. */
    scan->flags |= assigned && !path.qualified ? class_of_postgresql(&path.name) : (uint32_t)QC_SQL_SESSION;
    value_of_postgresql(scan);
}

/* One of MySQL's assignments; its value is an expression and may call what it likes. */
static bool assignment_of_mysql(struct qc_scan *scan)
{
    static const enum qc_word scopes[] = {QC_WORD_SESSION, QC_WORD_LOCAL,        QC_WORD_GLOBAL,
                                          QC_WORD_PERSIST, QC_WORD_PERSIST_ONLY, QC_WORD_NONE};
    qc_scan_skip_any(scan, scopes);
    if (set_transaction(scan))
        return false;
    struct qc_token name = *scan->token;
    if (name.kind == QC_TOKEN_PARAM && name.end - name.start > 2 && name.start[0] == '@' && name.start[1] == '@') {
        const char *dot = memrchr(name.start, '.', (size_t)(name.end - name.start));
        name.start = dot != NULL ? dot + 1 : name.start + 2;
        if (name.start == name.end || *name.start == '`') /* perhaps `autocommit` */
            scan->flags |= QC_SQL_COMMIT | QC_SQL_SESSION;
    } else if (name.kind != QC_TOKEN_WORD && name.kind != QC_TOKEN_QUOTED) {
        scan->flags |= QC_SQL_SESSION;
        return true;
    }
    qc_scan_advance(scan);
    if (scan->token->kind == QC_TOKEN_OPERATOR) /* := */
        qc_scan_advance(scan);
    if (scan->token->kind != QC_TOKEN_EQUALS) { /* NAMES, CHARACTER SET, PASSWORD, ROLE, STATEMENT .. FOR .. */
        scan->flags |= class_of_mysql(&name, scan->token) | QC_SQL_SESSION;
        return true;
    }
    qc_scan_advance(scan);
    scan->flags |= class_of_mysql(&name, scan->token);
    return true;
}

static void set_of_mysql(struct qc_scan *scan)
{
    /* MariaDB: SET STATEMENT x = y FOR statement */
    if (scan->token->kind == QC_TOKEN_WORD && qc_token_is(scan->token, "statement")) {
        scan->flags |= QC_SQL_SESSION;
        qc_scan_unknown(scan);
    }
    while (assignment_of_mysql(scan)) {
        while (!qc_scan_at_end(scan) && scan->token->kind != QC_TOKEN_COMMA) {
            if (scan->token->kind == QC_TOKEN_LEFT) {
                qc_scan_group(scan);
                continue;
            }
            const struct qc_token word = *scan->token;
            qc_scan_advance(scan);
            if (scan->token->kind == QC_TOKEN_LEFT && (word.kind == QC_TOKEN_WORD || word.kind == QC_TOKEN_QUOTED))
                qc_scan_add_function(scan, &word);
        }
        if (scan->token->kind != QC_TOKEN_COMMA)
            return;
        qc_scan_advance(scan);
    }
}

void qc_scan_set(struct qc_scan *scan)
{
    qc_scan_advance(scan);
    if (scan->lexer.dialect == QC_SQL_POSTGRESQL) {
        set_of_postgresql(scan);
    } else if (scan->lexer.dialect == QC_SQL_MYSQL) {
        set_of_mysql(scan);
    } else {
        qc_scan_unknown(scan);
        qc_scan_skip_statement(scan);
    }
}

void qc_scan_reset(struct qc_scan *scan)
{
    struct qc_path path;
    qc_scan_advance(scan);
    if (scan->lexer.dialect != QC_SQL_POSTGRESQL) {
        qc_scan_unknown(scan);
        qc_scan_skip_statement(scan);
        return;
    }
    if (!qc_scan_path(scan, &path)) {
        scan->flags |= QC_SQL_SESSION;
        return;
    }
    const bool plain = !path.qualified && qc_scan_at_end(scan);
    scan->flags |= plain ? class_of_postgresql(&path.name) : (uint32_t)QC_SQL_SESSION;
    value_of_postgresql(scan);
}

/* ---- PRAGMA ---- */

/* Set or run, they touch the file, the plan or constraints, but neither a row nor what a query means. */
static const char *const pragma_harmless[] = {"analysis_limit",     "busy_timeout",       "cache_size",
                                              "cache_spill",        "defer_foreign_keys", "foreign_keys",
                                              "hard_heap_limit",    "journal_mode",       "journal_size_limit",
                                              "incremental_vacuum", "mmap_size",          "optimize",
                                              "secure_delete",      "shrink_memory",      "soft_heap_limit",
                                              "synchronous",        "temp_store",         "threads",
                                              "wal_autocheckpoint", "wal_checkpoint",     NULL};

/* Their argument only says what to tell. */
static const char *const pragma_tells[] = {"collation_list",    "compile_options",  "data_version",   "database_list",
                                           "foreign_key_check", "foreign_key_list", "freelist_count", "function_list",
                                           "index_info",        "index_list",       "index_xinfo",    "integrity_check",
                                           "module_list",       "page_count",       "pragma_list",    "quick_check",
                                           "table_info",        "table_list",       "table_xinfo",    NULL};

/* Without a value they tell theirs. */
static const char *const pragma_settings[] = {"application_id",
                                              "auto_vacuum",
                                              "automatic_index",
                                              "cell_size_check",
                                              "checkpoint_fullfsync",
                                              "encoding",
                                              "fullfsync",
                                              "ignore_check_constraints",
                                              "legacy_alter_table",
                                              "locking_mode",
                                              "max_page_count",
                                              "page_size",
                                              "query_only",
                                              "read_uncommitted",
                                              "recursive_triggers",
                                              "reverse_unordered_selects",
                                              "schema_version",
                                              "trusted_schema",
                                              "user_version",
                                              "writable_schema",
                                              NULL};

static uint32_t class_of_pragma(const struct qc_token *name, bool valued)
{
    if (qc_token_is_any(name, pragma_harmless))
        return QC_SQL_HARMLESS;
    if (qc_token_is_any(name, pragma_tells) || (!valued && qc_token_is_any(name, pragma_settings)))
        return QC_SQL_READ;
    if (qc_token_is(name, "read_uncommitted"))
        return QC_SQL_ISOLATION | QC_SQL_SESSION;
    return QC_SQL_UNKNOWN | QC_SQL_SESSION;
}

void qc_scan_pragma(struct qc_scan *scan)
{
    struct qc_path path;
    qc_scan_advance(scan);
    if (scan->lexer.dialect != QC_SQL_SQLITE || !qc_scan_path(scan, &path)) {
        qc_scan_unknown(scan);
        qc_scan_skip_statement(scan);
        return;
    }
    const bool valued = scan->token->kind == QC_TOKEN_EQUALS || scan->token->kind == QC_TOKEN_LEFT;
    scan->flags |= class_of_pragma(&path.name, valued);
    if (valued)
        qc_scan_skip_statement(scan);
}
