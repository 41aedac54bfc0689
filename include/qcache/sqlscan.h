/* What one SQL string reads and writes. A scanner, not a parser: it knows enough of the grammar to be sure, and says
 * QC_SQL_UNKNOWN ("may write anything") where it isn't.
 *
 * Threads: pure functions; a struct qc_sql belongs to one thread.
 */
#ifndef QCACHE_SQLSCAN_H
#define QCACHE_SQLSCAN_H

#include <stddef.h>
#include <stdint.h>

#include "qcache/error.h"

enum qc_sql_dialect { QC_SQL_SQLITE = 0, QC_SQL_POSTGRESQL = 1, QC_SQL_MYSQL = 2 };

/* A string may hold several statements: their flags are joined. */
enum qc_sql_flag {
    QC_SQL_READ = 1 << 0,    /* a SELECT, VALUES, TABLE, WITH .. SELECT, EXPLAIN, COPY .. TO, SHOW, a reading PRAGMA */
    QC_SQL_WRITE = 1 << 1,   /* writes the tables listed in `writes`, and no others by itself */
    QC_SQL_DDL = 1 << 2,     /* changes definitions: CREATE, ALTER, DROP, COMMENT, REINDEX, ... */
    QC_SQL_UNKNOWN = 1 << 3, /* may write anything: not understood, CALL, DO, EXECUTE, PREPARE of a write, ... */
    QC_SQL_BEGIN = 1 << 4,   /* BEGIN, START TRANSACTION */
    QC_SQL_IMMEDIATE = 1 << 5, /* with BEGIN: IMMEDIATE or EXCLUSIVE (SQLite) */
    QC_SQL_COMMIT = 1 << 6,    /* COMMIT, END, COMMIT PREPARED, PREPARE TRANSACTION, XA COMMIT, ...: may commit */
    QC_SQL_ROLLBACK = 1 << 7,  /* ROLLBACK, ABORT */
    QC_SQL_SAVEPOINT = 1 << 8,
    QC_SQL_RELEASE = 1 << 9,
    QC_SQL_ROLLBACK_TO = 1 << 10,
    QC_SQL_HARMLESS = 1 << 11,  /* PROTOCOL section 2 rule 8: changes no row and no meaning of a query */
    QC_SQL_SESSION = 1 << 12,   /* a setting not known to be harmless: caching off on that connection until it closes */
    QC_SQL_TEMP = 1 << 13,      /* makes a temporary table or view, which hides a base table: off until it closes */
    QC_SQL_ATTACH = 1 << 14,    /* ATTACH or DETACH */
    QC_SQL_LOCKING = 1 << 15,   /* FOR UPDATE, FOR SHARE, ...: a read that must reach the database */
    QC_SQL_RETURNING = 1 << 16, /* a write that gives rows */
    QC_SQL_COPY_FROM = 1 << 17, /* COPY table FROM: the driver sends rows after execute */
    QC_SQL_ISOLATION =
        1 << 18, /* SET TRANSACTION, SET SESSION CHARACTERISTICS, BEGIN with modes, PRAGMA read_uncommitted */
    QC_SQL_DATABASE = 1 << 19, /* CREATE, DROP or ALTER DATABASE */
    QC_SQL_SYSTEM = 1 << 20    /* reads a system catalog (sqlite_master, pg_*, information_schema): never cached */
};

/* A name: last part only (schema and database dropped), unquoted, quotes undoubled, ASCII case folded. */
struct qc_sql_name {
    uint32_t offset, size; /* in `text` */
};

struct qc_sql_names {
    struct qc_sql_name *items;
    uint32_t count, room;
};

/* Reused between calls; zero it first, free with qc_sql_release. Names are distinct within a list. */
struct qc_sql {
    uint32_t flags;
    struct qc_sql_names reads;  /* tables and views in FROM, JOIN, USING, IN table, subqueries; CTE names left out */
    struct qc_sql_names writes; /* targets, including those of writable CTEs; TRUNCATE lists */
    struct qc_sql_names
        functions; /* every name before "(", and CURRENT_TIMESTAMP and its like; casts and types left out */
    char *text;
    uint32_t text_size, text_room;
    uint32_t cap; /* set by the scanner: names past QC_SQL_NAMES_MAX make the string QC_SQL_UNKNOWN */
};

#define QC_SQL_NAMES_MAX 1024u

void qc_sql_release(struct qc_sql *sql);

/* Scans `text` (UTF-8, not terminated; placeholders %s, %(name)s, ?, :name, $1 are values; "%%" is a percent sign).
 * Returns 0 or QC_ERR_MEMORY. What it can't understand is not an error: QC_SQL_UNKNOWN. */
int qc_sql_scan(enum qc_sql_dialect dialect, const char *text, size_t size, struct qc_sql *out) QC_MUST_USE;

#endif
