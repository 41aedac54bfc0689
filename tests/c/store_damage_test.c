/* Bytes of the store change under it: by hand, one guard at a time, and at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "store_fixture.h"
#include "store_world.h"

/* The offset of the record of `key` in its shard's log. */
static uint64_t offset_of(struct fixture *fixture, const char *key)
{
    struct qc_shard shard = fixture_shard(fixture, key);
    struct qc_place place;

    assert_int_equal(qc_shard_lock(&shard, 1000), QC_OK);
    assert_true(qc_shard_find_locked(&shard, qc_hash(fixture_hash_key, key, strlen(key)), key, strlen(key), &place));
    qc_shard_unlock(&shard);
    return place.offset;
}

static uint8_t *record_of(struct fixture *fixture, const char *key)
{
    return fixture_shard(fixture, key).log + offset_of(fixture, key);
}

/* The slot of the index that leads to `key`. */
static uint64_t *slot_of(struct fixture *fixture, const char *key)
{
    struct qc_shard shard = fixture_shard(fixture, key);
    struct qc_probe probe;

    assert_true(qc_index_find_locked(&shard.index, qc_hash(fixture_hash_key, key, strlen(key)), offset_of(fixture, key),
                                     &probe));
    return &shard.index.slots[probe.place];
}

static uint64_t *word_of(struct fixture *fixture, const char *key, size_t number)
{
    return (uint64_t *)(void *)record_of(fixture, key) + number;
}

static bool in_key_or_hash(size_t at)
{
    return (at >= 8 && at < 16) || (at >= 32 && at < 36) || (at >= 56 + 8 && at < 56 + 8 + 3);
}

static void test_any_changed_byte_of_an_entry_makes_it_a_miss(void **state)
{
    struct fixture fixture;
    size_t size;

    (void)state;
    fixture_open_small(&fixture);
    assert_int_equal(fixture_put(&fixture, "key", "value"), QC_OK);
    size = *word_of(&fixture, "key", 0) & UINT32_MAX;
    assert_int_equal(size, 56 + 8 + 3 + 5);
    for (size_t bit = 0; bit < size * 8; bit++) {
        uint8_t *record;

        assert_int_equal(qc_store_clear(fixture.store, 1000), QC_OK);
        assert_int_equal(fixture_put(&fixture, "key", "value"), QC_OK);
        record = record_of(&fixture, "key");
        record[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (bit == 32) { /* the bit that says hit is the one that may change */
            assert_true(fixture_holds(&fixture, "key", "value"));
            continue;
        }
        assert_true(qc_store_verify(fixture.store, NULL, NULL) > 0);
        assert_int_equal(fixture_get(&fixture, "key"), QC_MISS);
        assert_int_equal(fixture_get(&fixture, "key"), QC_MISS);
        assert_int_equal(fixture_put(&fixture, "key", "value"), QC_OK); /* all is well again */
        assert_true(fixture_holds(&fixture, "key", "value"));
        if (in_key_or_hash(bit / 8)) /* then it is found by nobody, and pushed out in its time */
            continue;
        assert_int_equal(fixture_verify(&fixture), 0);
    }
    fixture_close(&fixture);
}

static void test_damaged_entry_is_dropped_alone(void **state)
{
    struct fixture fixture;
    struct qc_store_info info;

    (void)state;
    fixture_open_small(&fixture);
    fixture_put_more(&fixture, 0, 10);
    record_of(&fixture, "key 5")[100] ^= 1;
    assert_int_equal(fixture_get(&fixture, "key 5"), QC_MISS);
    info = fixture_info(&fixture);
    assert_int_equal(info.entries, 9);
    assert_int_equal(info.damaged, 1);
    assert_int_equal(fixture_get(&fixture, "key 4"), QC_OK);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

/* "key 1" has been found to be damaged: its shard was emptied, and goes on. */
static void assert_emptied(struct fixture *fixture)
{
    assert_int_equal(fixture_get(fixture, "key 1"), QC_MISS);
    assert_int_equal(fixture_info(fixture).entries, 0);
    assert_int_equal(fixture_info(fixture).damaged, 1);
    assert_int_equal(fixture_verify(fixture), 0);
    fixture_put_more(fixture, 0, 10);
    assert_int_equal(fixture_info(fixture).entries, 10);
    fixture_close(fixture);
}

static void fill_ten(struct fixture *fixture)
{
    fixture_open_small(fixture);
    fixture_put_more(fixture, 0, 10);
}

static void test_slot_that_leads_outside_empties_the_shard(void **state)
{
    struct fixture fixture;

    (void)state;
    fill_ten(&fixture);
    *slot_of(&fixture, "key 1") |= UINT32_MAX;
    assert_emptied(&fixture);
    fill_ten(&fixture);
    *slot_of(&fixture, "key 1") &= ~(uint64_t)UINT32_MAX; /* an offset below 0 */
    assert_emptied(&fixture);
    fill_ten(&fixture);
    *slot_of(&fixture, "key 1") += 1; /* the middle of a record */
    assert_emptied(&fixture);
}

/* What lies behind the head may look like a record: it was one. */
static void test_slot_that_leads_to_a_record_pushed_out_empties_the_shard(void **state)
{
    struct fixture fixture;
    struct qc_shard shard;
    uint64_t *slot;

    (void)state;
    fill_ten(&fixture);
    shard = fixture_shard(&fixture, "key 1");
    slot = slot_of(&fixture, "key 1");
    shard.header->used -= (offset_of(&fixture, "key 1") + 560) & ~UINT64_C(7); /* the tail is past it now */
    assert_true(*slot != 0);
    assert_emptied(&fixture);
}

static void test_head_or_used_out_of_range_empties_the_shard(void **state)
{
    struct fixture fixture;
    const struct {
        uint64_t head, used, entries;
    } wrong[] = {{UINT64_MAX, 0, 0}, {8, UINT64_MAX, 0}, {4, 8, 0}, {8, 4, 0}, {8, 8, UINT64_MAX}};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct qc_shard_header *header;

        fill_ten(&fixture);
        header = fixture_shard(&fixture, "key 1").header;
        header->head = wrong[i].head;
        header->used = wrong[i].used;
        header->entries = wrong[i].entries;
        assert_int_equal(qc_store_verify(fixture.store, NULL, NULL), 1);
        assert_emptied(&fixture);
    }
    fill_ten(&fixture);
    fixture_shard(&fixture, "key 1").header->used = fixture.store->geometry.log_size + 8;
    assert_emptied(&fixture);
}

/* Consistent in itself. */
static void lengthen(struct fixture *fixture, const char *key, uint64_t more)
{
    uint64_t *words = word_of(fixture, key, 0);

    words[0] += more; /* size of the record */
    words[5] += more; /* size of its value */
}

static void test_record_longer_than_the_log_empties_the_shard(void **state)
{
    struct fixture fixture;

    (void)state;
    fill_ten(&fixture);
    lengthen(&fixture, "key 1", fixture.store->geometry.log_size);
    assert_true(qc_store_verify(fixture.store, NULL, NULL) > 0);
    assert_emptied(&fixture);
}

/* The oldest record claims to be longer than all that is in use. */
static void test_record_longer_than_what_is_used_is_not_pushed_out(void **state)
{
    struct fixture fixture;
    struct qc_shard shard;
    unsigned next;

    (void)state;
    fixture_open_small(&fixture);
    next = fixture_fill(&fixture);
    shard = fixture_shard(&fixture, "key 0");
    lengthen(&fixture, "key 0", 4096);
    shard.header->used = 2048; /* and the tail is not where it was */
    shard.header->head = 2048;
    assert_true(qc_store_verify(fixture.store, NULL, NULL) > 0);
    shard.header->entries = shard.index.mask / 4 * 3 + 3; /* a put must push it out */
    fixture_put_more(&fixture, next, 1);
    assert_int_equal(fixture_info(&fixture).damaged, 1);
    assert_int_equal(fixture_info(&fixture).entries, 1);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static void test_damaged_tail_costs_the_shard_but_not_the_put(void **state)
{
    struct fixture fixture;
    unsigned next;
    char key[16];

    (void)state;
    for (size_t word = 0; word < 2; word++) { /* its kind: no record; its hash: not the one in the index */
        fixture_open_small(&fixture);
        next = fixture_fill(&fixture);
        *word_of(&fixture, "key 0", word) ^= word == 0 ? UINT64_C(1) << 50 : 1u << 20;
        fixture_put_more(&fixture, next, 5);
        fixture_name(key, next + 4);
        assert_int_equal(fixture_get(&fixture, key), QC_OK);
        assert_int_equal(fixture_info(&fixture).damaged, 1);
        assert_true(fixture_info(&fixture).entries <= 5);
        assert_int_equal(fixture_verify(&fixture), 0);
        fixture_close(&fixture);
    }
}

static void test_index_without_a_gap_hangs_no_one(void **state)
{
    struct fixture fixture;
    struct qc_shard shard;

    (void)state;
    alarm(WORLD_HANG_SECONDS);
    fill_ten(&fixture);
    shard = fixture_shard(&fixture, "key 1");
    for (uint32_t i = 0; i <= shard.index.mask; i++)
        if (shard.index.slots[i] == 0)
            shard.index.slots[i] = UINT64_C(0xdeadbeef00000001);
    assert_true(qc_store_verify(fixture.store, NULL, NULL) > 0);
    assert_int_equal(fixture_get(&fixture, "no such key"), QC_MISS);
    assert_int_equal(fixture_get(&fixture, "key 1"), QC_OK);
    assert_int_equal(fixture_put(&fixture, "another", "value"), QC_OK); /* no free slot: that is damage */
    assert_int_equal(fixture_info(&fixture).damaged, 1);
    assert_int_equal(fixture_put(&fixture, "key 1", "value"), QC_OK);
    assert_true(fixture_holds(&fixture, "key 1", "value"));
    assert_int_equal(fixture_verify(&fixture), 0);
    alarm(0);
    fixture_close(&fixture);
}

static void test_removal_from_an_index_without_a_gap_ends(void **state)
{
    struct fixture fixture;
    struct qc_shard shard;

    (void)state;
    alarm(WORLD_HANG_SECONDS);
    fill_ten(&fixture);
    shard = fixture_shard(&fixture, "key 1");
    for (uint32_t i = 0; i <= shard.index.mask; i++)
        if (shard.index.slots[i] == 0)
            shard.index.slots[i] = UINT64_C(0xdeadbeef00000001);
    assert_int_equal(fixture_put(&fixture, "key 1", "value"), QC_OK);
    assert_true(fixture_holds(&fixture, "key 1", "value"));
    alarm(0);
    fixture_close(&fixture);
}

/* A full log of whole records, and an end in the middle of one: a walk that missed it would go round for ever. */
static void test_walk_over_a_log_without_an_end_ends(void **state)
{
    struct fixture fixture;
    struct qc_shard_header *header;

    (void)state;
    alarm(WORLD_HANG_SECONDS);
    fixture_open_small(&fixture);
    fixture_put_more(&fixture, 100, 300); /* all of one size */
    header = fixture_shard(&fixture, "key 100").header;
    assert_int_equal(header->used, fixture.store->geometry.log_size);
    header->used -= 8;
    header->head -= 8;
    assert_true(qc_store_verify(fixture.store, NULL, NULL) > 0);
    alarm(0);
    fixture_close(&fixture);
}

static void test_damaged_lock_puts_only_its_shard_out_of_use(void **state)
{
    struct fixture fixture;
    struct qc_shard shard;
    unsigned hits = 0;
    char key[16];

    (void)state;
    fixture_open(&fixture);
    assert_true(fixture.store->geometry.shards > 4);
    fixture_put_more(&fixture, 0, 100);
    shard = fixture_shard(&fixture, "key 1");
    memset(shard.header->mutex.bytes, 0xa5, sizeof shard.header->mutex.bytes);
    assert_int_equal(fixture_get(&fixture, "key 1"), QC_MISS);
    assert_int_equal(fixture_put(&fixture, "key 1", "value"), QC_ERR_BUSY);
    assert_int_equal(qc_store_verify(fixture.store, NULL, NULL), 1);
    for (unsigned i = 0; i < 100; i++) {
        fixture_name(key, i);
        hits += fixture_get(&fixture, key) == QC_OK;
    }
    assert_true(hits > 50 && hits < 100);
    fixture_close(&fixture);
}

static uint64_t damage_counted(struct world *world)
{
    struct qc_store_info info;

    qc_store_info(world->store, &info);
    return info.damaged;
}

static void test_damage_between_operations_is_a_miss(void **state)
{
    unsigned found = 0;
    struct world world;

    (void)state;
    world_open(&world, 0, 200);
    alarm(WORLD_HANG_SECONDS * 2);
    for (unsigned round = 0; round < 40000; round++) {
        uint64_t before;

        if (round % 400 == 0) /* or else a lock would be out of use before long */
            world_format(&world);
        world_damage(&world, round % 64 == 0);
        before = damage_counted(&world); /* the damage may have been to the counter */
        for (unsigned i = 0; i < 8; i++)
            assert_true(world_step(&world));
        found += damage_counted(&world) != before;
    }
    print_message("%llu gets, %llu hits; damage was found in %u of 40000 rounds\n",
                  (unsigned long long)world.shared->gets, (unsigned long long)world.shared->hits, found);
    assert_true(world.shared->hits > 5000 && found > 1000);
    alarm(0);
    world_close(&world);
}

static bool see_entry(void *context, const void *key, size_t key_size, const struct qc_entry *entry)
{
    uint32_t number;

    (void)context;
    assert_int_equal(key_size, sizeof number);
    memcpy(&number, key, sizeof number);
    assert_true(world_is_right(entry, number));
    return true;
}

static void test_looking_at_a_damaged_store_is_safe(void **state)
{
    struct world world;
    size_t found = 0;

    (void)state;
    world_open(&world, 128 * 1024, WORLD_KEYS_MAX / 10);
    alarm(WORLD_HANG_SECONDS * 2);
    for (unsigned round = 0; round < 1500; round++) {
        world_format(&world);
        for (unsigned i = 0; i < 60; i++)
            world_put(&world, world_draw(&world, world.keys));
        assert_int_equal(qc_store_verify(world.store, fixture_print, NULL), 0);
        world_damage(&world, false); /* a lock that looks held would cost the check a second */
        found += qc_store_verify(world.store, NULL, NULL) > 0;
        assert_int_equal(qc_store_visit(world.store, see_entry, NULL), QC_OK);
    }
    print_message("%zu of 1500 damages were found\n", found);
    assert_true(found > 300);
    alarm(0);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_changed_byte_of_an_entry_makes_it_a_miss),
        cmocka_unit_test(test_damaged_entry_is_dropped_alone),
        cmocka_unit_test(test_slot_that_leads_outside_empties_the_shard),
        cmocka_unit_test(test_slot_that_leads_to_a_record_pushed_out_empties_the_shard),
        cmocka_unit_test(test_head_or_used_out_of_range_empties_the_shard),
        cmocka_unit_test(test_record_longer_than_the_log_empties_the_shard),
        cmocka_unit_test(test_record_longer_than_what_is_used_is_not_pushed_out),
        cmocka_unit_test(test_damaged_tail_costs_the_shard_but_not_the_put),
        cmocka_unit_test(test_index_without_a_gap_hangs_no_one),
        cmocka_unit_test(test_removal_from_an_index_without_a_gap_ends),
        cmocka_unit_test(test_walk_over_a_log_without_an_end_ends),
        cmocka_unit_test(test_damaged_lock_puts_only_its_shard_out_of_use),
        cmocka_unit_test(test_damage_between_operations_is_a_miss),
        cmocka_unit_test(test_looking_at_a_damaged_store_is_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
