/* The slots that this process has claimed: a kernel lock on each one's byte says that their owner lives (PROTOCOL
 * section 1), on a descriptor of its own that is never mapped and that no child keeps.
 *
 * A ticket remembers a claim in the process's own memory, so that nothing in the file can make us end a write that we
 * did not begin. Fork: a child has no claims.
 */
#ifndef QC_COHERENCE_CLAIMS_H
#define QC_COHERENCE_CLAIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "plat/fork.h"
#include "qcache/coherence.h"
#include "qcache/error.h"

#define QC_NO_SLOT UINT32_MAX

struct qc_claims {
    struct qc_fork_guard guard; /* around fd */
    int fd;                     /* -1: not open */
    int32_t pid;
    uint32_t count;
    uint32_t last;     /* atomic: the slot claimed last, where the next search begins */
    uint32_t spare;    /* under the segment's mutex: a free slot whose byte stays locked for the next write */
    uint64_t *tickets; /* atomic, one a slot: generation << 1 | in flight; 0: none */
    void (*in_child)(void *context);
    void *context;
};

/* `in_child` (may be NULL) runs in a child of a fork. Freed by qc_claims_release. */
int qc_claims_init(struct qc_claims *claims, uint32_t slots, void (*in_child)(void *context), void *context,
                   struct qc_error *error) QC_MUST_USE;
void qc_claims_release(struct qc_claims *claims);

/* Opens the descriptor that bears the locks, if it is not open: `mapped` is the segment's. */
int qc_claims_open(struct qc_claims *claims, int mapped, const char *path, struct qc_error *error) QC_MUST_USE;

/* What a ticket says of a write. */
enum qc_claim { QC_CLAIM_NONE, QC_CLAIM_LET_GO, QC_CLAIM_IN_FLIGHT };
enum qc_claim qc_claims_find(const struct qc_claims *claims, struct qc_write write);

/* Whether a write of this process is in flight in the slot. */
bool qc_claims_in_flight(const struct qc_claims *claims, uint32_t slot);

void qc_claims_note(struct qc_claims *claims, struct qc_write write);

/* Takes the ticket away, or leaves it to be ended later without being in flight. One of several callers gets what it
 * was; the others QC_CLAIM_NONE. */
enum qc_claim qc_claims_take(struct qc_claims *claims, struct qc_write write);
enum qc_claim qc_claims_let_go(struct qc_claims *claims, struct qc_write write);

#endif
