#include "sqlscan_check.h"

#include "sqlscan/keywords.h"

/* `count` times `part`, in which "%u" is the number, between `head` and `tail`. */
static char *repeated(const char *head, const char *part, unsigned count, const char *tail)
{
    const size_t room = strlen(head) + strlen(tail) + count * (strlen(part) + 10) + 1;
    char *text = malloc(room);
    assert_non_null(text);
    size_t size = (size_t)sprintf(text, "%s", head);
    const char *number = strstr(part, "%u");
    for (unsigned i = 0; i < count; i++) {
        if (number == NULL)
            size += (size_t)sprintf(text + size, "%s", part);
        else
            size += (size_t)sprintf(text + size, "%.*s%u%s", (int)(number - part), part, i, number + 2);
    }
    sprintf(text + size, "%s", tail);
    return text;
}

static void scan_repeated(const char *head, const char *part, unsigned count, const char *tail, struct qc_sql *sql)
{
    char *text = repeated(head, part, count, tail);
    scan(QC_SQL_POSTGRESQL, text, strlen(text), sql);
    free(text);
}

static void test_more_names_than_fit_are_unknown(void **state)
{
    struct qc_sql sql = {0};
    (void)state;
    scan_repeated("SELECT 1 FROM a", ", t%u", QC_SQL_NAMES_MAX - 1, "", &sql);
    assert_int_equal(sql.flags, R);
    assert_int_equal(sql.reads.count, QC_SQL_NAMES_MAX);
    scan_repeated("SELECT 1 FROM a", ", t%u", QC_SQL_NAMES_MAX, "", &sql);
    assert_int_equal(sql.flags, R | UNKNOWN);
    assert_int_equal(sql.reads.count, QC_SQL_NAMES_MAX);
    scan_repeated("TRUNCATE a", ", t%u", 100000, "", &sql);
    assert_int_equal(sql.flags, W | UNKNOWN);
    scan_repeated("SELECT 1", ", f%u()", QC_SQL_NAMES_MAX + 1, "", &sql);
    assert_int_equal(sql.flags, R | UNKNOWN);
    qc_sql_release(&sql);
}

static void test_a_name_is_listed_once(void **state)
{
    struct qc_sql sql = {0};
    (void)state;
    scan_repeated("WITH q AS (SELECT 1) SELECT f(1)", ", F(1), (SELECT 1 FROM \"A\", a, q)", 5000, " FROM a", &sql);
    assert_int_equal(sql.flags, R);
    assert_int_equal(sql.reads.count, 1);
    assert_int_equal(sql.functions.count, 1);
    assert_int_equal(sql.text_size, 3); /* with the name of the WITH */
    qc_sql_release(&sql);
}

static void test_depth_is_bounded(void **state)
{
    static const struct {
        const char *open, *middle, *close;
    } nests[] = {
        {"(", "SELECT 1", ")"},
        {"SELECT (", "1", ")"},
        {"(SELECT 1 FROM ", "a", ")"},
        {"SELECT * FROM (", "a", ") x"},
        {"SELECT CAST(", "1", " AS int)"},
        {"WITH q AS (", "SELECT 1", ") SELECT 1"},
        {"WITH q AS (DELETE FROM a WHERE x IN (", "SELECT 1", ")) SELECT 1"},
        {"INSERT INTO a (", "SELECT 1", ")"},
        {"EXPLAIN ANALYZE ", "SELECT 1", ""},
        {"COPY (", "SELECT 1", ") TO STDOUT"},
        {"MERGE INTO a USING (", "SELECT 1", ")"},
        {"SELECT 1 FROM a JOIN (", "b", ")"},
    };
    struct qc_sql sql = {0};
    (void)state;
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        char *inner = repeated("", nests[i].open, 30000, nests[i].middle);
        char *text = repeated(inner, nests[i].close, 30000, "; DELETE FROM zz");
        for (int dialect = QC_SQL_SQLITE; dialect <= QC_SQL_MYSQL; dialect++) {
            scan((enum qc_sql_dialect)dialect, text, strlen(text), &sql);
            assert_true((sql.flags & UNKNOWN) != 0);
        }
        free(text);
        free(inner);
    }
    scan_repeated("SELECT ", "(", 199, "1", &sql);
    assert_int_equal(sql.flags, R | UNKNOWN); /* for want of its closing signs */
    char *open = repeated("SELECT ", "(", 199, "f(x)");
    scan_repeated(open, ")", 199, " FROM t", &sql);
    assert_int_equal(sql.flags, R);
    assert_int_equal(sql.functions.count, 1);
    free(open);
    qc_sql_release(&sql);
}

static void test_groups_beside_each_other_are_not_deep(void **state)
{
    struct qc_sql sql = {0};
    (void)state;
    scan_repeated("SELECT 1 FROM a", ", (b JOIN (c) ON (true)), (SELECT (1)) x", 1000, "", &sql);
    assert_int_equal(sql.flags, R);
    scan_repeated("EXPLAIN ANALYZE SELECT 1", "; EXPLAIN ANALYZE SELECT CAST(1 AS int)", 1000, "", &sql);
    assert_int_equal(sql.flags, R);
    qc_sql_release(&sql);
}

static void test_a_struct_used_again_allocates_nothing(void **state)
{
    struct qc_sql sql = {0};
    (void)state;
    scan_repeated("WITH w AS (DELETE FROM u) SELECT f()", ", f%u((SELECT 1 FROM t%u))", 100, "", &sql);
    const struct qc_sql before = sql;
    scan_repeated("WITH w AS (DELETE FROM v) SELECT g()", ", g%u((SELECT 1 FROM s%u))", 100, "", &sql);
    assert_ptr_equal(sql.text, before.text);
    assert_ptr_equal(sql.reads.items, before.reads.items);
    assert_ptr_equal(sql.writes.items, before.writes.items);
    assert_ptr_equal(sql.functions.items, before.functions.items);
    assert_int_equal(sql.text_room, before.text_room);
    scan(QC_SQL_POSTGRESQL, "BEGIN", 5, &sql);
    assert_int_equal(sql.flags, BEGIN);
    assert_int_equal(sql.reads.count + sql.writes.count + sql.functions.count + sql.text_size, 0);
    qc_sql_release(&sql);
    assert_null(sql.text);
    qc_sql_release(&sql);
}

static void test_text_too_long_for_the_result_is_unknown(void **state)
{
    struct qc_sql sql = {0};
    (void)state;
    assert_int_equal(qc_sql_scan(QC_SQL_SQLITE, "SELECT 1", SIZE_MAX, &sql), QC_OK);
    assert_int_equal(sql.flags, UNKNOWN);
    qc_sql_release(&sql);
}

static void test_a_long_name_is_kept_whole(void **state)
{
    struct qc_sql sql = {0};
    (void)state;
    char *text = repeated("DELETE FROM \"", "Ab\"\"é", 100000, "\"");
    scan(QC_SQL_SQLITE, text, strlen(text), &sql);
    assert_int_equal(sql.flags, W);
    assert_int_equal(sql.writes.items[0].size, 500000);
    assert_memory_equal(sql.text + sql.writes.items[0].offset + 499995, "ab\"é", 5);
    free(text);
    qc_sql_release(&sql);
}

static void test_any_bytes_end(void **state)
{
    struct qc_sql sql = {0};
    uint32_t seed = 1;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[64];
        for (size_t i = 0; i < sizeof text; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = (char)(round % 2 == 0 ? seed >> 24 : (uint32_t) "'\"`[]()$a1;,.-/*%s \\@"[(seed >> 24) % 21]);
        }
        scan((enum qc_sql_dialect)(round % 3), text, (size_t)round % (sizeof text + 1), &sql);
    }
    qc_sql_release(&sql);
}

static void test_words_are_found_in_any_case_and_only_whole(void **state)
{
    (void)state;
    assert_int_equal(qc_word_find("select", 6), QC_WORD_SELECT);
    assert_int_equal(qc_word_find("SeLeCt", 6), QC_WORD_SELECT);
    assert_int_equal(qc_word_find("current_timestamp", 17), QC_WORD_CURRENT_TIMESTAMP);
    assert_int_equal(qc_word_find("AS", 2), QC_WORD_AS);
    assert_int_equal(qc_word_find("XOR", 3), QC_WORD_XOR);
    assert_int_equal(qc_word_find("selec", 5), QC_WORD_NONE);
    assert_int_equal(qc_word_find("selects", 7), QC_WORD_NONE);
    assert_int_equal(qc_word_find("current_timestamps", 18), QC_WORD_NONE);
    assert_int_equal(qc_word_find("", 0), QC_WORD_NONE);
    assert_int_equal(qc_word_find("_as", 3), QC_WORD_NONE);
    assert_int_equal(qc_word_find("\xc3\xa9", 2), QC_WORD_NONE);
    assert_true(qc_word_has(QC_WORD_VALUES, QC_TRAIT_NO_CALL, QC_SQL_MYSQL));
    assert_true(qc_word_has(QC_WORD_INTERVAL, QC_TRAIT_NO_CALL, QC_SQL_POSTGRESQL));
    assert_false(qc_word_has(QC_WORD_INTERVAL, QC_TRAIT_NO_CALL, QC_SQL_MYSQL));
    assert_false(qc_word_has(QC_WORD_NONE, QC_TRAIT_NO_ALIAS, QC_SQL_SQLITE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_names_than_fit_are_unknown),
        cmocka_unit_test(test_a_name_is_listed_once),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_groups_beside_each_other_are_not_deep),
        cmocka_unit_test(test_a_struct_used_again_allocates_nothing),
        cmocka_unit_test(test_text_too_long_for_the_result_is_unknown),
        cmocka_unit_test(test_a_long_name_is_kept_whole),
        cmocka_unit_test(test_any_bytes_end),
        cmocka_unit_test(test_words_are_found_in_any_case_and_only_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
