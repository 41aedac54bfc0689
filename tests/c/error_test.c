/* Errors: what a callee leaves in the caller's struct. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <errno.h>
#include <string.h>

#include "qcache/error.h"

static void test_failure_is_described(void **state)
{
    struct qc_error error;

    (void)state;
    memset(&error, 0xAA, sizeof error);
    assert_int_equal(qc_error_set(&error, QC_ERR_SYSTEM, ENOSPC, "%s: %d bytes", "/x", 42), QC_ERR_SYSTEM);
    assert_int_equal(error.status, QC_ERR_SYSTEM);
    assert_int_equal(error.os_errno, ENOSPC);
    assert_string_equal(error.message, "/x: 42 bytes");
}

static void test_nobody_has_to_care(void **state)
{
    (void)state;
    assert_int_equal(qc_error_set(NULL, QC_ERR_BUSY, 0, "%d", 1), QC_ERR_BUSY);
}

static void test_long_message_is_cut_short(void **state)
{
    struct qc_error error;
    char path[1000];

    (void)state;
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    (void)qc_error_set(&error, QC_ERR_FOREIGN, 0, "%s", path);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static void test_every_status_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = QC_ERR_UNSUPPORTED; a <= QC_OK; a++) {
        assert_string_not_equal(qc_status_name(a), "unknown");
        for (int b = a + 1; b <= QC_OK; b++)
            assert_string_not_equal(qc_status_name(a), qc_status_name(b));
    }
    assert_string_equal(qc_status_name(QC_OK), "ok");
    assert_string_equal(qc_status_name(QC_ERR_NAMESPACE), "namespace");
    assert_string_equal(qc_status_name(QC_ERR_UNSUPPORTED), "unsupported");
}

static void test_unknown_status_is_called_so(void **state)
{
    (void)state;
    assert_string_equal(qc_status_name(1), "unknown");
    assert_string_equal(qc_status_name(QC_ERR_UNSUPPORTED - 1), "unknown");
    assert_string_equal(qc_status_name(-2147483647 - 1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failure_is_described),        cmocka_unit_test(test_nobody_has_to_care),
        cmocka_unit_test(test_long_message_is_cut_short),   cmocka_unit_test(test_every_status_has_a_name_of_its_own),
        cmocka_unit_test(test_unknown_status_is_called_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
