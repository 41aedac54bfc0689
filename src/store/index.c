#include "store/index.h"

#include "base/atomics.h"

static uint64_t slot_of(uint64_t hash, uint64_t offset)
{
    return hash << 32 | (offset / 8 + 1);
}

static uint32_t home_of(const struct qc_index *index, uint64_t slot)
{
    return (uint32_t)(slot >> 32) & index->mask;
}

bool qc_index_next_locked(const struct qc_index *index, uint64_t hash, struct qc_probe *probe)
{
    while (probe->step <= index->mask) {
        uint32_t place = ((uint32_t)hash + probe->step) & index->mask;
        uint64_t slot = qc_load_relaxed(&index->slots[place]);

        probe->step++;
        if (slot == 0)
            return false;
        if (slot >> 32 != (uint32_t)hash)
            continue;
        probe->place = place;
        probe->offset = ((slot & UINT32_MAX) - 1) * 8;
        return true;
    }
    return false;
}

bool qc_index_find_locked(const struct qc_index *index, uint64_t hash, uint64_t offset, struct qc_probe *probe)
{
    *probe = (struct qc_probe){0};
    while (qc_index_next_locked(index, hash, probe))
        if (probe->offset == offset)
            return true;
    return false;
}

bool qc_index_insert_locked(struct qc_index *index, uint64_t hash, uint64_t offset)
{
    for (uint32_t step = 0; step <= index->mask; step++) {
        uint64_t *slot = &index->slots[((uint32_t)hash + step) & index->mask];

        if (qc_load_relaxed(slot) == 0) {
            qc_store_relaxed(slot, slot_of(hash, offset));
            return true;
        }
    }
    return false;
}

void qc_index_remove_locked(struct qc_index *index, uint32_t place)
{
    uint32_t hole = place;

    for (uint32_t step = 1; step <= index->mask; step++) {
        uint32_t next = (place + step) & index->mask;
        uint64_t slot = qc_load_relaxed(&index->slots[next]);

        if (slot == 0)
            break;
        /* It may move into the hole unless its home lies behind the hole. */
        if (((next - home_of(index, slot)) & index->mask) >= ((next - hole) & index->mask)) {
            qc_store_relaxed(&index->slots[hole], slot);
            hole = next;
        }
    }
    qc_store_relaxed(&index->slots[hole], 0);
}
