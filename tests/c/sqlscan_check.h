/* Rows of (statement, what the scanner must say), shared by the sqlscan tests of the three dialects. */
#ifndef SQLSCAN_CHECK_H
#define SQLSCAN_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qcache/sqlscan.h"

/* Flags as the rows write them. */
enum {
    R = QC_SQL_READ,
    W = QC_SQL_WRITE,
    DDL = QC_SQL_DDL,
    UNKNOWN = QC_SQL_UNKNOWN,
    BEGIN = QC_SQL_BEGIN,
    IMMEDIATE = QC_SQL_IMMEDIATE,
    COMMIT = QC_SQL_COMMIT,
    ROLLBACK = QC_SQL_ROLLBACK,
    SAVEPOINT = QC_SQL_SAVEPOINT,
    RELEASE = QC_SQL_RELEASE,
    ROLLBACK_TO = QC_SQL_ROLLBACK_TO,
    HARMLESS = QC_SQL_HARMLESS,
    SESSION = QC_SQL_SESSION,
    TEMP = QC_SQL_TEMP,
    ATTACH = QC_SQL_ATTACH,
    LOCKING = QC_SQL_LOCKING,
    RET = QC_SQL_RETURNING,
    COPY_FROM = QC_SQL_COPY_FROM,
    ISOLATION = QC_SQL_ISOLATION,
    DATABASE = QC_SQL_DATABASE,
    SYSTEM = QC_SQL_SYSTEM
};

struct row {
    const char *sql;
    uint32_t flags;
    const char *reads, *writes, *functions; /* in the order of their first appearance, with commas between */
};

#define LIST_MAX 4096

static inline void list(const struct qc_sql *sql, const struct qc_sql_names *names, char out[LIST_MAX])
{
    size_t size = 0;
    for (uint32_t i = 0; i < names->count; i++) {
        const struct qc_sql_name *name = &names->items[i];
        assert_true(name->offset <= sql->text_size && name->size <= sql->text_size - name->offset);
        if (i > 0)
            out[size++] = ',';
        assert_true(size + name->size + 2 < LIST_MAX);
        memcpy(out + size, sql->text + name->offset, name->size);
        size += name->size;
    }
    out[size] = '\0';
}

/* Scans a copy that ends where its memory ends, so that a sanitizer sees a read past it. */
static inline void scan(enum qc_sql_dialect dialect, const char *text, size_t size, struct qc_sql *out)
{
    char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    assert_int_equal(qc_sql_scan(dialect, copy, size, out), QC_OK);
    free(copy);
}

static inline bool says(const struct qc_sql *sql, const struct row *row, const char *text)
{
    char reads[LIST_MAX], writes[LIST_MAX], functions[LIST_MAX];
    list(sql, &sql->reads, reads);
    list(sql, &sql->writes, writes);
    list(sql, &sql->functions, functions);
    if (sql->flags == row->flags && strcmp(reads, row->reads) == 0 && strcmp(writes, row->writes) == 0 &&
        strcmp(functions, row->functions) == 0)
        return true;
    print_error("%s\n    wanted %x reads %s writes %s functions %s\n    got    %x reads %s writes %s functions %s\n",
                text, row->flags, row->reads, row->writes, row->functions, sql->flags, reads, writes, functions);
    return false;
}

/* The same with comments for blanks, and in capitals, where no quote, placeholder or comment is in the way. */
static inline bool says_the_same_respelt(enum qc_sql_dialect dialect, const struct row *row, struct qc_sql *sql)
{
    static const char blank[] = "/* ; DELETE FROM zz */\n";
    char text[8192];
    size_t size = 0;
    if (strpbrk(row->sql, "'\"`[$%#\\\t\r\n") != NULL || strstr(row->sql, "--") != NULL ||
        strstr(row->sql, "/*") != NULL)
        return true;
    for (const char *at = row->sql; *at != '\0'; at++) {
        assert_true(size + sizeof blank < sizeof text);
        if (*at == ' ') {
            memcpy(text + size, blank, sizeof blank - 1);
            size += sizeof blank - 1;
        } else {
            text[size++] = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
        }
    }
    text[size] = '\0';
    scan(dialect, text, size, sql);
    return says(sql, row, text);
}

/* A write after it is never missed. */
static inline bool sees_what_follows(enum qc_sql_dialect dialect, const struct row *row, struct qc_sql *sql)
{
    char text[4096], writes[LIST_MAX];
    const int size = snprintf(text, sizeof text, "%s\n; DELETE FROM zz", row->sql);
    assert_true(size > 0 && (size_t)size < sizeof text);
    scan(dialect, text, (size_t)size, sql);
    list(sql, &sql->writes, writes);
    if ((sql->flags & QC_SQL_UNKNOWN) != 0 || ((sql->flags & QC_SQL_WRITE) != 0 && strstr(writes, "zz") != NULL))
        return true;
    print_error("%s\n    the write that follows is not seen\n", row->sql);
    return false;
}

static inline void check_rows(enum qc_sql_dialect dialect, const struct row *rows, size_t count)
{
    struct qc_sql sql = {0};
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(rows[i].sql);
        for (size_t cut = 0; cut < size; cut++) /* whatever it says, it reads no further */
            scan(dialect, rows[i].sql, cut, &sql);
        scan(dialect, rows[i].sql, size, &sql);
        failed += !says(&sql, &rows[i], rows[i].sql);
        failed += !says_the_same_respelt(dialect, &rows[i], &sql);
        failed += !sees_what_follows(dialect, &rows[i], &sql);
    }
    qc_sql_release(&sql);
    assert_int_equal(failed, 0);
}

#define CHECK_ROWS(dialect, rows) check_rows(dialect, rows, sizeof(rows) / sizeof((rows)[0]))

#endif
