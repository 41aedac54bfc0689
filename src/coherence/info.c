/* Figures about a segment, and the check of its structures. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "coherence/slot.h"
#include "qcache/store.h"

#define VERIFY_WAIT_MS 200u
#define FINDINGS_MAX 20u /* of one kind: a damaged region has as many as it has cells */

static uint64_t counted(const struct qc_segment *segment, enum qc_counter counter)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < QC_STRIPES; i++)
        sum += qc_load_relaxed(&segment->header->stripes[i].counters[counter]);
    return sum;
}

void qc_segment_info(const struct qc_segment *segment, struct qc_segment_info *info)
{
    struct qc_store_info store = {0};

    memset(info, 0, sizeof *info);
    if (segment->store)
        qc_store_info(segment->store, &store);
    info->size = segment->layout.size;
    info->cells = segment->layout.cells;
    info->slots = segment->layout.slots;
    info->max_entry = segment->layout.max_entry;
    info->shards = store.shards;
    info->frozen_version = segment->constants.frozen_version;
    info->store_version = segment->constants.store_version;
    info->clock = qc_load_acquire(&segment->header->clock);
    info->hits = counted(segment, QC_COUNTER_HIT);
    info->misses = counted(segment, QC_COUNTER_MISS);
    info->fills = counted(segment, QC_COUNTER_FILL);
    info->writes = counted(segment, QC_COUNTER_WRITE);
    for (uint32_t i = 0; i < segment->layout.slots; i++)
        info->slots_used += qc_slot_state(segment, i) != QC_SLOT_FREE;
    for (uint32_t i = 0; i < segment->layout.cells; i++)
        info->cells_marked += qc_word_writers(qc_load_relaxed(&segment->cells[i])) != 0;
    info->retired = qc_segment_retired(segment);
    info->is_private = segment->is_private;
    info->created_here = segment->created;
    info->identity_size = segment->constants.identity_size;
    memcpy(info->identity, segment->constants.identity, info->identity_size);
}

/* What verification found so far, and whom to tell. */
struct findings {
    size_t count;
    void (*report)(void *context, const char *finding);
    void *context;
};

static void found(struct findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void found(struct findings *findings, const char *format, ...)
{
    char text[160];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    findings->count++;
    if (findings->report)
        findings->report(findings->context, text);
}

static void verify_header(const struct qc_segment *segment, struct findings *findings)
{
    uint32_t life = qc_load_relaxed(&segment->header->life);

    if (memcmp(&segment->header->constants, &segment->constants, sizeof segment->constants) != 0)
        found(findings, "the header is not what it was when the file was opened");
    if (life != QC_LIFE_ALIVE && life != QC_LIFE_RETIRED)
        found(findings, "neither alive nor retired: %#x", life);
}

static void verify_slots_locked(const struct qc_segment *segment, uint16_t *writers, struct findings *findings)
{
    for (uint32_t i = 0; i < segment->layout.slots; i++) {
        struct qc_slot slot;

        if (qc_slot_state(segment, i) == QC_SLOT_FREE)
            continue;
        if (!qc_slot_read_locked(segment, i, &slot)) {
            found(findings, "slot %u is damaged", i);
            continue;
        }
        for (uint32_t n = 0; n < slot.cell_count; n++)
            writers[slot.cells[n]]++;
    }
}

static void verify_cells_locked(const struct qc_segment *segment, const uint16_t *writers, struct findings *findings)
{
    uint64_t clock = qc_load_relaxed(&segment->header->clock);
    size_t before = findings->count;

    if (clock != ~qc_load_relaxed(&segment->header->clock_complement) || clock > QC_STAMP_MAX)
        found(findings, "the clock %llu is damaged", (unsigned long long)clock);
    for (uint32_t i = 0; i < segment->layout.cells && findings->count - before < FINDINGS_MAX; i++) {
        uint64_t word = qc_load_relaxed(&segment->cells[i]);

        if (qc_word_writers(word) != writers[i])
            found(findings, "cell %u counts %llu writers, %u slots list it", i,
                  (unsigned long long)qc_word_writers(word), writers[i]);
        if (qc_word_stamp(word) > clock)
            found(findings, "cell %u has stamp %llu, after the clock %llu", i, (unsigned long long)qc_word_stamp(word),
                  (unsigned long long)clock);
    }
}

static void verify_counts(struct qc_segment *segment, struct findings *findings)
{
    uint16_t *writers = calloc(segment->layout.cells, sizeof *writers);
    struct qc_error error;

    if (!writers) {
        found(findings, "no memory to count writers");
        return;
    }
    if (qc_segment_lock(segment, VERIFY_WAIT_MS, &error)) {
        found(findings, "%s", error.message);
    } else {
        verify_slots_locked(segment, writers, findings);
        verify_cells_locked(segment, writers, findings);
        qc_segment_unlock(segment);
    }
    free(writers);
}

size_t qc_segment_verify(struct qc_segment *segment, void (*report)(void *context, const char *finding), void *context)
{
    struct findings findings = {.report = report, .context = context};

    verify_header(segment, &findings);
    verify_counts(segment, &findings);
    if (segment->store)
        findings.count += qc_store_verify(segment->store, report, context);
    else if (segment->constants.store_version == QC_STORE_VERSION)
        found(&findings, "the store can't be read");
    return findings.count;
}
