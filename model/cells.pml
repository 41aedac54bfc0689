/* Marks, stamps, deaths and zombie commits: PROTOCOL.md sections 1 to 4.
 *
 * Bounds: 2 cells; 2 writes, one of both cells and one of the second; 2 reads of both cells through one shared entry,
 * each of which hits or fills, one after the other or by two readers; a round of recovery by each of two processes;
 * DEATHS processes die, each after any store to the segment, those who recover too. A dead or unknown writer's statement
 * commits or fails whenever it likes. Every store and load of the segment is one step: what C's release and acquire give
 * on one word, and the mutex on several.
 *
 * Variants (-D): MARK_AFTER_COMMIT MARK_UNLOCKED MARK_ONE_CELL STAMP_BEFORE_COMMIT STAMP_AFTER_UNMARK CLOCK_NOT_RAISED
 * UNMARK_WITHOUT_STAMP SLOT_EMPTIED_FIRST SETTLE_UNKNOWN SETTLE_BY_TIMER NO_REBUILD REBUILD_FROM_ZERO CLOCK_AFTER_QUERY
 * HIT_TURNED HIT_FIRST_CELL HIT_WITHOUT_CHECK. ONLY=property: no other is checked. */
#define STALE 1 /* a hit is the database's state at one instant between its call and its return */
#define LOST 2  /* a cell stays marked from before a commit until it has a stamp drawn after it */
#define LOW 3   /* a cell's count is at least the number of writes in flight that list it */

#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef READS
#define READS 2
#endif
#define NOBODY 255
#define WRITES(i, c) ((i) == 0 || (c) == 1)

mtype = {FREE, WRITING, UNKNOWN};

/* The segment. */
byte clock = 1;
byte count[2]; /* a cell: writers above, */
byte stamp[2] = {1, 1}; /* stamp below: one word, so always stored and loaded together */
mtype slot[2] = {FREE, FREE};
byte mutex = NOBODY;
bool kept; /* the entry: what was read, and F1's clock */
byte entry[2], entry_time;

/* The world. */
bool dead[4]; /* 0, 1: the writers, 2, 3: who recovers */
byte deaths;
bool sent[2], over[2]; /* the server's sessions */
byte row[2];
byte commits, was[6]; /* was[2 * n + c]: row c after n commits */

/* Of the properties: for write i and cell c, in flight, or committed and not yet stamped since. */
#define IN_FLIGHT 1
#define UNSTAMPED 2
byte owed[4];

inline check_marks()
{
#if !defined(ONLY) || ONLY == LOST
    assert(!(count[0] == 0 && owed[0] == UNSTAMPED)); /* LOST */
    assert(!(count[1] == 0 && (owed[1] == UNSTAMPED || owed[3] == UNSTAMPED))); /* LOST */
#endif
#if !defined(ONLY) || ONLY == LOW
    assert(count[0] >= (owed[0] == IN_FLIGHT)); /* LOW */
    assert(count[1] >= (owed[1] == IN_FLIGHT) + (owed[3] == IN_FLIGHT)); /* LOW */
#endif
    skip
}

inline may_die()
{
    if
    :: deaths < DEATHS -> deaths++; goto dies
    :: true
    fi
}

inline acquire(me)
{
    atomic {
        mutex == NOBODY || dead[mutex] -> recovering = mutex != NOBODY; mutex = me
    }
    if
    :: recovering -> recovering = false; rebuild()
    :: else
    fi
}

inline release() { mutex = NOBODY }

/* Final values only, from the slots. */
inline rebuild()
{
#ifndef NO_REBUILD
    c = 0;
    do
    :: c < 2 ->
#ifdef REBUILD_FROM_ZERO
        atomic { count[c] = 0; check_marks(); may_die() }
#endif
        atomic {
            count[c] = (slot[0] != FREE && WRITES(0, c)) + (slot[1] != FREE && WRITES(1, c));
            check_marks();
            may_die()
        };
        c++
    :: else -> break
    od;
    c = 0
#else
    skip
#endif
}

/* W1, mutex held: first the list, then the counts. */
inline mark(i)
{
    atomic { slot[i] = WRITING; may_die() }
    c = 0;
    do
    :: c < 2 ->
        if
#ifdef MARK_ONE_CELL
        :: WRITES(i, c) && !(i == 0 && c == 1) ->
#else
        :: WRITES(i, c) ->
#endif
#ifdef MARK_UNLOCKED
            seen = count[c];
            atomic { count[c] = seen + 1; check_marks(); may_die() }
#else
            atomic { count[c]++; may_die() }
#endif
        :: else
        fi;
        c++
    :: else -> break
    od;
    c = 0
}

/* W3, mutex held: the clock, then each cell in one store, then the slot. */
inline settle(i)
{
#ifndef STAMP_BEFORE_COMMIT
#ifdef CLOCK_NOT_RAISED
    atomic { s = clock; may_die() }
#else
    atomic { clock++; s = clock; fresh = over[i]; may_die() }
#endif
#endif
#ifdef SLOT_EMPTIED_FIRST
    atomic { slot[i] = FREE; may_die() }
#endif
    c = 0;
    do
    :: c < 2 ->
        if
        :: WRITES(i, c) ->
            atomic {
                if
                :: count[c] > 0 -> count[c]--
                :: else
                fi;
#ifdef STAMP_AFTER_UNMARK
                check_marks();
                may_die()
            }
            atomic {
#endif
#ifdef UNMARK_WITHOUT_STAMP
                fresh = false;
#else
                stamp[c] = s;
#endif
                if
                :: fresh && owed[2 * i + c] == UNSTAMPED -> owed[2 * i + c] = 0
                :: else
                fi;
                check_marks();
                may_die()
            }
        :: else
        fi;
        c++
    :: else -> break
    od;
    c = 0;
    s = 0;
    fresh = false;
    atomic { slot[i] = FREE; may_die() }
}

inline send(i)
{
    atomic {
        sent[i] = true;
        owed[2 * i] = (WRITES(i, 0) -> IN_FLIGHT : 0);
        owed[2 * i + 1] = IN_FLIGHT;
        check_marks();
        may_die()
    }
}

proctype Writer(byte i)
{
    byte c, s, seen;
    bool recovering, fresh;

#ifdef MARK_AFTER_COMMIT
    send(i);
    over[i];
#endif
    /* W1 */
#ifndef MARK_UNLOCKED
    acquire(i);
#endif
#ifdef STAMP_BEFORE_COMMIT
    atomic { clock++; s = clock };
#endif
    mark(i);
#ifndef MARK_UNLOCKED
    release();
#endif
    /* W2 */
#ifndef MARK_AFTER_COMMIT
    send(i);
#endif
    if
    :: over[i]
#ifndef SETTLE_UNKNOWN
    :: !over[i] ->
        /* No answer: the slot stays. */
        acquire(i);
        atomic { slot[i] = UNKNOWN; may_die() }
        release();
        goto done
#else
    :: !over[i]
#endif
    fi;
    /* W3 */
    acquire(i);
    settle(i);
    release();
    goto done;
dies:
    atomic {
        dead[i] = true;
        if
        :: !sent[i] -> over[i] = true
        :: else
        fi
    }
done:
    skip
}

/* The server's side of write i: it ends when it likes, whatever became of the client. */
proctype Session(byte i)
{
end:
    atomic {
        sent[i] ->
        if
        :: commits++;
            row[0] = row[0] + WRITES(i, 0);
            row[1]++;
            was[2 * commits] = row[0];
            was[2 * commits + 1] = row[1];
            owed[2 * i] = (WRITES(i, 0) -> UNSTAMPED : 0);
            owed[2 * i + 1] = UNSTAMPED
        :: owed[2 * i] = 0; owed[2 * i + 1] = 0
        fi;
        over[i] = true;
        check_marks()
    }
}

#ifdef SETTLE_BY_TIMER
#define PROVED(i) true
#else
#define PROVED(i) over[i]
#endif

proctype Recoverer(byte me)
{
    byte c, s, i;
    bool recovering, fresh;

    acquire(me);
    do
    :: i < 2 ->
        if
        :: slot[i] != FREE && (dead[i] || slot[i] == UNKNOWN) && PROVED(i) -> settle(i)
        :: else
        fi;
        i++
    :: else -> break
    od;
    release();
    goto done;
dies:
    dead[me] = true;
done:
    skip
}

#ifdef HIT_TURNED
#define LATER(c) (count[c] == 0 && stamp[c] < t)
#else
#define LATER(c) (count[c] > 0 || stamp[c] > t)
#endif

#define WAS(n) (n >= called && n <= commits && was[2 * (n)] == v0 && was[2 * (n) + 1] == v1)

proctype Reader()
{
    byte v0, v1, t, called, reads;

    do
    :: reads < READS ->
        reads++;
        atomic {
            called = commits;
            if
            :: kept -> v0 = entry[0]; v1 = entry[1]; t = entry_time
            :: else -> goto fill
            fi
        }
        /* Hit: each cell is loaded once, and must be no later than the entry's time. */
#ifndef HIT_WITHOUT_CHECK
        atomic {
            if
            :: LATER(0) -> goto fill
            :: else
            fi
        }
#endif
        atomic {
#if !defined(HIT_WITHOUT_CHECK) && !defined(HIT_FIRST_CELL)
            if
            :: LATER(1) -> goto fill
            :: else
            fi;
#endif
#if !defined(ONLY) || ONLY == STALE
            assert(WAS(0) || WAS(1) || WAS(2)); /* STALE */
#endif
            goto next
        }
fill:
#ifndef CLOCK_AFTER_QUERY
        t = clock; /* F1 */
#endif
        atomic { v0 = row[0]; v1 = row[1] } /* the statement's snapshot */
#ifdef CLOCK_AFTER_QUERY
        t = clock;
#endif
        atomic { kept = true; entry[0] = v0; entry[1] = v1; entry_time = t } /* F3 */
next:
        atomic { v0 = 0; v1 = 0; t = 0; called = 0 }
    :: else -> break
    od
}

init
{
    byte readers;

    atomic {
        run Writer(0);
        run Writer(1);
        run Session(0);
        run Session(1);
        run Recoverer(2);
        if
        :: DEATHS > 0 -> run Recoverer(3)
        :: else
        fi;
        readers = READERS;
        do
        :: readers > 0 -> run Reader(); readers--
        :: else -> break
        od
    }
}
