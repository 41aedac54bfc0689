/* The segment file, byte for byte (docs/format.md). All of it but the store is frozen: processes of different releases
 * mark their writes in it together (PROTOCOL section 6).
 *
 *   page 0        struct qc_header
 *   cells         one uint64_t each: writers in flight in the high 16 bits, stamp in the low 48
 *   notes         one struct qc_note a cell: for people
 *   slots         one struct qc_slot a write in flight
 *   store         the rest, page aligned; laid out by src/store
 *
 * Integers are the machine's own: a segment never leaves it.
 */
#ifndef QC_COHERENCE_LAYOUT_H
#define QC_COHERENCE_LAYOUT_H

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plat/host.h"
#include "plat/mutex.h"
#include "qcache/coherence.h"
#include "qcache/segment.h"

#define QC_LINE 64u
#define QC_PAGE 4096u
#define QC_MAGIC "qcache\r\n" /* 8 bytes, not terminated in the file; a text-mode copy would damage it */
#define QC_MAGIC_SIZE 8u
#define QC_FROZEN_VERSION 1u
#define QC_HASH_KEY_SIZE 16u
#define QC_STRIPES 8u
#define QC_CELLS_MIN 2u
#define QC_CELLS_MAX (1u << 24)
#define QC_SLOTS_MAX 65535u
#define QC_SIZE_MAX (UINT64_C(1) << 46)

/* A cell's word. */
#define QC_STAMP_BITS 48u
#define QC_STAMP_MAX ((UINT64_C(1) << QC_STAMP_BITS) - 1)

static inline uint64_t qc_word(uint64_t writers, uint64_t stamp)
{
    return writers << QC_STAMP_BITS | stamp;
}

static inline uint64_t qc_word_writers(uint64_t word)
{
    return word >> QC_STAMP_BITS;
}

static inline uint64_t qc_word_stamp(uint64_t word)
{
    return word & QC_STAMP_MAX;
}

/* qc_header.life. Whatever is not alive is retired, so that no flipped bit brings a retired segment back. */
#define QC_LIFE_ALIVE UINT32_C(0x4c495645)
#define QC_LIFE_RETIRED UINT32_C(0)

/* Never changes after creation; `checksum` is over all that stands before it. */
struct qc_constants {
    uint8_t magic[QC_MAGIC_SIZE];
    uint32_t frozen_version;
    uint32_t frozen_complement; /* ~frozen_version: tells a newer layout from a damaged one */
    uint32_t store_version;
    uint32_t cells, slots, max_entry;
    uint64_t size;
    uint64_t notes_offset, slots_offset, store_offset; /* cells follow page 0 */
    uint64_t pid_namespace;
    uint64_t born_us; /* CLOCK_BOOTTIME */
    uint8_t boot_id[QC_BOOT_ID_SIZE];
    uint8_t hash_key[QC_HASH_KEY_SIZE];
    uint8_t unique[QC_UNIQUE_SIZE];
    uint32_t identity_size, reserved;
    uint8_t identity[QC_IDENTITY_MAX];
    uint64_t checksum;
};

struct qc_stripe {
    alignas(QC_LINE) uint64_t counters[QC_COUNTERS];
};

struct qc_header {
    struct qc_constants constants;
    alignas(QC_LINE) uint32_t life; /* read at every hit, written once */
    alignas(QC_LINE) uint64_t clock;
    uint64_t clock_complement; /* ~clock: damage must not set the clock back. Written after it, under the mutex */
    struct qc_mutex mutex;
    struct qc_stripe stripes[QC_STRIPES];
};

/* The last settled write of a cell. Written under the mutex, read without. */
struct qc_note {
    int64_t realtime_ms;
    uint32_t writes; /* wraps */
    int32_t pid;
};

/* `state` is stored last when a slot is filled and is all that is stored when it is emptied. */
struct qc_slot {
    uint32_t state; /* enum qc_slot_state */
    uint32_t generation;
    int32_t pid;
    uint32_t cell_count;
    uint64_t since_us;
    uint32_t session_size, reserved;
    uint32_t cells[QC_SLOT_CELLS];
    uint8_t session[QC_SESSION_MAX];
    uint8_t spare[48];
};

static_assert(offsetof(struct qc_constants, frozen_version) == 8, "frozen");
static_assert(offsetof(struct qc_constants, size) == 32, "frozen");
static_assert(offsetof(struct qc_constants, boot_id) == 80, "frozen");
static_assert(offsetof(struct qc_constants, identity) == 136, "frozen");
static_assert(sizeof(struct qc_constants) == 136 + QC_IDENTITY_MAX + 8, "frozen, no padding in what is summed");
static_assert(offsetof(struct qc_header, life) == 1216, "frozen");
static_assert(offsetof(struct qc_header, clock) == 1280, "frozen");
static_assert(offsetof(struct qc_header, mutex) == 1344, "frozen");
static_assert(offsetof(struct qc_header, stripes) == 1408, "frozen");
static_assert(sizeof(struct qc_stripe) == QC_LINE, "frozen");
static_assert(sizeof(struct qc_header) <= QC_PAGE, "frozen");
static_assert(sizeof(struct qc_note) == 16, "frozen");
static_assert(offsetof(struct qc_slot, cells) == 32, "frozen");
static_assert(offsetof(struct qc_slot, session) == 272, "frozen");
static_assert(sizeof(struct qc_slot) == 1024, "frozen");

/* Where the parts lie in a file of these sizes. */
struct qc_layout {
    uint64_t size;
    uint32_t cells, slots, max_entry;
    uint64_t notes_offset, slots_offset, store_offset;
};

/* Lays the parts out. False: such counts can't be, or the store would begin past the end; `error` says which. */
bool qc_layout_place(struct qc_layout *layout, uint64_t size, uint32_t cells, uint32_t slots, uint32_t max_entry,
                     struct qc_error *error);

/* The same for a new segment, whose store must have room for entries of that size. */
bool qc_layout_plan(struct qc_layout *layout, uint64_t size, uint32_t cells, uint32_t slots, uint32_t max_entry,
                    struct qc_error *error);

#endif
