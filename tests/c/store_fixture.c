#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "store_fixture.h"

#define REGION_SIZE (1024u * 1024u)

const uint8_t fixture_hash_key[16] = "0123456789abcdef";

void *fixture_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(memory != MAP_FAILED);
    return memory;
}

static void open_sized(struct fixture *fixture, size_t size, uint32_t max_entry)
{
    struct qc_error error;

    memset(fixture, 0, sizeof *fixture);
    fixture->size = size;
    fixture->region = fixture_map(size);
    assert_int_equal(qc_store_format(fixture->region, size, max_entry, fixture_hash_key, &error), QC_OK);
    assert_int_equal(qc_store_attach(fixture->region, size, &fixture->store, &error), QC_OK);
}

void fixture_open(struct fixture *fixture)
{
    open_sized(fixture, REGION_SIZE, FIXTURE_MAX_ENTRY);
}

void fixture_open_small(struct fixture *fixture)
{
    open_sized(fixture, qc_store_size_min(FIXTURE_MAX_ENTRY), FIXTURE_MAX_ENTRY);
    assert_int_equal(fixture->store->geometry.shards, 1);
}

void fixture_close(struct fixture *fixture)
{
    qc_entry_release(&fixture->entry);
    qc_store_detach(fixture->store);
    munmap(fixture->region, fixture->size);
}

void fixture_print(void *context, const char *finding)
{
    (void)context;
    print_message("%s\n", finding);
}

size_t fixture_verify(struct fixture *fixture)
{
    return qc_store_verify(fixture->store, fixture_print, NULL);
}

int fixture_put(struct fixture *fixture, const char *key, const char *value)
{
    static const uint32_t cells[] = {3, 5};

    return qc_store_put(fixture->store, key, strlen(key), 7, 0, cells, 2, value, strlen(value), NULL);
}

int fixture_get(struct fixture *fixture, const char *key)
{
    return qc_store_get(fixture->store, key, strlen(key), 0, NULL, &fixture->entry);
}

bool fixture_holds(struct fixture *fixture, const char *key, const char *value)
{
    return fixture_get(fixture, key) == QC_OK && fixture->entry.value_size == strlen(value) &&
           memcmp(fixture->entry.value, value, strlen(value)) == 0;
}

struct qc_store_info fixture_info(struct fixture *fixture)
{
    struct qc_store_info info;

    qc_store_info(fixture->store, &info);
    return info;
}

struct qc_shard fixture_shard(struct fixture *fixture, const char *key)
{
    const struct qc_store *store = fixture->store;
    struct qc_shard shard;

    qc_shard_view(&store->geometry, fixture->region,
                  qc_store_shard_of(store, qc_hash(fixture_hash_key, key, strlen(key))), &shard);
    return shard;
}

void fixture_name(char key[16], unsigned number)
{
    (void)snprintf(key, 16, "key %u", number);
}

void fixture_put_more(struct fixture *fixture, unsigned from, unsigned count)
{
    static char value[500];
    char key[16];

    memset(value, 'v', sizeof value - 1);
    for (unsigned i = 0; i < count; i++) {
        fixture_name(key, from + i);
        assert_int_equal(fixture_put(fixture, key, value), QC_OK);
    }
}

unsigned fixture_fill(struct fixture *fixture)
{
    struct qc_store_info info;
    unsigned number = 0;

    do {
        fixture_put_more(fixture, number++, 1);
        info = fixture_info(fixture);
    } while (info.used + 1200 < info.capacity);
    assert_int_equal(info.evicted, 0);
    return number;
}
