#include "place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"

int place_make(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    CHECK(place != NULL);
    folder_make(&place->folder);
    folder_file(&place->folder, "a.segment", place->path, sizeof place->path);
    folder_file(&place->folder, "a.segment.lock", place->lock, sizeof place->lock);
    folder_file(&place->folder, "a.segment.new", place->new, sizeof place->new);
    place->options = (struct qc_segment_options){
        .size = PLACE_SIZE,
        .cells = PLACE_CELLS,
        .slots = PLACE_SLOTS,
        .max_entry = 16384,
        .mode = 0600,
        .group = -1,
        .identity = "sqlite 8:1:42",
        .identity_size = 13,
    };
    *state = place;
    return 0;
}

int place_unmake(void **state)
{
    struct place *place = *state;

    folder_remove(&place->folder);
    free(place);
    return 0;
}

int try_open(struct place *place, struct qc_segment **segment)
{
    *segment = NULL;
    place->error.message[0] = '\0';
    return qc_segment_open(place->path, &place->options, segment, &place->error);
}

struct qc_segment *must_open(struct place *place)
{
    struct qc_segment *segment;

    if (try_open(place, &segment))
        fail_msg("%s", place->error.message);
    return segment;
}

bool created(const struct qc_segment *segment)
{
    struct qc_segment_info info;

    qc_segment_info(segment, &info);
    return info.created_here;
}

bool is_replaced(struct place *place)
{
    struct qc_segment *segment = must_open(place);
    bool replaced = created(segment);

    assert_true(qc_segment_usable(segment));
    assert_int_equal(qc_segment_verify(segment, NULL, NULL), 0);
    qc_segment_close(segment);
    return replaced;
}

void must_be_refused(struct place *place, int status)
{
    struct qc_segment *segment;
    struct stat before, after;

    assert_int_equal(lstat(place->path, &before), 0);
    assert_int_equal(try_open(place, &segment), status);
    assert_int_equal(place->error.status, status);
    assert_non_null(strstr(place->error.message, place->path));
    assert_int_equal(lstat(place->path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

void write_once(struct qc_segment *segment)
{
    const uint32_t cells[] = {3};
    struct qc_write write;
    struct qc_error error;

    if (qc_write_begin(segment, cells, 1, NULL, 0, &write, &error))
        fail_msg("%s", error.message);
    if (qc_write_end(segment, write, NULL, &error))
        fail_msg("%s", error.message);
}

void forge(struct place *place, const struct qc_constants *constants)
{
    struct qc_constants forged = *constants;

    forged.checksum = qc_checksum(&forged, offsetof(struct qc_constants, checksum));
    file_write(place->path, 0, &forged, sizeof forged);
}

struct qc_constants read_constants(struct place *place)
{
    struct qc_constants constants;

    qc_segment_close(must_open(place));
    file_read(place->path, 0, &constants, sizeof constants);
    return constants;
}

bool valid(const struct qc_segment *segment, uint32_t cell, uint64_t time)
{
    return qc_cells_valid(segment, &cell, 1, time, QC_NO_LIMIT);
}

struct qc_write must_begin(struct qc_segment *segment, const uint32_t *cells, size_t count, const char *session)
{
    struct qc_write write;
    struct qc_error error;

    if (qc_write_begin(segment, cells, count, session, strlen(session), &write, &error))
        fail_msg("%s", error.message);
    return write;
}

struct qc_write must_mark(struct qc_segment *segment, uint32_t cell)
{
    return must_begin(segment, &cell, 1, "");
}

uint64_t must_end(struct qc_segment *segment, struct qc_write write)
{
    struct qc_error error;
    uint64_t stamp = 0;

    if (qc_write_end(segment, write, &stamp, &error))
        fail_msg("%s", error.message);
    return stamp;
}

uint64_t writers_of(struct qc_segment *segment, uint32_t cell)
{
    struct qc_cell_info info;

    (void)qc_cell_last(segment, cell, &info);
    return info.word >> 48;
}

size_t slots_in_use(struct qc_segment *segment, struct qc_slot_info *slots)
{
    size_t found;

    assert_int_equal(qc_slots(segment, slots, PLACE_SLOTS, &found, NULL), QC_OK);
    return found;
}

void must_be_sound(struct qc_segment *segment)
{
    assert_int_equal(qc_segment_verify(segment, NULL, NULL), 0);
}
