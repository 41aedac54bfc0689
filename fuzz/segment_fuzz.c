/* The segment opener, and all that reads a segment, on a sound file with patches. An input is a byte of modes and then
 * patches, each: area, offset in it (2 bytes), size, that many bytes. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "coherence/layout.h"
#include "qcache/coherence.h"
#include "qcache/segment.h"
#include "qcache/store.h"
#include "store/geometry.h"

#define FILE_SIZE (64u << 10)
#define ENTRIES 8u

enum mode {
    MODE_SEAL_HEADER = 1, /* the constants' checksum is made right again */
    MODE_SEAL_STORE = 2,  /* the store header's too */
    MODE_OPEN = 4,        /* to use it; else to look at it */
    MODE_TRUNCATE = 8,    /* to the first patch's place */
    MODE_REBUILD = 0xe0   /* all its bits: what is opened may be unusable. Its replacement waits 20 ms, so not often */
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64], path[96], lock_path[96];
static uint8_t *sound, *image;
static struct qc_constants constants;
static const struct qc_segment_options options = {
    .size = FILE_SIZE,
    .cells = 64,
    .slots = 4,
    .max_entry = 512,
    .mode = 0600,
    .group = -1,
    .identity = "fuzz",
    .identity_size = 4,
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool always(void *context, const uint32_t *cells, size_t count, uint64_t stamp)
{
    (void)context, (void)cells, (void)count, (void)stamp;
    return true;
}

static const struct qc_validity validity = {always, NULL};

static void clean(void)
{
    (void)unlink(path);
    (void)unlink(lock_path);
    (void)rmdir(folder);
    free(sound);
    free(image);
}

/* ---- The sound file ---- */

static void put_entries(struct qc_segment *segment)
{
    char key[16], value[200];
    for (unsigned i = 0; i < ENTRIES; i++) {
        const uint32_t cells[] = {0, 1 + i, 20 + i};
        const int size = snprintf(key, sizeof key, "key %u", i);
        memset(value, 'a' + (int)i, sizeof value);
        require(qc_store_put(qc_segment_store(segment), key, (size_t)size, qc_clock(segment), 0, cells, 3, value,
                             sizeof value - 20 * i, &validity) == QC_OK);
    }
}

static void fill(struct qc_segment *segment)
{
    const uint32_t cells[] = {3, 4};
    struct qc_write write;
    put_entries(segment);
    require(qc_write_begin(segment, cells, 2, NULL, 0, &write, NULL) == QC_OK);
    require(qc_write_end(segment, write, NULL, NULL) == QC_OK);
    require(qc_write_begin(segment, cells, 2, "session", 7, &write, NULL) == QC_OK);
    require(qc_write_abandon(segment, write, NULL) == QC_OK);
}

static void read_file(void)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    require(fd >= 0 && read(fd, sound, FILE_SIZE) == (ssize_t)FILE_SIZE);
    close(fd);
    memcpy(&constants, sound, sizeof constants);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct qc_segment *segment;
    (void)argc, (void)argv;
    snprintf(folder, sizeof folder, "%s/qcache-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    require(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/segment", folder);
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    sound = malloc(FILE_SIZE);
    image = malloc(FILE_SIZE);
    require(sound != NULL && image != NULL && atexit(clean) == 0);
    require(qc_segment_open(path, &options, &segment, NULL) == QC_OK);
    fill(segment);
    require(qc_segment_verify(segment, NULL, NULL) == 0);
    qc_segment_close(segment);
    read_file();
    return 0;
}

/* ---- Patches ---- */

static bool must_be_usable(uint8_t modes)
{
    return (modes & MODE_OPEN) != 0 && (modes & MODE_REBUILD) != MODE_REBUILD;
}

/* Where an area begins, and the step its offsets are counted in. */
static size_t place_of(uint8_t modes, uint8_t area, size_t offset)
{
    switch (area % 6) {
    case 0:
        if (must_be_usable(modes))
            return sizeof constants + offset % (sizeof(struct qc_header) - sizeof constants);
        return offset % sizeof(struct qc_header);
    case 1:
        return QC_PAGE + offset;
    case 2:
        return constants.notes_offset + offset;
    case 3:
        return constants.slots_offset + offset;
    case 4:
        return constants.store_offset + offset;
    default:
        return constants.store_offset + offset * 8;
    }
}

static void seal(uint8_t modes)
{
    if ((modes & MODE_SEAL_HEADER) != 0) {
        const uint64_t sum = qc_checksum(image, offsetof(struct qc_constants, checksum));
        memcpy(image + offsetof(struct qc_constants, checksum), &sum, sizeof sum);
    }
    if ((modes & MODE_SEAL_STORE) != 0) {
        uint8_t *store = image + constants.store_offset;
        const uint64_t sum = qc_checksum(store, offsetof(struct qc_store_header, checksum));
        memcpy(store + offsetof(struct qc_store_header, checksum), &sum, sizeof sum);
    }
}

/* The image, patched. Returns its size. */
static size_t patch(uint8_t modes, const uint8_t *at, const uint8_t *end)
{
    size_t size = FILE_SIZE;
    memcpy(image, sound, FILE_SIZE);
    while (end - at > 4) {
        const size_t place = place_of(modes, at[0], (size_t)at[1] | (size_t)at[2] << 8);
        size_t count = at[3] % 16u + 1u;
        at += 4;
        if (count > (size_t)(end - at))
            count = (size_t)(end - at);
        if ((modes & MODE_TRUNCATE) != 0 && !must_be_usable(modes) && size == FILE_SIZE && place < FILE_SIZE)
            size = place;
        else if (place < FILE_SIZE)
            memcpy(image + place, at, count < FILE_SIZE - place ? count : FILE_SIZE - place);
        at += count;
    }
    seal(modes);
    return size;
}

static void write_file(size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, image, size) == (ssize_t)size);
    close(fd);
}

/* ---- What is done with it ---- */

static bool visited(void *context, const void *key, size_t key_size, const struct qc_entry *entry)
{
    uint8_t *sum = context;
    for (size_t i = 0; i < key_size; i++)
        *sum = (uint8_t)(*sum + ((const uint8_t *)key)[i]);
    for (size_t i = 0; i < entry->value_size; i++)
        *sum = (uint8_t)(*sum + entry->value[i]);
    for (size_t i = 0; i < entry->cell_count; i++)
        *sum = (uint8_t)(*sum + (uint8_t)entry->cells[i]);
    return true;
}

/* What is served is what was stored: the checksum and the whole key saw to it. */
static void get_entries(struct qc_store *store)
{
    struct qc_entry entry = {0};
    char key[16];
    for (unsigned i = 0; i < ENTRIES; i++) {
        const int size = snprintf(key, sizeof key, "key %u", i);
        if (qc_store_get(store, key, (size_t)size, 1, &validity, &entry) != QC_OK)
            continue;
        require(entry.value_size == 200 - 20 * (size_t)i && entry.cell_count == 3);
        for (size_t j = 0; j < entry.value_size; j++)
            require(entry.value[j] == 'a' + i);
    }
    qc_entry_release(&entry);
}

static void look(struct qc_segment *segment)
{
    struct qc_segment_info info;
    struct qc_cell_info cell;
    struct qc_store_info store;
    const uint32_t cells[] = {0, 3, 63, 64, UINT32_MAX};
    uint8_t sum = 0;
    qc_segment_info(segment, &info);
    (void)qc_segment_verify(segment, NULL, NULL);
    (void)qc_segment_usable(segment);
    for (size_t i = 0; i < 5; i++) {
        (void)qc_cells_valid(segment, &cells[i], 1, UINT64_MAX, QC_NO_LIMIT);
        (void)qc_cell_last(segment, cells[i], &cell);
    }
    if (qc_segment_store(segment) == NULL)
        return;
    qc_store_info(qc_segment_store(segment), &store);
    (void)!qc_store_visit(qc_segment_store(segment), visited, &sum);
    get_entries(qc_segment_store(segment));
}

static void use(struct qc_segment *segment)
{
    static struct qc_slot_info slots[4];
    const uint32_t cells[] = {0, 5, 63};
    struct qc_write write;
    size_t found = 0;
    if (qc_slots(segment, slots, 4, &found, NULL) == QC_OK)
        for (size_t i = 0; i < found; i++)
            (void)!qc_slot_settle(segment, slots[i].write, i % 2 == 0, NULL);
    if (qc_write_begin(segment, cells, 3, NULL, 0, &write, NULL) == QC_OK)
        (void)!qc_write_end(segment, write, NULL, NULL);
    if (qc_segment_store(segment) == NULL)
        return;
    (void)!qc_store_put(qc_segment_store(segment), "key 1", 5, 1, 0, cells, 3, slots, 180, &validity);
    (void)!qc_store_clear(qc_segment_store(segment), 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qc_segment *segment;
    struct qc_error error;
    if (size == 0)
        return 0;
    write_file(patch(data[0], data + 1, data + size));
    const bool opens = (data[0] & MODE_OPEN) != 0;
    const int status =
        opens ? qc_segment_open(path, &options, &segment, &error) : qc_segment_inspect(path, &segment, &error);
    if (status != QC_OK) {
        require(status < 0 && error.status == status && memchr(error.message, '\0', sizeof error.message) != NULL);
        return 0;
    }
    look(segment);
    if (opens)
        use(segment);
    qc_segment_close(segment);
    return 0;
}
