#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "plat/time.h"
#include "qcache.h"
#include "qcache/store.h"

#define CELLS_SHOWN 20u
#define SLOTS_MORE 16u /* that may be taken between counting and listing */

static void print_name(const char *name)
{
    (void)printf("%-14s ", name);
}

static void print_number(const char *name, uint64_t number)
{
    (void)printf("%-14s %" PRIu64 "\n", name, number);
}

static void print_size(const char *name, uint64_t bytes)
{
    char text[24];

    (void)printf("%-14s %s\n", name, cli_size(bytes, text));
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

static void print_segment(const char *path, const struct qc_segment *segment, const struct qc_segment_info *info)
{
    const uint8_t *unique = qc_segment_unique(segment);

    (void)printf("%-14s %s\n", "file", path);
    print_name("identity");
    cli_print_bytes(info->identity, info->identity_size);
    print_name("unique");
    for (size_t i = 0; i < QC_UNIQUE_SIZE; i++)
        (void)printf("%02x", unique[i]);
    (void)printf("\n%-14s %s\n", "state", info->retired ? "retired: no one may hit it any more" : "in use");
    (void)printf("%-14s %" PRIu32 ", store %" PRIu32 "\n", "layout", info->frozen_version, info->store_version);
    print_size("size", info->size);
    print_size("largest entry", info->max_entry);
    print_number("clock", info->clock);
    print_number("hits", info->hits);
    print_number("misses", info->misses);
    (void)printf("%-14s %.1f %%\n", "hit rate", percent(info->hits, info->hits + info->misses));
    print_number("fills", info->fills);
    print_number("writes", info->writes);
    (void)printf("%-14s %" PRIu32 ", %" PRIu32 " of them marked\n", "cells", info->cells, info->cells_marked);
    (void)printf("%-14s %" PRIu32 ", %" PRIu32 " of them in use\n", "slots", info->slots, info->slots_used);
}

static void print_store(struct qc_store *store)
{
    struct qc_store_info info;
    char used[24], capacity[24];

    qc_store_info(store, &info);
    (void)printf("\nstore\n");
    print_number("shards", info.shards);
    (void)printf("%-14s %s of %s, %.1f %%\n", "occupied", cli_size(info.used, used), cli_size(info.capacity, capacity),
                 percent(info.used, info.capacity));
    print_number("entries", info.entries);
    print_number("evictions", info.evicted);
    print_number("moved on", info.reinserted);
    print_number("refused", info.refused);
    print_number("damaged", info.damaged);
}

/* What depends on one cell. */
struct tally {
    uint32_t cell;
    uint64_t entries, bytes;
};

struct tallies {
    struct tally *items;
    uint32_t count;
};

static bool add_entry(void *context, const void *key, size_t key_size, const struct qc_entry *entry)
{
    struct tallies *tallies = context;

    (void)key; /* may hold what a query asked for: not ours to print */
    for (size_t i = 0; i < entry->cell_count; i++) {
        if (entry->cells[i] >= tallies->count)
            continue;
        tallies->items[entry->cells[i]].entries++;
        tallies->items[entry->cells[i]].bytes += key_size + entry->value_size;
    }
    return true;
}

static int by_entries(const void *one, const void *other)
{
    const struct tally *a = one, *b = other;

    if (a->entries != b->entries)
        return a->entries < b->entries ? 1 : -1;
    return a->cell < b->cell ? -1 : a->cell > b->cell;
}

static void print_last_write(const struct qc_segment *segment, uint32_t cell)
{
    struct qc_cell_info info;
    char when[32];
    struct tm parts;
    time_t seconds;

    if (!qc_cell_last(segment, cell, &info)) {
        (void)printf("          -  never\n");
        return;
    }
    seconds = (time_t)(info.realtime_ms / 1000);
    if (gmtime_r(&seconds, &parts) == NULL || strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
        when[0] = '\0';
    (void)printf(" %10" PRIu64 "  %s by pid %" PRId32 "\n", info.writes, when, info.pid);
}

static void print_tally(const struct qc_segment *segment, const struct tally *tally)
{
    char name[24], size[24];

    if (tally->cell == QC_CELL_DATABASE)
        (void)snprintf(name, sizeof name, "database");
    else
        (void)snprintf(name, sizeof name, "%" PRIu32, tally->cell);
    (void)printf("%-14s %10" PRIu64 " %12s", name, tally->entries, cli_size(tally->bytes, size));
    print_last_write(segment, tally->cell);
}

static int print_cells(const struct qc_segment *segment, uint32_t cells)
{
    struct tallies tallies = {calloc(cells, sizeof *tallies.items), cells};
    uint32_t used = 0;
    int status = QC_ERR_MEMORY;

    if (tallies.items == NULL)
        return status;
    for (uint32_t i = 0; i < cells; i++)
        tallies.items[i].cell = i;
    status = qc_store_visit(qc_segment_store(segment), add_entry, &tallies);
    qsort(tallies.items, cells, sizeof *tallies.items, by_entries);
    while (used < cells && tallies.items[used].entries > 0)
        used++;
    (void)printf("\n%-14s %10s %12s %10s  %s\n", "cell", "entries", "bytes", "writes", "last write");
    for (uint32_t i = 0; i < used && i < CELLS_SHOWN; i++)
        print_tally(segment, &tallies.items[i]);
    if (used == 0)
        (void)printf("none\n");
    else if (used > CELLS_SHOWN)
        (void)printf("and %" PRIu32 " more\n", used - CELLS_SHOWN);
    free(tallies.items);
    return status;
}

static const char *slot_state(const struct qc_slot_info *slot)
{
    if (slot->state == QC_SLOT_UNKNOWN)
        return "unknown";
    return slot->owner_alive ? "writing" : "abandoned";
}

static void print_slot(const struct qc_slot_info *slot)
{
    uint64_t now = qc_time_boot_us();
    uint64_t age = now > slot->since_us ? now - slot->since_us : 0;

    (void)printf("%-5" PRIu32 " %-9s pid %-8" PRId32 " %8.1f s  cells", slot->write.slot, slot_state(slot), slot->pid,
                 (double)age / 1e6);
    for (uint32_t i = 0; i < slot->cell_count; i++)
        (void)printf(" %" PRIu32, slot->cells[i]);
    (void)printf("  session ");
    if (slot->session_size == 0)
        (void)printf("-\n");
    else
        cli_print_bytes(slot->session, slot->session_size);
}

static int print_slots(struct qc_segment *segment, uint32_t used)
{
    size_t room = (size_t)used + SLOTS_MORE, found = 0;
    struct qc_slot_info *slots = calloc(room, sizeof *slots);
    struct qc_error error;
    int status;

    if (slots == NULL)
        return QC_ERR_MEMORY;
    (void)printf("\nwrites in flight\n");
    status = qc_slots(segment, slots, room, &found, &error);
    for (size_t i = 0; i < found; i++)
        print_slot(&slots[i]);
    if (status != QC_OK)
        (void)printf("can't be listed: %s\n", error.message);
    else if (found == 0)
        (void)printf("none\n");
    free(slots);
    return QC_OK;
}

int cli_stat(const char *path, struct qc_segment *segment)
{
    struct qc_store *store = qc_segment_store(segment);
    struct qc_segment_info info;
    int status = QC_OK;

    qc_segment_info(segment, &info);
    print_segment(path, segment, &info);
    if (store != NULL) {
        print_store(store);
        status = print_cells(segment, info.cells);
    } else {
        (void)printf("\nstore          another version, or damaged: not read\n");
    }
    if (status == QC_OK)
        status = print_slots(segment, info.slots_used);
    if (status == QC_OK)
        return EXIT_SOUND;
    (void)fprintf(stderr, "qcache: %s\n", qc_status_name(status));
    return EXIT_UNUSABLE;
}
