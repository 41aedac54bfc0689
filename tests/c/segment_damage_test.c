/* Bytes of a segment change under its users: that costs misses and a new segment, never a crash.
 *
 * QC_TORTURE_SECONDS (1) makes it longer, QC_TORTURE_SEED (1) gives other damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "place.h"
#include "plat/time.h"
#include "qcache/store.h"

#define USERS 2
#define SLOTS (QC_PAGE + PLACE_CELLS * (uint32_t)(sizeof(uint64_t) + sizeof(struct qc_note)))

struct shared {
    struct place *place;
    uint32_t stop;                      /* atomic */
    uint64_t rounds, reopened, refused; /* atomic */
};

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static bool always(void *context, const uint32_t *cells, size_t count, uint64_t stamp)
{
    return qc_cells_valid(context, cells, count, stamp, QC_NO_LIMIT);
}

static void use_store(struct qc_segment *segment, unsigned *seed, struct qc_entry *entry)
{
    struct qc_validity validity = {.valid = always, .context = segment};
    uint32_t key = (uint32_t)rand_r(seed) % 50, cells[] = {0, key + 1};

    if (!qc_segment_store(segment))
        return;
    (void)!qc_store_put(qc_segment_store(segment), &key, sizeof key, qc_clock(segment), 0, cells, 2, "value", 5,
                        &validity);
    if (qc_store_get(qc_segment_store(segment), &key, sizeof key, 0, &validity, entry) == QC_OK)
        CHECK(entry->value_size == 5 && memcmp(entry->value, "value", 5) == 0);
}

/* Everything that a segment is for, whatever it answers. */
static void use(struct qc_segment *segment, unsigned *seed, struct qc_entry *entry)
{
    static const char session[QC_SESSION_MAX];
    struct qc_slot_info slots[PLACE_SLOTS];
    struct qc_segment_info info;
    struct qc_cell_info cell;
    uint32_t cells[4];
    struct qc_write write;
    size_t found = 0;

    for (int i = 0; i < 4; i++)
        cells[i] = (uint32_t)rand_r(seed) % PLACE_CELLS;
    (void)qc_cells_valid(segment, cells, 4, qc_clock(segment), QC_NO_LIMIT);
    (void)qc_cell_last(segment, cells[0], &cell);
    use_store(segment, seed, entry);
    if (!qc_write_begin(segment, cells, 4, session, (size_t)(rand_r(seed) % 2) * 100, &write, NULL)) {
        /* Some stay in use, to be damaged. */
        if (rand_r(seed) % 2)
            (void)!qc_write_abandon(segment, write, NULL);
        else
            (void)!qc_write_end(segment, write, NULL, NULL);
    }
    (void)!qc_slots(segment, slots, PLACE_SLOTS, &found, NULL);
    CHECK(found <= PLACE_SLOTS);
    for (size_t i = 0; i < found && rand_r(seed) % 4 == 0; i++)
        (void)!qc_slot_settle(segment, slots[i].write, rand_r(seed) % 2, NULL);
    qc_segment_info(segment, &info);
    if (rand_r(seed) % 8 == 0)
        (void)qc_segment_verify(segment, NULL, NULL);
}

static void use_on_and_on(struct child *self, void *context)
{
    struct shared *shared = context;
    struct place *place = shared->place;
    struct qc_entry entry = {0};
    unsigned seed = (unsigned)self->pid;

    while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
        struct qc_segment *segment;

        if (qc_segment_open(place->path, &place->options, &segment, &place->error)) {
            (void)__atomic_add_fetch(&shared->refused, 1, __ATOMIC_RELAXED);
            continue;
        }
        (void)__atomic_add_fetch(&shared->reopened, 1, __ATOMIC_RELAXED);
        do {
            use(segment, &seed, &entry);
            (void)__atomic_add_fetch(&shared->rounds, 1, __ATOMIC_RELAXED);
        } while (qc_segment_usable(segment) && !__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE));
        qc_segment_close(segment);
    }
    qc_entry_release(&entry);
}

/* Where a slot lies in the file, one in use if there is any. */
static uint32_t some_slot(const uint8_t *bytes, unsigned *seed)
{
    uint32_t at = 0;

    for (int tries = 0; tries < 2 * (int)PLACE_SLOTS; tries++) {
        at = SLOTS + (uint32_t)rand_r(seed) % PLACE_SLOTS * (uint32_t)sizeof(struct qc_slot);
        if (bytes[at] != QC_SLOT_FREE)
            break;
    }
    return at;
}

/* One bit somewhere, mostly where it matters. The magic is spared: without it the file is somebody else's. */
static void flip(uint8_t *bytes, unsigned *seed)
{
    const uint32_t slot = some_slot(bytes, seed);
    const struct {
        uint32_t offset, size;
    } parts[] = {
        {QC_MAGIC_SIZE, QC_PAGE - QC_MAGIC_SIZE},
        {QC_PAGE, PLACE_CELLS * 8},
        {SLOTS, PLACE_SIZE - SLOTS},
        {slot + offsetof(struct qc_slot, cell_count), 4},
        {slot + offsetof(struct qc_slot, session_size), 4},
        {slot + offsetof(struct qc_slot, cells), 16},
        {slot, sizeof(struct qc_slot)},
    };
    size_t part = (size_t)rand_r(seed) % (sizeof parts / sizeof parts[0]);
    uint32_t at = parts[part].offset + (uint32_t)rand_r(seed) % parts[part].size;

    (void)__atomic_fetch_xor(&bytes[at], (uint8_t)(1 << rand_r(seed) % 8), __ATOMIC_RELAXED);
}

/* Damages whatever is in place now. */
static void damage(struct place *place, unsigned *seed)
{
    int fd = open(place->path, O_RDWR | O_CLOEXEC);
    uint8_t *bytes;

    if (fd < 0)
        return;
    bytes = mmap(NULL, PLACE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    CHECK(bytes != MAP_FAILED);
    for (int i = 0; i < 20; i++) {
        flip(bytes, seed);
        qc_time_wait_us((uint64_t)rand_r(seed) % 200);
    }
    CHECK(munmap(bytes, PLACE_SIZE) == 0);
}

static void test_flipped_bits_never_crash(void **state)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct child users[USERS];
    uint64_t end = qc_time_monotonic_us() + setting("QC_TORTURE_SECONDS", 1) * 1000000;
    unsigned seed = (unsigned)setting("QC_TORTURE_SEED", 1);

    assert_ptr_not_equal(shared, MAP_FAILED);
    shared->place = *state;
    for (int i = 0; i < USERS; i++)
        child_start(&users[i], use_on_and_on, shared);
    while (qc_time_monotonic_us() < end)
        damage(shared->place, &seed);
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < USERS; i++)
        assert_int_equal(child_end(&users[i]), 0);
    /* Damage was met and lived with, else nothing was shown. */
    assert_true(shared->reopened > USERS && shared->rounds > 20);
    print_message("%llu rounds, opened %llu times, refused %llu times\n", (unsigned long long)shared->rounds,
                  (unsigned long long)shared->reopened, (unsigned long long)shared->refused);
    assert_int_equal(munmap(shared, sizeof *shared), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flipped_bits_never_crash, place_make, place_unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
