/* A folder with a segment in it, or where one may be: what the tests of segments start from. */
#ifndef QC_TESTS_PLACE_H
#define QC_TESTS_PLACE_H

#include "coherence/layout.h"
#include "qcache/coherence.h"
#include "qcache/segment.h"
#include "support.h"

#define PLACE_SIZE (2u << 20)
#define PLACE_CELLS 256u
#define PLACE_SLOTS 8u

struct place {
    struct folder folder;
    char path[128], lock[128], new[128]; /* the segment, its lock file, the file in the making */
    struct qc_segment_options options;
    struct qc_error error; /* of the last call that failed */
};

/* Set-up and tear-down of a test: *state is the place. */
int place_make(void **state);
int place_unmake(void **state);

int try_open(struct place *place, struct qc_segment **segment);
struct qc_segment *must_open(struct place *place);

/* Whether the call that opened it made the file. */
bool created(const struct qc_segment *segment);

/* Whether opening now gives a new segment; a sound one in any case. */
bool is_replaced(struct place *place);

/* Opening fails with `status`, names the file and changes nothing about it. */
void must_be_refused(struct place *place, int status);

/* Writes constants into the file, with a right checksum; and what it holds, made if need be. */
void forge(struct place *place, const struct qc_constants *constants);
struct qc_constants read_constants(struct place *place);

/* W1 and W3 of cell 3. */
void write_once(struct qc_segment *segment);

/* W1 of some cells, or of one without a session; W3, giving the stamp. They succeed. */
struct qc_write must_begin(struct qc_segment *segment, const uint32_t *cells, size_t count, const char *session);
struct qc_write must_mark(struct qc_segment *segment, uint32_t cell);
uint64_t must_end(struct qc_segment *segment, struct qc_write write);

/* Whether an entry of this cell and time would be a hit. */
bool valid(const struct qc_segment *segment, uint32_t cell, uint64_t time);

/* Writers in flight by the cell's word. */
uint64_t writers_of(struct qc_segment *segment, uint32_t cell);

/* qc_slots with room for all: how many there are. */
size_t slots_in_use(struct qc_segment *segment, struct qc_slot_info *slots);

/* Verification finds nothing. */
void must_be_sound(struct qc_segment *segment);

#endif
