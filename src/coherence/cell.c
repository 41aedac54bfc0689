/* Reading clock and cells: no lock, no system call. PROTOCOL sections 3 and 4. */
#include "base/atomics.h"
#include "base/hash.h"
#include "coherence/segment.h"

#define NOTE_TRIES 8

uint32_t qc_cell_of(const struct qc_segment *segment, const char *name, size_t size)
{
    return 1 + (uint32_t)(qc_hash(segment->constants.hash_key, name, size) % (segment->layout.cells - 1));
}

uint64_t qc_clock(const struct qc_segment *segment)
{
    /* F1: acquire, so that the statement is sent after it. A clock ahead of its complement by more than the one step
     * between two stores is damaged: time 0, for which nothing is valid. */
    uint64_t clock = qc_load_acquire(&segment->header->clock);
    uint64_t shadow = ~qc_load_relaxed(&segment->header->clock_complement);

    return clock <= shadow + 1 ? clock : 0;
}

bool qc_cells_valid(const struct qc_segment *segment, const uint32_t *cells, size_t count, uint64_t time,
                    uint64_t limit)
{
    uint64_t bound = time < limit ? time : limit;

    /* Hit: first `retired`, which a writer that can't mark stores before it runs. */
    if (qc_segment_retired(segment) || bound > QC_STAMP_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        /* Hit: a stamp after `bound`, or a writer in flight, makes the word greater. */
        if (cells[i] >= segment->layout.cells || qc_load_acquire(&segment->cells[cells[i]]) > bound)
            return false;
    }
    return true;
}

bool qc_cell_last(const struct qc_segment *segment, uint32_t cell, struct qc_cell_info *info)
{
    const struct qc_note *note;
    uint32_t writes;

    if (cell >= segment->layout.cells)
        return false;
    note = &segment->notes[cell];
    for (unsigned tries = 0; tries < NOTE_TRIES; tries++) {
        writes = qc_load_acquire(&note->writes);
        info->writes = writes;
        info->realtime_ms = qc_load_acquire(&note->realtime_ms);
        info->pid = qc_load_acquire(&note->pid);
        info->word = qc_load_acquire(&segment->cells[cell]);
        /* Of one write, unless they come so fast that nobody can tell them apart. */
        if (qc_load_acquire(&note->writes) == writes)
            break;
    }
    return info->writes != 0;
}
