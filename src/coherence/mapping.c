#include "coherence/mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "coherence/header.h"
#include "coherence/slot.h"
#include "plat/time.h"
#include "qcache/store.h"

static void *store_region(void *memory, const struct qc_layout *layout, size_t *size)
{
    *size = (size_t)(layout->size - layout->store_offset);
    return (char *)memory + layout->store_offset;
}

/* PROTOCOL 2.6: the database's cell is marked by nobody in particular, until somebody proves that no transaction from
 * before the segment is open. */
static void mark_birth(struct qc_slot *slot, uint64_t *cell, uint64_t now)
{
    slot->generation = 1;
    slot->since_us = now;
    slot->cell_count = 1;
    slot->cells[0] = QC_CELL_DATABASE;
    slot->session_size = sizeof QC_SESSION_BIRTH - 1;
    memcpy(slot->session, QC_SESSION_BIRTH, sizeof QC_SESSION_BIRTH - 1);
    slot->state = QC_SLOT_UNKNOWN;
    *cell += qc_word(1, 0);
}

int qc_memory_format(void *memory, const struct qc_layout *layout, const struct qc_segment_options *options,
                     uint64_t previous, struct qc_error *error)
{
    struct qc_header *header = memory;
    uint64_t *cells = (uint64_t *)(void *)((char *)memory + QC_PAGE);
    struct qc_slot *slots = (struct qc_slot *)(void *)((char *)memory + layout->slots_offset);
    size_t store_size;
    void *store = store_region(memory, layout, &store_size);
    uint64_t now = qc_time_boot_us();
    int status = qc_constants_make(&header->constants, layout, options, error);

    if (status)
        return status;
    /* Times and entries of an older segment are less than any cell's stamp here. */
    header->clock = previous >= now && previous < QC_STAMP_MAX / 2 ? previous + 1 : now;
    header->clock_complement = ~header->clock;
    for (uint32_t i = 0; i < layout->cells; i++)
        cells[i] = header->clock;
    if (options->born_marked)
        mark_birth(&slots[0], &cells[QC_CELL_DATABASE], now);
    if (qc_mutex_init(&header->mutex))
        return qc_error_set(error, QC_ERR_UNSUPPORTED, 0, "no robust process-shared mutexes here");
    status = qc_store_format(store, store_size, layout->max_entry, header->constants.hash_key, error);
    header->life = QC_LIFE_ALIVE;
    return status;
}

/* Page 0 as it is in the file now: read, not mapped, because the file may be shorter. */
static int read_header(int fd, const char *path, struct qc_header *header, struct qc_file_facts *facts, size_t *got,
                       struct qc_error *error)
{
    memset(header, 0, sizeof *header);
    if (qc_file_facts(fd, facts) || qc_file_read(fd, header, sizeof *header, got))
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be read", path);
    return QC_OK;
}

static int check_use(const struct qc_header *header, const struct qc_segment_options *options, const char *path,
                     struct qc_error *error)
{
    int status = qc_constants_check_host(&header->constants, path, error);

    if (!options)
        return status == QC_ERR_RETIRED ? QC_OK : status; /* another boot's may be looked at */
    if (!status)
        status = qc_constants_check_identity(&header->constants, options, path, error);
    if (!status && header->life != QC_LIFE_ALIVE)
        status = qc_error_set(error, QC_ERR_RETIRED, 0, "%s is retired", path);
    return status;
}

static int check_opened(int fd, const char *path, const struct qc_segment_options *options, struct qc_header *header,
                        struct qc_layout *layout, struct qc_error *error)
{
    struct qc_file_facts facts;
    size_t got;
    int status = read_header(fd, path, header, &facts, &got, error);

    if (!status)
        status = qc_constants_check(&header->constants, got, facts.size, path, layout, error);
    return status ? status : check_use(header, options, path, error);
}

uint64_t qc_mapping_clock(const char *path, const struct qc_file_access *access)
{
    struct qc_header header = {0};
    struct qc_file_facts facts;
    struct qc_layout layout;
    size_t got;
    int fd, status;

    if (qc_file_open(path, access, &fd, NULL))
        return 0;
    status = read_header(fd, path, &header, &facts, &got, NULL);
    qc_file_close(fd);
    if (status || qc_constants_check(&header.constants, got, facts.size, path, &layout, NULL) ||
        qc_constants_check_host(&header.constants, path, NULL))
        return 0;
    return header.clock == ~header.clock_complement ? header.clock : 0;
}

/* After fork the child's private memory is a copy, perhaps of a mutex held and a write in flight in a thread that the
 * child hasn't got. Its own: nobody else sees it. Async-signal-safe. */
static void mend_private_copy(void *context)
{
    struct qc_segment *segment = context;
    struct qc_header *header = segment->header;
    bool in_flight = false;

    if (!header)
        return;
    if (qc_mutex_init(&header->mutex))
        qc_segment_retire(segment);
    for (uint32_t i = 0; i < segment->layout.slots; i++) {
        in_flight = in_flight || qc_slot_state(segment, i) != QC_SLOT_FREE;
        if (qc_slot_state(segment, i) != QC_SLOT_FREE)
            qc_store_release(&segment->slots[i].state, (uint32_t)QC_SLOT_FREE);
    }
    if (!in_flight && header->clock == ~header->clock_complement)
        return;
    header->clock++;
    header->clock_complement = ~header->clock;
    for (uint32_t i = 0; i < segment->layout.cells; i++)
        qc_store_release(&segment->cells[i], header->clock);
}

/* A child may have been born into another PID namespace, where thread ids, and so the mutexes' owners, mean others. */
static void check_namespace(void *context)
{
    struct qc_segment *segment = context;
    uint64_t pid_namespace;

    if (qc_host_pid_namespace(&pid_namespace, NULL) || pid_namespace != segment->constants.pid_namespace)
        qc_store_relaxed(&segment->gone, 1);
}

/* Fills the handle from its constants and layout, which have been checked, and `memory`, which it takes over. */
static int settle_in(struct qc_segment *segment, void *memory, struct qc_error *error)
{
    char *base = memory;
    size_t store_size;
    void *store = store_region(memory, &segment->layout, &store_size);
    int status;

    segment->cells = (uint64_t *)(void *)(base + QC_PAGE);
    segment->notes = (struct qc_note *)(void *)(base + segment->layout.notes_offset);
    segment->slots = (struct qc_slot *)(void *)(base + segment->layout.slots_offset);
    segment->looked_ms = qc_time_coarse_ms();
    segment->header = memory;
    status = qc_claims_init(&segment->claims, segment->layout.slots,
                            segment->is_private ? mend_private_copy : check_namespace, segment, error);
    if (!status && segment->constants.store_version == QC_STORE_VERSION)
        status = qc_store_attach(store, store_size, &segment->store, error);
    return status;
}

static struct qc_segment *new_segment(struct qc_error *error)
{
    struct qc_segment *segment = calloc(1, sizeof *segment);

    if (!segment)
        (void)qc_error_set(error, QC_ERR_MEMORY, 0, "no memory");
    else
        segment->fd = -1;
    return segment;
}

static int map_opened(struct qc_segment *segment, const struct qc_segment_options *options, struct qc_error *error)
{
    struct qc_header header;
    void *memory;
    int status = check_opened(segment->fd, segment->path, options, &header, &segment->layout, error);

    if (status)
        return status;
    segment->constants = header.constants;
    memory = qc_memory_map(segment->fd, segment->layout.size);
    if (!memory)
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be mapped", segment->path);
    status = settle_in(segment, memory, error);
    /* A store that can't be read is looked at without it; in use it makes the whole file worthless. */
    return status == QC_ERR_CORRUPT && !options ? QC_OK : status;
}

int qc_mapping_open(const char *path, const struct qc_file_access *access, const struct qc_segment_options *options,
                    struct qc_segment **out, struct qc_error *error)
{
    struct qc_segment *segment = new_segment(error);
    int status;

    if (!segment)
        return QC_ERR_MEMORY;
    segment->inspected = !options;
    segment->path = strdup(path);
    status = segment->path ? QC_OK : qc_error_set(error, QC_ERR_MEMORY, 0, "no memory");
    if (!status)
        status = qc_file_open(path, access, &segment->fd, error);
    if (!status)
        status = map_opened(segment, options, error);
    if (!status && options)
        status = qc_gate_new(path, access, &segment->gate, error);
    if (status)
        qc_segment_close(segment);
    else
        *out = segment;
    return status;
}

int qc_segment_private(const struct qc_segment_options *options, struct qc_segment **out, struct qc_error *error)
{
    struct qc_layout layout;
    struct qc_segment *segment;
    void *memory;
    int status;

    if (!qc_layout_plan(&layout, options->size, options->cells, options->slots, options->max_entry, error))
        return QC_ERR_ARGUMENT;
    if (options->identity_size > QC_IDENTITY_MAX)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "an identity of %zu bytes", options->identity_size);
    segment = new_segment(error);
    if (!segment)
        return QC_ERR_MEMORY;
    memory = qc_memory_private(layout.size);
    if (!memory) {
        qc_segment_close(segment);
        return qc_error_set(error, QC_ERR_MEMORY, errno, "no memory for %llu bytes", (unsigned long long)layout.size);
    }
    segment->layout = layout;
    segment->is_private = segment->created = true;
    segment->header = memory;
    status = qc_memory_format(memory, &layout, options, 0, error);
    segment->constants = segment->header->constants;
    if (!status)
        status = settle_in(segment, memory, error);
    if (status)
        qc_segment_close(segment);
    else
        *out = segment;
    return status;
}

int qc_segment_inspect(const char *path, struct qc_segment **out, struct qc_error *error)
{
    const struct qc_file_access access = {.mode = 0600, .group = -1, .any_owner = true};
    int status = qc_mapping_open(path, &access, NULL, out, error);

    return status == QC_MISS ? QC_ERR_SYSTEM : status;
}
