/* The scanner on any text: it ends, what it lists lies inside its text, the same text gives the same answer, and a write
 * that follows is never missed. First byte: the dialect. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qcache/sqlscan.h"

#define TAIL "\n; DELETE FROM zz"
#define TAIL_SIZE (sizeof TAIL - 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
    if (!holds)
        abort();
}

/* A copy that ends where its memory ends. */
static void scan(enum qc_sql_dialect dialect, const void *text, size_t size, const char *tail, size_t tail_size,
                 struct qc_sql *out)
{
    char *copy = malloc(size + tail_size + 1);
    require(copy != NULL);
    char *start = copy + 1; /* malloc(0) may be NULL */
    if (size > 0)
        memcpy(start, text, size);
    memcpy(start + size, tail, tail_size);
    require(qc_sql_scan(dialect, start, size + tail_size, out) == QC_OK);
    free(copy);
}

static void check_names(const struct qc_sql *sql, const struct qc_sql_names *names)
{
    require(names->count <= QC_SQL_NAMES_MAX && names->count <= names->room);
    for (uint32_t i = 0; i < names->count; i++) {
        const struct qc_sql_name *name = &names->items[i];
        require(name->offset <= sql->text_size && name->size <= sql->text_size - name->offset);
        for (uint32_t j = 0; j < i; j++)
            require(names->items[j].size != name->size ||
                    memcmp(sql->text + names->items[j].offset, sql->text + name->offset, name->size) != 0);
    }
}

static void check_same(const struct qc_sql *a, const struct qc_sql *b)
{
    require(a->flags == b->flags && a->text_size == b->text_size);
    require(a->text_size == 0 || memcmp(a->text, b->text, a->text_size) == 0);
    require(a->reads.count == b->reads.count && a->writes.count == b->writes.count &&
            a->functions.count == b->functions.count);
}

static int lists(const struct qc_sql *sql, const struct qc_sql_names *names, const char *wanted)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (names->items[i].size == strlen(wanted) &&
            memcmp(sql->text + names->items[i].offset, wanted, strlen(wanted)) == 0)
            return 1;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct qc_sql used; /* again and again */
    struct qc_sql fresh = {0};
    if (size == 0)
        return 0;
    const enum qc_sql_dialect dialect = (enum qc_sql_dialect)(data[0] % 3);
    scan(dialect, data + 1, size - 1, "", 0, &fresh);
    scan(dialect, data + 1, size - 1, "", 0, &used);
    require(fresh.flags != 0);
    check_names(&fresh, &fresh.reads);
    check_names(&fresh, &fresh.writes);
    check_names(&fresh, &fresh.functions);
    check_same(&fresh, &used);
    scan(dialect, data + 1, size - 1, TAIL, TAIL_SIZE, &used);
    require((used.flags & QC_SQL_UNKNOWN) != 0 ||
            ((used.flags & QC_SQL_WRITE) != 0 && lists(&used, &used.writes, "zz")));
    qc_sql_release(&fresh);
    return 0;
}
