#include "coherence/segment.h"

#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "coherence/mapping.h"
#include "plat/time.h"
#include "qcache/store.h"

void qc_segment_close(struct qc_segment *segment)
{
    if (!segment)
        return;
    if (segment->store)
        qc_store_detach(segment->store);
    qc_claims_release(&segment->claims);
    qc_gate_free(segment->gate);
    if (segment->header)
        qc_memory_unmap(segment->header, segment->layout.size);
    if (segment->fd >= 0)
        qc_file_close(segment->fd);
    free(segment->path);
    free(segment);
}

bool qc_segment_retired(const struct qc_segment *segment)
{
    return qc_load_acquire(&segment->header->life) != QC_LIFE_ALIVE;
}

void qc_segment_retire(struct qc_segment *segment)
{
    qc_store_ordered(&segment->header->life, QC_LIFE_RETIRED);
}

bool qc_segment_linked(const struct qc_segment *segment)
{
    struct qc_file_facts facts;

    if (segment->is_private)
        return true;
    return qc_file_facts(segment->fd, &facts) == 0 && facts.links > 0 && facts.size >= segment->layout.size;
}

bool qc_segment_usable(struct qc_segment *segment)
{
    uint64_t now;

    if (qc_load_relaxed(&segment->gone))
        return false;
    if (!segment->is_private) {
        now = qc_time_coarse_ms();
        if (now - qc_load_relaxed(&segment->looked_ms) >= QC_CHECK_PERIOD_MS) {
            if (!qc_segment_linked(segment)) {
                qc_store_relaxed(&segment->gone, 1);
                return false;
            }
            /* The time from before the look: other threads trust it for a period from then. */
            qc_store_relaxed(&segment->looked_ms, now);
        }
    }
    return !qc_segment_retired(segment);
}

struct qc_store *qc_segment_store(const struct qc_segment *segment)
{
    return segment->store;
}

const uint8_t *qc_segment_unique(const struct qc_segment *segment)
{
    return segment->constants.unique;
}

void qc_segment_count(struct qc_segment *segment, enum qc_counter counter)
{
    uint32_t stripe = (uint32_t)segment->claims.pid % QC_STRIPES;

    qc_add_relaxed(&segment->header->stripes[stripe].counters[counter], 1);
}
