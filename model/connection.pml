/* What one connection's own statements do to its fills and writes: PROTOCOL.md 2.1, 3.1 and 3.2.
 *
 * Bounds: 1 cell, whose table has two rows that every write sets alike; one connection does OPS things (an iterator's
 * start, its end, a read of its own, a write in a transaction, its rollback or commit, an autocommit INSERT .. RETURNING)
 * in any order, the iterator open meanwhile; one autocommit write and READS reads by others. As on SQLite an open SELECT
 * pins the snapshot, sees later writes of its own connection, and a statement with RETURNING commits when its rows have
 * been fetched. Nobody dies here: see cells.pml.
 *
 * Variants (-D): SEQUENCE_IGNORED FILL_WHILE_UNFINISHED NOT_DRAINED. ONLY=property: no other is checked. */
#define STALE 1 /* a hit of others was committed at one instant between its call and its return */
#define DIRTY 2 /* a hit of others was committed at all */
#define LOST 3  /* the cell stays marked from before a commit until it has a stamp drawn after it */

#ifndef OPS
#define OPS 5
#endif
#ifndef READS
#define READS 2
#endif
#define LATER(t) (count > 0 || stamp > (t))

byte clock = 1, count, stamp = 1;
bool mutex;
bool kept;
byte entry[2], entry_time;

byte rows, next = 1; /* the committed version, which both rows bear */
bool lock; /* of the database, for writers */
byte now, until[8];
bool was[8];
bool unstamped; /* the last commit has no stamp drawn after it */

inline commit_rows(version)
{
    now++;
    until[rows] = now;
    rows = version;
    was[version] = true;
    unstamped = true;
#if !defined(ONLY) || ONLY == LOST
    assert(count > 0); /* LOST */
#endif
    skip
}

inline settle()
{
    atomic { !mutex -> mutex = true; clock++; s = clock; fresh = unstamped }
    atomic {
        count--;
        stamp = s;
        if
        :: fresh -> unstamped = false
        :: else
        fi;
        s = 0;
        fresh = false;
#if !defined(ONLY) || ONLY == LOST
        assert(!unstamped || count > 0); /* LOST */
#endif
        mutex = false
    }
}

proctype Connection()
{
    byte ops, s, sequence, mine; /* mine: written in the open transaction; 0: nothing */
    bool fresh;
    bool iterating;
    byte f1, before, pinned, first, second, t;
    byte returning; /* inserted, and not yet fetched */

    do
    :: ops < OPS ->
        ops++;
        if
        /* An iterator: F1, and the first of its two rows. */
        :: !iterating ->
            f1 = clock; /* F1 */
            atomic {
                before = sequence;
                iterating = true;
                pinned = rows;
                first = (mine -> mine : pinned)
            }
        :: atomic { iterating ->
               second = (mine -> mine : pinned);
               iterating = false
           }
           atomic { /* F3: nothing of this connection came between; and no fill of its own writes */
               if
#ifdef SEQUENCE_IGNORED
               :: mine == 0 ->
#else
               :: mine == 0 && sequence == before ->
#endif
                   kept = true; entry[0] = first; entry[1] = second; entry_time = f1
               :: else
               fi;
               f1 = 0; before = 0; pinned = 0; first = 0; second = 0
           }
        /* A read from first to last row. */
        :: mine == 0 ->
            t = clock; /* F1 */
            atomic {
                first = (iterating -> first : rows);
                second = (iterating -> pinned : rows)
            };
            atomic {
                if
#ifdef FILL_WHILE_UNFINISHED
                :: true ->
#else
                :: !iterating ->
#endif
                    kept = true; entry[0] = second; entry[1] = second; entry_time = t
                :: else
                fi;
                t = 0;
                first = (iterating -> first : 0);
                second = 0
            }
        :: atomic { mine == 0 && returning == 0 && !lock && (!iterating || pinned == rows) ->
               lock = true;
               mine = next;
               next++;
               sequence++
           }
        :: atomic { mine > 0 -> mine = 0; lock = false; sequence++ }
        :: mine > 0 ->
            count++; /* W1 */
            atomic { commit_rows(mine); lock = false; sequence++; pinned = (iterating -> mine : 0); mine = 0 }
            settle()
        :: mine == 0 && returning == 0 && !iterating ->
            count++; /* W1 */
            atomic { !lock -> lock = true; returning = next; next++; sequence++ }
#ifndef NOT_DRAINED
            atomic { commit_rows(returning); returning = 0; lock = false }
#endif
            settle()
#ifdef NOT_DRAINED
        :: atomic { returning > 0 -> commit_rows(returning); returning = 0; lock = false }
#endif
        fi
    :: else -> break
    od;
    atomic { lock = (mine > 0 || returning > 0 -> false : lock) }
}

proctype Writer()
{
    byte s;
    bool fresh;

    count++; /* W1 */
    atomic { !lock -> commit_rows(next); next++ }
    settle()
}

proctype Reader()
{
    byte a, b, t, called, reads;

    do
    :: reads < READS ->
        reads++;
        atomic {
            called = now;
            a = entry[0];
            b = entry[1];
            t = entry_time;
            if
            :: kept -> skip
            :: else -> goto fill
            fi
        }
        atomic {
            if
            :: LATER(t) -> goto fill
            :: else
            fi;
#if !defined(ONLY) || ONLY == DIRTY
            assert(a == b && (a == 0 || was[a])); /* DIRTY */
#endif
#if !defined(ONLY) || ONLY == STALE
            assert(until[a] == 0 || until[a] > called); /* STALE */
#endif
            goto done
        }
fill:
        t = clock; /* F1 */
        atomic { a = rows; b = rows }
        atomic { kept = true; entry[0] = a; entry[1] = b; entry_time = t } /* F3 */
done:
        atomic { a = 0; b = 0; t = 0; called = 0 }
    :: else -> break
    od
}

init
{
    atomic {
        run Connection();
        run Writer();
        run Reader()
    }
}
