/* The segment's own life: PROTOCOL.md section 6. It may be removed at any time, and is retired by a writer that can't mark
 * it; whoever finds it gone makes the next one, under a lock that writers hold shared around W1..W3.
 *
 * Bounds: 3 segments of one cell; 2 writes by two processes, one of which may find no slot (FAILS); a reader of READS reads; 1
 * removal; 3 check periods. LOCK_REMOVED: the lock's file goes with the segment's, so that the next one may be made during
 * a write; ACKNOWLEDGED alone is kept then. Nobody dies here, and what is under the mutex is one step: see cells.pml.
 *
 * Variants (-D): NEWCOMER_DOES_NOT_WAIT MADE_WITHOUT_LOCK MARKED_UNLINKED REPLACED_UNSTAMPED UNMARKED_WRITE_RUNS RETIRED_HIT
 * LINK_UNSEEN. ONLY=property: no other is checked. */
#define STALE 1        /* a hit is the database's state at an instant between its call and its return */
#define ACKNOWLEDGED 2 /* a hit is no older than what was acknowledged before its call */

#ifndef FAILS
#define FAILS 1
#endif
#ifndef READS
#define READS 2
#endif
#define SEGMENTS 3
#define PERIODS 3
#ifdef NEWCOMER_DOES_NOT_WAIT
#define WAIT 0
#else
#define WAIT 2
#endif

#define GONE(s) (!linked[s] || retired[s])

byte now;  /* check periods */
byte made = 1;
bool linked[SEGMENTS] = {true, false, false};
bool retired[SEGMENTS];
byte open_from[SEGMENTS]; /* the period from which it may be marked and filled */
byte lock;                /* which lock's file bears the name */
byte holders[2];

byte clock[SEGMENTS] = {1, 1, 1};
byte count[SEGMENTS];
byte stamp[SEGMENTS] = {1, 1, 1};
bool kept[SEGMENTS] = {true, false, false};
byte entry[SEGMENTS];
byte entry_time[SEGMENTS] = {1, 0, 0};

byte commits, acknowledged;

/* The segment that bears the name; makes one where there is none. Beyond the bounds the process stops. */
inline open(s)
{
    do
    :: atomic { !GONE(made - 1) -> s = made - 1; break }
#ifdef MADE_WITHOUT_LOCK
    :: atomic { GONE(made - 1) && made < SEGMENTS ->
#else
    :: atomic { GONE(made - 1) && made < SEGMENTS && holders[lock] == 0 ->
#endif
           linked[made - 1] = false;
           linked[made] = true;
           open_from[made] = now + WAIT;
           made++
       }
    :: GONE(made - 1) && made == SEGMENTS -> goto stop
    od;
    if
    :: now >= open_from[s]
    :: now == PERIODS && now < open_from[s] -> goto stop
    fi
}

proctype Writer(byte may_fail)
{
    byte s, gate, mine;
    bool marked;

    /* W1 */
    do
    :: open(s);
       atomic {
           gate = lock;
#ifndef MARKED_UNLINKED
           if
           :: GONE(s) -> skip
           :: else -> holders[gate]++; break
           fi
#else
           holders[gate]++;
           break
#endif
       }
    od;
    if
    :: atomic { count[s]++; marked = true }
#ifdef UNMARKED_WRITE_RUNS
    :: may_fail -> skip
#else
    :: atomic { may_fail -> retired[s] = true }
#endif
    fi;
    /* W2 */
    atomic { commits++; mine = commits }
    /* W3 */
    atomic {
        if
        :: marked -> clock[s]++; count[s]--; stamp[s] = clock[s]
        :: else
        fi;
        marked = false
    }
    atomic { holders[gate]--; gate = 0 }
#ifndef REPLACED_UNSTAMPED
    /* Also in the one that took its place. */
    if
    :: GONE(s) ->
        open(s);
        atomic { clock[s]++; stamp[s] = clock[s] }
    :: else
    fi;
#endif
    atomic {
        if
        :: mine > acknowledged -> acknowledged = mine
        :: else
        fi;
        s = 0;
        mine = 0
    }
stop:
    skip
}

proctype Reader()
{
    byte s, looked, period, v, t, called, known, reads;

    do
    :: reads < READS ->
        reads++;
        atomic { called = commits; known = acknowledged; period = now }
#ifndef LINK_UNSEEN
        if
        :: period != looked && !linked[s] -> open(s)
        :: else
        fi;
        looked = period;
#endif
#ifndef RETIRED_HIT
        if
        :: retired[s] -> open(s)
        :: else
        fi;
#endif
        /* Hit */
        atomic {
            v = entry[s];
            t = entry_time[s];
            if
            :: kept[s] -> skip
            :: else -> goto fill
            fi
        }
        atomic {
            if
            :: count[s] > 0 || stamp[s] > t -> goto fill
            :: else
            fi;
#if (!defined(ONLY) || ONLY == STALE) && !defined(LOCK_REMOVED)
            assert(v >= called); /* STALE */
#endif
#if !defined(ONLY) || ONLY == ACKNOWLEDGED
            assert(v >= known); /* ACKNOWLEDGED */
#endif
            goto next
        }
fill:
        if
        :: GONE(s) -> open(s)
        :: else
        fi;
        t = clock[s]; /* F1 */
        v = commits;
        atomic { kept[s] = true; entry[s] = v; entry_time[s] = t } /* F3 */
next:
        atomic { v = 0; t = 0; called = 0; known = 0; period = 0 }
    :: else -> break
    od;
stop:
    skip
}

proctype Remover()
{
    byte last;

    atomic {
        last = made - 1;
        linked[last] = false;
#ifdef LOCK_REMOVED
        lock = 1
#endif
    }
}

proctype Time()
{
    do
    :: now < PERIODS -> now++
    :: else -> break
    od
}

init
{
    atomic {
        run Writer(FAILS);
        run Writer(0);
        run Reader();
        run Remover();
        run Time()
    }
}
