/* Snapshot transactions, SQLite's and REPEATABLE READ: PROTOCOL.md 3.3 and 4.1.
 *
 * Bounds: 2 cells with a query and an entry each; 2 writes, one of both cells and one of the second; a transaction of 3
 * reads; 2 reads outside of it. Nobody dies here: see cells.pml.
 *
 * Variants (-D): SNAPSHOT_RULE_OFF EARLY_HIT SNAPSHOT_CLOCK_LATE FILL_CLOCK_NOW HIT_TURNED. ONLY=property: no other is
 * checked. */
#define STALE 1    /* a hit outside is the database's state at an instant between its call and its return */
#define SNAPSHOT 2 /* everything that the transaction reads is of one state of the database */

#define WRITES(i, c) ((i) == 0 || (c) == 1)
#define NONE 255

byte clock = 1;
byte count[2];
byte stamp[2] = {1, 1};
bool mutex;
bool kept[2];
byte entry[2], entry_time[2];

byte row[2];
byte commits, was[6]; /* was[2 * n + c]: row c after n commits */

#ifdef HIT_TURNED
#define LATER(c, t) (count[c] == 0 && stamp[c] < (t))
#else
#define LATER(c, t) (count[c] > 0 || stamp[c] > (t))
#endif

proctype Writer(byte i)
{
    byte c, s;

    /* W1 */
    atomic { !mutex -> mutex = true }
    do
    :: c < 2 -> count[c] = count[c] + WRITES(i, c); c++
    :: else -> break
    od;
    atomic { c = 0; mutex = false }
    /* W2 */
    atomic {
        commits++;
        row[0] = row[0] + WRITES(i, 0);
        row[1]++;
        was[2 * commits] = row[0];
        was[2 * commits + 1] = row[1]
    }
    /* W3 */
    atomic { !mutex -> mutex = true }
    atomic { clock++; s = clock }
    do
    :: c < 2 ->
        atomic {
            if
            :: WRITES(i, c) -> count[c]--; stamp[c] = s
            :: else
            fi;
            c++
        }
    :: else -> break
    od;
    mutex = false
}

proctype Transaction()
{
    byte t_snap, snapshot = NONE, q, v, t, reads;
    byte early[2] = {NONE, NONE};

    t_snap = clock; /* F1: before whatever makes the driver send BEGIN */
    do
    :: reads < 3 ->
        reads++;
        atomic {
            if
            :: q = 0
            :: q = 1
            fi;
            v = entry[q];
            t = entry_time[q];
            if
            :: kept[q] -> skip
            :: else -> goto fill
            fi
        }
        /* Hit: only once a SELECT was answered, valid for the entry's time and for the snapshot's. */
        atomic {
            if
#ifdef EARLY_HIT
            :: LATER(q, t) || LATER(q, t_snap) -> goto fill
#else
#ifdef SNAPSHOT_RULE_OFF
            :: snapshot == NONE || LATER(q, t) -> goto fill
#else
            :: snapshot == NONE || LATER(q, t) || LATER(q, t_snap) -> goto fill
#endif
#endif
            :: else
            fi;
            if
            :: snapshot == NONE -> early[q] = v
            :: else ->
#if !defined(ONLY) || ONLY == SNAPSHOT
                assert(v == was[2 * snapshot + q]); /* SNAPSHOT */
#endif
                skip
            fi;
            goto next
        }
fill:
#ifdef FILL_CLOCK_NOW
        t = clock;
#endif
        atomic {
            if
            :: snapshot == NONE ->
                snapshot = commits;
#if !defined(ONLY) || ONLY == SNAPSHOT
                assert(early[0] == NONE || early[0] == was[2 * snapshot]); /* SNAPSHOT */
                assert(early[1] == NONE || early[1] == was[2 * snapshot + 1]); /* SNAPSHOT */
#endif
                skip
            :: else
            fi;
            v = was[2 * snapshot + q]
        }
#ifdef SNAPSHOT_CLOCK_LATE
        if
        :: reads == 1 -> t_snap = clock
        :: else
        fi;
#endif
#ifndef FILL_CLOCK_NOW
        t = t_snap;
#endif
        atomic { kept[q] = true; entry[q] = v; entry_time[q] = t } /* F3 */
next:
        atomic { v = 0; t = 0; q = 0 }
    :: else -> break
    od
}

#define WAS(n) (n >= called && n <= commits && was[2 * (n) + q] == v)

proctype Reader()
{
    byte v, t, q, called, reads;

    do
    :: reads < 2 ->
        reads++;
        atomic {
            if
            :: q = 0
            :: q = 1
            fi;
            called = commits;
            v = entry[q];
            t = entry_time[q];
            if
            :: kept[q] -> skip
            :: else -> goto fill
            fi
        }
        atomic {
            if
            :: LATER(q, t) -> goto fill
            :: else
            fi;
#if !defined(ONLY) || ONLY == STALE
            assert(WAS(0) || WAS(1) || WAS(2)); /* STALE */
#endif
            goto next
        }
fill:
        t = clock; /* F1 */
        v = row[q];
        atomic { kept[q] = true; entry[q] = v; entry_time[q] = t } /* F3 */
next:
        atomic { v = 0; t = 0; q = 0; called = 0 }
    :: else -> break
    od
}

init
{
    atomic {
        run Writer(0);
        run Writer(1);
        run Transaction();
        run Reader()
    }
}
