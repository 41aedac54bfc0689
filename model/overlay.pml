/* A transaction's own writes at READ COMMITTED: dirty cells, the overlay, savepoints: PROTOCOL.md 2.2 and 4.3.
 *
 * Bounds: 2 cells with a query and an entry each; one connection does OPS things in transactions one after another
 * (write, read, savepoint, rollback to it, release it, commit, rollback, an error that ends the statement, an error that
 * rolls all back), with two savepoints in one another; UPDATES autocommit updates of another row of the first cell's
 * table; READS reads by a third connection. Nobody dies here: see cells.pml.
 *
 * Variants (-D): OWN_DIRTY_HIT OWN_DIRTY_FILL OVERLAY_UNCHECKED OVERLAY_KEPT_AT_WRITE OVERLAY_KEPT_AT_SAVEPOINT_ROLLBACK
 * OVERLAY_KEPT_AT_END OVERLAY_KEPT_AT_ERROR DIRTY_LOST_AT_SAVEPOINT_ROLLBACK DIRTY_LOST_AT_RELEASE COMMIT_UNMARKED.
 * ONLY=property: no other is checked. */
#define STALE 1 /* a hit of others was committed at one instant between its call and its return */
#define DIRTY 2 /* a hit of others was committed at all */
#define OWN 3   /* what the transaction reads is what it has written, and of the other row what is committed */

#ifndef OPS
#define OPS 6
#endif
#ifndef UPDATES
#define UPDATES 1
#endif
#ifndef READS
#define READS 2
#endif
#define DEPTH 2
#define LATER(c, t) (count[c] > 0 || stamp[c] > (t))

byte clock = 1;
byte count[2];
byte stamp[2] = {1, 1};
bool mutex;
bool kept[2];
byte entry[2], entry_other[2], entry_time[2];

/* The database: the transaction's row of each table, committed; and the other row of the first. */
byte row[2], other;
/* When row c became what, as times of the world, which passes with each commit. */
byte now, next = 1;
#define VALUES 8
byte from[16], until[16]; /* of value v in row c: 2 * v + c; until 0: still */
bool was[16];
byte other_from[3], other_until[3];

proctype Owner()
{
    byte mine[2], saved[4]; /* saved[2 * depth + c] */
    bool dirty[2], own[2];
    byte own_row[2], own_other[2], own_time[2]; /* the overlay */
    bool open, errored;
    byte depth, ops, c, t, v, o, called;

    do
    :: ops < OPS ->
        ops++;
        if
        /* A write: dirty and out of the overlay before it is sent. */
        :: atomic { !errored ->
               open = true;
               if
               :: c = 0
               :: c = 1
               fi;
               dirty[c] = true;
#ifndef OVERLAY_KEPT_AT_WRITE
               own[c] = false;
#endif
               mine[c] = next;
               next++
           }
        :: atomic { open && !errored && depth < DEPTH ->
               saved[2 * depth] = mine[0];
               saved[2 * depth + 1] = mine[1];
               depth++
           }
        :: atomic { open && depth > 0 ->
               depth--;
               mine[0] = saved[2 * depth];
               mine[1] = saved[2 * depth + 1];
#ifndef OVERLAY_KEPT_AT_SAVEPOINT_ROLLBACK
               own[0] = false;
               own[1] = false;
#endif
#ifdef DIRTY_LOST_AT_SAVEPOINT_ROLLBACK
               dirty[0] = false;
               dirty[1] = false;
#endif
               errored = false
           }
        :: atomic { open && !errored && depth > 0 ->
               depth--;
#ifdef DIRTY_LOST_AT_RELEASE
               dirty[0] = false;
               dirty[1] = false;
#endif
               skip
           }
        /* An error, of the statement or (a deadlock on some) of everything so far. */
        :: atomic { open && !errored ->
               errored = true;
               if
               :: mine[0] = row[0]; mine[1] = row[1]; depth = 0
               :: depth > 0
               fi;
#ifndef OVERLAY_KEPT_AT_ERROR
               own[0] = false;
               own[1] = false
#else
               errored = false
#endif
           }
        :: atomic { open ->
               mine[0] = row[0];
               mine[1] = row[1];
               goto ended
           }
        :: open && !errored -> goto commit
        :: atomic { true ->
               if
               :: c = 0
               :: c = 1
               fi;
               called = now
           };
           goto read
        fi;
        goto next_op;

commit:
        /* W1, W2, W3 */
#ifndef COMMIT_UNMARKED
        atomic { count[0] = count[0] + dirty[0]; count[1] = count[1] + dirty[1] }
#endif
        atomic {
            now++;
            do
            :: c < 2 ->
                if
                :: mine[c] != row[c] ->
                    until[2 * row[c] + c] = now;
                    was[2 * mine[c] + c] = true;
                    from[2 * mine[c] + c] = now;
                    row[c] = mine[c]
                :: else
                fi;
                c++
            :: else -> break
            od;
            c = 0
        }
#ifndef COMMIT_UNMARKED
        atomic { !mutex -> mutex = true; clock++; t = clock }
        atomic {
            if
            :: dirty[0] -> count[0]--; stamp[0] = t
            :: else
            fi
        }
        atomic {
            if
            :: dirty[1] -> count[1]--; stamp[1] = t
            :: else
            fi;
            mutex = false;
            t = 0
        }
#endif
ended:
        atomic {
            open = false;
            errored = false;
            depth = 0;
            dirty[0] = false;
            dirty[1] = false;
#ifndef OVERLAY_KEPT_AT_END
            own[0] = false;
            own[1] = false;
#endif
            goto next_op
        }

read:
        /* Own dirty cells: the overlay, which the shared check must pass too. Others: the shared entry. */
        atomic {
            if
#ifdef OVERLAY_UNCHECKED
            :: !errored && (dirty[0] || dirty[1]) && own[c] ->
#else
            :: !errored && (dirty[0] || dirty[1]) && own[c] && !LATER(c, own_time[c]) ->
#endif
                v = own_row[c];
                o = own_other[c];
                goto answer
            :: else
            fi;
            if
#ifdef OWN_DIRTY_HIT
            :: !errored && kept[c] && !LATER(c, entry_time[c]) ->
#else
            :: !errored && !dirty[c] && kept[c] && !LATER(c, entry_time[c]) ->
#endif
                v = entry[c];
                o = entry_other[c];
                goto answer
            :: else
            fi
        }
        t = clock; /* F1 */
        atomic { v = (open -> mine[c] : row[c]); o = (c == 0 -> other : 0) }
        atomic { /* F3 */
            if
#ifndef OWN_DIRTY_FILL
            :: dirty[c] && !errored -> own[c] = true; own_row[c] = v; own_other[c] = o; own_time[c] = t
            :: dirty[c] && errored
#endif
#ifdef OWN_DIRTY_FILL
            :: true ->
#else
            :: !dirty[c] ->
#endif
                kept[c] = true; entry[c] = v; entry_other[c] = o; entry_time[c] = t
            fi;
            goto next_op
        }
answer:
        atomic {
#if !defined(ONLY) || ONLY == OWN
            assert(v == (open -> mine[c] : row[c])); /* OWN */
            assert(c == 1 || other_until[o] == 0 || other_until[o] > called); /* OWN */
#endif
            skip
        }
next_op:
        atomic { c = 0; t = 0; v = 0; o = 0; called = 0 }
    :: else -> break
    od
}

/* Autocommit updates of the first table's other row. */
proctype Updater()
{
    byte updates, s;

    do
    :: updates < UPDATES ->
        updates++;
        count[0]++; /* W1 */
        atomic { /* W2 */
            now++;
            other_until[other] = now;
            other++;
            other_from[other] = now
        }
        atomic { !mutex -> mutex = true; clock++; s = clock } /* W3 */
        atomic { count[0]--; stamp[0] = s; s = 0; mutex = false }
    :: else -> break
    od
}

proctype Reader()
{
    byte v, o, t, c, called, reads;

    do
    :: reads < READS ->
        reads++;
        atomic {
            if
            :: c = 0
            :: c = 1
            fi;
            called = now;
            v = entry[c];
            o = entry_other[c];
            t = entry_time[c];
            if
            :: kept[c] -> skip
            :: else -> goto fill
            fi
        }
        atomic {
            if
            :: LATER(c, t) -> goto fill
            :: else
            fi;
#if !defined(ONLY) || ONLY == DIRTY
            assert(v == 0 || was[2 * v + c]); /* DIRTY */
#endif
#if !defined(ONLY) || ONLY == STALE
            /* One instant for both rows: neither had ended when the call came, nor before the other began. */
            assert(until[2 * v + c] == 0 || until[2 * v + c] > called); /* STALE */
            assert(c == 1 || other_until[o] == 0 || other_until[o] > called); /* STALE */
            assert(c == 1 || until[2 * v] == 0 || until[2 * v] > other_from[o]); /* STALE */
            assert(c == 1 || other_until[o] == 0 || other_until[o] > from[2 * v]); /* STALE */
#endif
            goto done
        }
fill:
        t = clock; /* F1 */
        atomic { v = row[c]; o = (c == 0 -> other : 0) }
        atomic { kept[c] = true; entry[c] = v; entry_other[c] = o; entry_time[c] = t } /* F3 */
done:
        atomic { v = 0; o = 0; t = 0; c = 0; called = 0 }
    :: else -> break
    od
}

init
{
    atomic {
        run Owner();
        run Updater();
        run Reader()
    }
}
