#include "coherence/layout.h"

#include "qcache/store.h"

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static bool refuse(struct qc_error *error, const struct qc_layout *layout, uint64_t size, uint64_t needed)
{
    (void)qc_error_set(error, QC_ERR_ARGUMENT, 0,
                       "a segment of %llu bytes is too small: %u cells, %u slots and entries of %u bytes need %llu",
                       (unsigned long long)size, layout->cells, layout->slots, layout->max_entry,
                       (unsigned long long)needed);
    return false;
}

bool qc_layout_place(struct qc_layout *layout, uint64_t size, uint32_t cells, uint32_t slots, uint32_t max_entry,
                     struct qc_error *error)
{
    if (cells < QC_CELLS_MIN || cells > QC_CELLS_MAX) {
        (void)qc_error_set(error, QC_ERR_ARGUMENT, 0, "%u cells: between %u and %u are possible", cells, QC_CELLS_MIN,
                           QC_CELLS_MAX);
        return false;
    }
    if (slots < 1 || slots > QC_SLOTS_MAX) {
        (void)qc_error_set(error, QC_ERR_ARGUMENT, 0, "%u slots: between 1 and %u are possible", slots, QC_SLOTS_MAX);
        return false;
    }
    if (size > QC_SIZE_MAX) {
        (void)qc_error_set(error, QC_ERR_ARGUMENT, 0, "a segment of %llu bytes is too large", (unsigned long long)size);
        return false;
    }
    layout->size = size / QC_PAGE * QC_PAGE;
    layout->cells = cells;
    layout->slots = slots;
    layout->max_entry = max_entry;
    layout->notes_offset = round_up(QC_PAGE + (uint64_t)cells * sizeof(uint64_t), QC_LINE);
    layout->slots_offset = round_up(layout->notes_offset + (uint64_t)cells * sizeof(struct qc_note), QC_LINE);
    layout->store_offset = round_up(layout->slots_offset + (uint64_t)slots * sizeof(struct qc_slot), QC_PAGE);
    if (layout->size <= layout->store_offset)
        return refuse(error, layout, size, layout->store_offset + QC_PAGE);
    return true;
}

bool qc_layout_plan(struct qc_layout *layout, uint64_t size, uint32_t cells, uint32_t slots, uint32_t max_entry,
                    struct qc_error *error)
{
    uint64_t needed;

    if (!qc_layout_place(layout, size, cells, slots, max_entry, error))
        return false;
    needed = round_up(layout->store_offset + qc_store_size_min(max_entry), QC_PAGE);
    return layout->size >= needed ? true : refuse(error, layout, size, needed);
}
