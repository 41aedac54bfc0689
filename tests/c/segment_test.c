/* The segment file: created, opened, refused. PROTOCOL section 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coherence/header.h"
#include "place.h"
#include "plat/file.h"
#include "qcache/store.h"

#define OTHER_USER 54321u
#define OTHER_GROUP 54322u

static void test_missing_segment_is_created_whole(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_segment_info info;
    struct stat status;

    qc_segment_info(segment, &info);
    assert_true(info.created_here);
    assert_false(info.is_private || info.retired);
    assert_int_equal(info.size, PLACE_SIZE);
    assert_int_equal(info.cells, 256);
    assert_int_equal(info.slots, 8);
    assert_int_equal(info.max_entry, 16384);
    assert_int_equal(info.frozen_version, 1);
    assert_int_equal(info.store_version, QC_STORE_VERSION);
    assert_int_equal(info.identity_size, 13);
    assert_memory_equal(info.identity, "sqlite 8:1:42", 13);
    assert_true(info.shards > 0);
    assert_int_equal(info.slots_used + info.cells_marked, 0);
    assert_non_null(qc_segment_store(segment));
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_size, PLACE_SIZE);
    assert_true((uint64_t)status.st_blocks * 512 >= PLACE_SIZE);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_false(file_exists(place->new));
    assert_int_equal(qc_segment_verify(segment, NULL, NULL), 0);
    qc_segment_close(segment);
}

static void test_mode_is_exact_whatever_the_umask(void **state)
{
    struct place *place = *state;
    struct stat status;
    mode_t before = umask(0077);

    place->options.mode = 0660;
    qc_segment_close(must_open(place));
    (void)umask(before);
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
    assert_int_equal(stat(place->lock, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
}

static void test_sizes_of_the_segment_win(void **state)
{
    struct place *place = *state;
    struct qc_segment *first = must_open(place), *second;
    struct qc_segment_info info;

    place->options.size = 2 * PLACE_SIZE;
    place->options.cells = 999;
    place->options.slots = 3;
    second = must_open(place);
    qc_segment_info(second, &info);
    assert_false(info.created_here);
    assert_int_equal(info.size, PLACE_SIZE);
    assert_int_equal(info.cells, 256);
    assert_int_equal(info.slots, 8);
    assert_memory_equal(qc_segment_unique(first), qc_segment_unique(second), QC_UNIQUE_SIZE);
    qc_segment_close(second);
    qc_segment_close(first);
}

static void test_impossible_options_are_refused(void **state)
{
    struct place *place = *state;
    const struct qc_segment_options good = place->options;
    static uint8_t identity[QC_IDENTITY_MAX + 1];
    struct qc_segment *segment;

#define REFUSED(member, value)                                                                                         \
    do {                                                                                                               \
        place->options = good;                                                                                         \
        place->options.member = (value);                                                                               \
        assert_int_equal(try_open(place, &segment), QC_ERR_ARGUMENT);                                                  \
        assert_false(file_exists(place->path) || file_exists(place->lock));                                            \
    } while (0)
    REFUSED(size, 0);
    REFUSED(size, 20000);
    REFUSED(size, UINT64_MAX);
    REFUSED(cells, 0);
    REFUSED(cells, 1);
    REFUSED(cells, UINT32_MAX);
    REFUSED(slots, 0);
    REFUSED(slots, 65536);
    REFUSED(max_entry, PLACE_SIZE);
    REFUSED(max_entry, UINT32_MAX);
    REFUSED(mode, 0400);
    REFUSED(mode, 04600);
    place->options = good;
    place->options.identity = identity;
    place->options.identity_size = sizeof identity;
    assert_int_equal(try_open(place, &segment), QC_ERR_ARGUMENT);
#undef REFUSED
}

static void test_symbolic_link_is_not_followed(void **state)
{
    struct place *place = *state;
    char target[128];

    folder_file(&place->folder, "target", target, sizeof target);
    assert_int_equal(symlink(target, place->path), 0);
    must_be_refused(place, QC_ERR_FOREIGN);
    assert_false(file_exists(target));
}

static void test_linked_lock_file_is_not_followed(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment;
    char target[128];

    folder_file(&place->folder, "target", target, sizeof target);
    assert_int_equal(symlink(target, place->lock), 0);
    assert_int_equal(try_open(place, &segment), QC_ERR_FOREIGN);
    assert_false(file_exists(target) || file_exists(place->path));
}

static void test_only_regular_files_are_opened(void **state)
{
    struct place *place = *state;

    assert_int_equal(mkfifo(place->path, 0600), 0);
    must_be_refused(place, QC_ERR_FOREIGN);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mkdir(place->path, 0700), 0);
    must_be_refused(place, QC_ERR_FOREIGN);
}

static void test_file_with_a_second_name_is_refused(void **state)
{
    struct place *place = *state;
    char other[128];

    qc_segment_close(must_open(place));
    folder_file(&place->folder, "other", other, sizeof other);
    assert_int_equal(link(place->path, other), 0);
    must_be_refused(place, QC_ERR_FOREIGN);
    assert_int_equal(unlink(other), 0);
    assert_false(is_replaced(place));
}

static void test_foreign_files_are_left_alone(void **state)
{
    struct place *place = *state;
    const char *texts[] = {"x", "SQLite format 3", "qcachX\r\n with more behind it that is long enough"};
    char zeros[8192] = {0};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int fd = open(place->path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

        assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
        assert_int_equal(close(fd), 0);
        must_be_refused(place, QC_ERR_FOREIGN);
    }
    file_write(place->path, 0, zeros, sizeof zeros);
    must_be_refused(place, QC_ERR_FOREIGN);
}

static void test_truncated_segment_is_replaced(void **state)
{
    struct place *place = *state;
    const off_t sizes[] = {0, 3, 8, 15, 16, 500, 1200, QC_PAGE, QC_PAGE + 1, PLACE_SIZE / 2, PLACE_SIZE - 1};

    qc_segment_close(must_open(place));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_false(is_replaced(place));
        assert_int_equal(truncate(place->path, sizes[i]), 0);
        assert_true(is_replaced(place));
    }
}

static void test_every_byte_of_the_constants_is_checked(void **state)
{
    struct place *place = *state;
    struct qc_constants constants = read_constants(place);
    uint8_t *bytes = (uint8_t *)&constants;
    struct qc_layout layout;

    assert_int_equal(qc_constants_check(&constants, sizeof constants, PLACE_SIZE, "x", &layout, NULL), QC_OK);
    for (size_t i = 0; i < sizeof constants * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(qc_constants_check(&constants, sizeof constants, PLACE_SIZE, "x", &layout, NULL),
                         i < QC_MAGIC_SIZE * 8 ? QC_ERR_FOREIGN : QC_ERR_CORRUPT);
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

static void test_damaged_header_is_replaced(void **state)
{
    struct place *place = *state;
    struct qc_constants constants = read_constants(place);

    constants.unique[5] ^= 1;
    file_write(place->path, 0, &constants, sizeof constants);
    assert_true(is_replaced(place));
}

static void test_sizes_that_lie_are_not_believed(void **state)
{
    struct place *place = *state;
    const struct qc_constants good = read_constants(place);
    struct qc_constants bad[8];

    for (size_t i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].size = 64 * PLACE_SIZE;
    bad[1].size = PLACE_SIZE - 1;
    bad[2].cells = UINT32_MAX;
    bad[3].slots = 900;
    bad[4].notes_offset += 8;
    bad[5].slots_offset = 0;
    bad[6].store_offset = PLACE_SIZE - QC_PAGE;
    bad[7].identity_size = QC_IDENTITY_MAX + 1;
    for (size_t i = 0; i < 8; i++) {
        forge(place, &bad[i]);
        assert_true(is_replaced(place));
    }
}

static void test_older_layout_is_replaced_and_newer_refused(void **state)
{
    struct place *place = *state;
    struct qc_constants constants = read_constants(place);

    constants.frozen_version = QC_FROZEN_VERSION + 1;
    constants.frozen_complement = ~constants.frozen_version;
    forge(place, &constants);
    must_be_refused(place, QC_ERR_VERSION);
    constants.frozen_version = QC_FROZEN_VERSION - 1;
    constants.frozen_complement = ~constants.frozen_version;
    forge(place, &constants);
    assert_true(is_replaced(place));
}

static void test_other_store_version_marks_and_neither_hits_nor_fills(void **state)
{
    struct place *place = *state;
    struct qc_constants constants = read_constants(place);
    struct qc_segment *segment;

    constants.store_version = QC_STORE_VERSION + 1;
    forge(place, &constants);
    segment = must_open(place);
    assert_false(created(segment));
    assert_null(qc_segment_store(segment));
    write_once(segment);
    assert_int_equal(qc_segment_verify(segment, NULL, NULL), 0);
    qc_segment_close(segment);
}

static void test_segment_of_another_boot_is_replaced(void **state)
{
    struct place *place = *state;
    struct qc_constants constants = read_constants(place);

    constants.boot_id[0] ^= 1;
    constants.pid_namespace++; /* means nothing across boots */
    forge(place, &constants);
    assert_true(is_replaced(place));
}

static void test_segment_of_another_pid_namespace_is_refused(void **state)
{
    struct place *place = *state;
    struct qc_constants constants = read_constants(place);
    struct qc_segment *segment;

    constants.pid_namespace++;
    forge(place, &constants);
    must_be_refused(place, QC_ERR_NAMESPACE);
    assert_non_null(strstr(place->error.message, "PID namespace"));
    assert_int_equal(qc_segment_inspect(place->path, &segment, &place->error), QC_ERR_NAMESPACE);
}

static void test_segment_of_another_database_is_refused(void **state)
{
    struct place *place = *state;

    qc_segment_close(must_open(place));
    place->options.identity = "sqlite 8:1:43";
    must_be_refused(place, QC_ERR_FOREIGN);
    place->options.identity_size = 5;
    must_be_refused(place, QC_ERR_FOREIGN);
    place->options.identity = NULL;
    place->options.identity_size = 0;
    must_be_refused(place, QC_ERR_FOREIGN);
}

static void test_damaged_store_is_replaced(void **state)
{
    struct place *place = *state;
    struct qc_constants constants = read_constants(place);
    uint8_t garbage[QC_PAGE];

    memset(garbage, 0x5a, sizeof garbage);
    file_write(place->path, constants.store_offset, garbage, sizeof garbage);
    assert_true(is_replaced(place));
}

static void open_on_a_full_disk(struct child *self, void *context)
{
    const struct rlimit limit = {PLACE_SIZE / 2, PLACE_SIZE / 2}; /* a file of that size is where the disk ends */
    struct place *place = context;
    struct qc_segment *segment;

    (void)self;
    (void)signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(try_open(place, &segment) == QC_ERR_SYSTEM);
    CHECK(place->error.os_errno == EFBIG);
    CHECK(strstr(place->error.message, "2097152") != NULL);
    CHECK(!file_exists(place->path) && !file_exists(place->new));
}

static void test_full_disk_is_an_error_at_creation(void **state)
{
    struct child child;

    child_start(&child, open_on_a_full_disk, *state);
    assert_int_equal(child_end(&child), 0);
}

static void test_missing_folder_is_an_error(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment;

    folder_file(&place->folder, "none/a.segment", place->path, sizeof place->path);
    assert_int_equal(try_open(place, &segment), QC_ERR_SYSTEM);
    assert_int_equal(place->error.os_errno, ENOENT);
    assert_non_null(strstr(place->error.message, place->path));
}

static void test_network_file_systems_are_refused(void **state)
{
    const uint64_t remote[] = {0x6969,     0xFF534D42, 0xFE534D42, 0x517B,
                               0x65735546, 0x01021997, 0x00C36400, 0xFFFFFFFFFF534D42 /* a long that lost its sign */};
    const uint64_t local[] = {0x01021994 /* tmpfs */, 0xEF53 /* ext4 */, 0x58465342 /* xfs */, 0x9123683E /* btrfs */,
                              0x794C7630 /* overlayfs */};

    (void)state;
    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++)
        assert_true(qc_file_system_is_remote(remote[i]));
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        assert_false(qc_file_system_is_remote(local[i]));
}

static void open_as_another_user(struct child *self, void *context)
{
    struct place *place = context;
    struct qc_segment *segment;

    (void)self;
    CHECK(chmod(place->folder.path, 0777) == 0);
    CHECK(seteuid(OTHER_USER) == 0);
    CHECK(try_open(place, &segment) == QC_ERR_FOREIGN);
    CHECK(strstr(place->error.message, "54321") != NULL);
}

/* Root only, which the machines that test this are. */
static void test_files_of_another_user_are_refused(void **state)
{
    struct place *place = *state;
    struct child child;

    qc_segment_close(must_open(place));
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(place->path, OTHER_USER, (gid_t)-1), 0);
    must_be_refused(place, QC_ERR_FOREIGN);
    assert_int_equal(chown(place->path, 0, (gid_t)-1), 0);
    child_start(&child, open_as_another_user, place);
    assert_int_equal(child_end(&child), 0);
}

static void test_group_shares_files_that_it_may_write(void **state)
{
    struct place *place = *state;
    struct stat status;

    if (geteuid() != 0)
        return;
    place->options.mode = 0660;
    place->options.group = OTHER_GROUP;
    qc_segment_close(must_open(place));
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_gid, OTHER_GROUP);
    assert_int_equal(stat(place->lock, &status), 0);
    assert_int_equal(status.st_gid, OTHER_GROUP);
    assert_int_equal(chown(place->path, OTHER_USER, (gid_t)-1), 0);
    assert_int_equal(chown(place->lock, OTHER_USER, (gid_t)-1), 0);
    assert_false(is_replaced(place));
    assert_int_equal(chmod(place->path, 0640), 0);
    must_be_refused(place, QC_ERR_FOREIGN);
    assert_int_equal(chmod(place->path, 0660), 0);
    place->options.group = OTHER_GROUP + 1;
    must_be_refused(place, QC_ERR_FOREIGN);
    place->options.group = -1;
    must_be_refused(place, QC_ERR_FOREIGN);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, place_make, place_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_missing_segment_is_created_whole),
        TEST(test_mode_is_exact_whatever_the_umask),
        TEST(test_sizes_of_the_segment_win),
        TEST(test_impossible_options_are_refused),
        TEST(test_symbolic_link_is_not_followed),
        TEST(test_linked_lock_file_is_not_followed),
        TEST(test_only_regular_files_are_opened),
        TEST(test_file_with_a_second_name_is_refused),
        TEST(test_foreign_files_are_left_alone),
        TEST(test_truncated_segment_is_replaced),
        TEST(test_every_byte_of_the_constants_is_checked),
        TEST(test_damaged_header_is_replaced),
        TEST(test_sizes_that_lie_are_not_believed),
        TEST(test_older_layout_is_replaced_and_newer_refused),
        TEST(test_other_store_version_marks_and_neither_hits_nor_fills),
        TEST(test_segment_of_another_boot_is_replaced),
        TEST(test_segment_of_another_pid_namespace_is_refused),
        TEST(test_segment_of_another_database_is_refused),
        TEST(test_damaged_store_is_replaced),
        TEST(test_full_disk_is_an_error_at_creation),
        TEST(test_missing_folder_is_an_error),
        TEST(test_network_file_systems_are_refused),
        TEST(test_files_of_another_user_are_refused),
        TEST(test_group_shares_files_that_it_may_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
