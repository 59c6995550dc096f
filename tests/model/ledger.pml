/*
 * The ledger's protocol over two items (say a team's and a user's): reserve in both, settle or release in both, sweep each alone.
 *
 * What a write does is one atomic step, as DynamoDB has it: a condition and its update. Around it, anything happens: a try is never sent, is made and its
 * answer lost, is held up and arrives whenever it likes (also after the request is over), is sent again; a gateway dies between any two steps; so does the sweep.
 *
 * Checked in every state: no counter over its limit; counter = what was settled + what is open; a reservation enters an item at most once and leaves it at most once.
 * Checked when all is over: nothing is open, no mark is left, and each request has cost what it used, what its estimate was if nobody settled it, or nothing if it was
 * refused or released.
 *
 * -DOPEN: requests without the ledger's word run (failureMode: open); limits may then be passed, the sums still hold.
 * Mutations, each of which must be caught: -DNO_SEQ, -DSILENT_MARK, -DNO_MARK, -DMARK_IS_OPEN, -DCHARGE_ALWAYS,
 * -DCHARGE_ONCE, -DNO_RELEASE.
 */
#ifndef N
#define N 2                     /* requests: 1 or 2 */
#endif
#ifndef ITEMS
#define ITEMS 2
#endif
#define LIMIT 2                 /* a request reserves 2 */
#define RESERVED 2
#define ESTIMATE 1

#define NONE 0
#define HELD 1                  /* an open reservation */
#define MARK 2                  /* its place, taken */

#define AT(r, i) ((r) * ITEMS + (i))

/* The table. */
byte counter[ITEMS];
byte entry[N * ITEMS];
byte seq[ITEMS];
bool due[ITEMS];

/* The world. */
bool late[N * ITEMS];           /* a try of the admission is under way, and nobody waits for it */
bool expired[N];
byte over = 0;                  /* requests that ended, or whose gateway died */

/* What is known from outside. */
byte entered[N * ITEMS];        /* how often it became open */
byte left[N * ITEMS];           /* how often it was closed */
byte cost[N * ITEMS];           /* what it has added to the counter in the end */
byte should[N * ITEMS];         /* what it should */
bool known[N];                  /* `should` holds: its gateway did not die */

inline books(i) {
    /* counter = settled + open */
    d_step {
        sum = 0; k = 0;
        do
        :: k < N ->
            sum = sum + cost[AT(k, i)] + (entry[AT(k, i)] == HELD -> RESERVED : 0);
            assert(entered[AT(k, i)] <= 1 && left[AT(k, i)] <= 1);
            k++
        :: else -> break
        od;
        assert(counter[i] == sum);
#ifndef OPEN
        assert(counter[i] <= LIMIT);
#endif
        sum = 0; k = 0
    }
}

/* One conditional write: admitted, refused, or there already (which is admitted). */
inline try_reserve(r, i, answer) {
    atomic {
        if
        :: entry[AT(r, i)] == NONE && counter[i] + RESERVED <= LIMIT ->
            counter[i] = counter[i] + RESERVED;
            entry[AT(r, i)] = HELD; entered[AT(r, i)]++;
            seq[i]++; due[i] = true;
            answer = 1
        :: entry[AT(r, i)] == HELD -> answer = 1
        :: else -> answer = 0
        fi;
        books(i)
    }
}

/* Takes it out, and its place with a mark unless every try was answered. */
inline try_close(r, i, used, sure, done) {
    atomic {
        if
        :: entry[AT(r, i)] == HELD ->
            counter[i] = counter[i] + used - RESERVED;
#ifdef NO_MARK
            entry[AT(r, i)] = NONE;
#else
            entry[AT(r, i)] = (sure -> NONE : MARK);
#ifndef SILENT_MARK
            seq[i] = seq[i] + (sure -> 0 : 1);  /* the sweep may have read it as open */
#endif
#endif
            left[AT(r, i)]++; cost[AT(r, i)] = cost[AT(r, i)] + used;
            done = true
#ifdef MARK_IS_OPEN
        :: entry[AT(r, i)] == MARK ->
            counter[i] = counter[i] + used - RESERVED; entry[AT(r, i)] = NONE; done = true
#endif
        :: else -> done = false
        fi;
        books(i)
    }
}

/* Adds what was used, where nothing is known to be reserved, and takes the place. Not after its end. */
inline try_charge(r, i, used, done) {
    atomic {
        if
#ifdef CHARGE_ALWAYS
        :: entry[AT(r, i)] == NONE ->
#else
        :: entry[AT(r, i)] == NONE && !expired[r] ->
#endif
            counter[i] = counter[i] + used;
            cost[AT(r, i)] = cost[AT(r, i)] + used;
            entry[AT(r, i)] = MARK;
            seq[i]++; due[i] = true;
            done = true
#ifndef CHARGE_ONCE
        :: entry[AT(r, i)] == HELD -> done = false  /* it has come in the meantime: close it */
#endif
        :: else -> done = true
        fi;
        books(i)
    }
}

/* Settling (or releasing: used 0) in one item, until an answer comes. */
inline settle(r, i, used, sure) {
    do
    :: atomic { true ->
        /* One round: close; if it was not there and may yet come, charge. Each may be made unheard, and then all is tried again. */
        try_close(r, i, used, sure, done);
        again = (!done && !sure);
        done = !again }
        if
        :: atomic { again -> if :: true -> try_charge(r, i, used, done) :: true -> done = false fi }
        :: !again
        fi;
        atomic { again = false; if :: done -> done = false; break :: true -> done = false fi }
    od
}

#define MAY_DIE if :: true -> goto died :: true -> skip fi

proctype Request(byte r) {
    byte i = 0, used = 0, answer = 0, refusals = 0, unknown = 0;
    bool sure[ITEMS], wanted[ITEMS], done, again;
    byte sum, k;

    /* Reserve. The order of the items is of no account: every other step of the world fits in between. */
    do
    :: atomic { i < ITEMS ->
        if
        :: true -> try_reserve(r, i, answer); sure[i] = true                            /* answered */
        :: true -> late[AT(r, i)] = true; try_reserve(r, i, answer); sure[i] = false    /* held up, sent again */
        :: true -> try_reserve(r, i, answer); try_reserve(r, i, answer); sure[i] = false /* the answer lost, sent again */
        :: true -> try_reserve(r, i, answer); answer = 2; sure[i] = false               /* the answer lost */
        :: true -> late[AT(r, i)] = true; answer = 2; sure[i] = false                   /* held up */
        :: true -> answer = 2; sure[i] = false                                          /* never sent */
        fi;
        wanted[i] = (answer > 0 || !sure[i]);
        refusals = refusals + (answer == 0);
        unknown = unknown + (answer == 2);
        answer = 0; i++;
        MAY_DIE }
    :: atomic { i == ITEMS -> i = 0; break }
    od;

    atomic {
    if
    :: refusals > 0 -> used = 0
#ifndef OPEN
    :: refusals == 0 && unknown > 0 -> used = 0
    :: refusals == 0 && unknown == 0 -> if :: used = 0 :: used = 1 :: used = 2 fi
#else
    :: refusals == 0 -> if :: used = 0 :: used = 1 :: used = 2 fi
#endif
    fi;
    MAY_DIE;
    /* Whoever settles after the end may find it swept. */
    if :: expired[r] -> goto died :: else -> skip fi
    }

    do
    :: i < ITEMS ->
        should[AT(r, i)] = used;
#ifndef NO_RELEASE
        if
        :: wanted[i] -> settle(r, i, used, sure[i])
        :: else -> skip
        fi;
#else
        if
        :: wanted[i] && refusals == 0 -> settle(r, i, used, sure[i])
        :: else -> skip
        fi;
#endif
        i++;
        MAY_DIE
    :: else -> break
    od;
    if :: expired[r] -> skip :: else -> known[r] = true fi;
died:
    i = 0; used = 0; answer = 0; refusals = 0; unknown = 0; done = false;
    sure[0] = false; wanted[0] = false; sure[ITEMS - 1] = false; wanted[ITEMS - 1] = false;
    over++
}

/* Late tries arrive in any order, at any time. */
#define ARRIVES(r, i) :: atomic { late[AT(r, i)] -> late[AT(r, i)] = false; try_reserve(r, i, answer); answer = 0 }

proctype Network() {
    byte answer = 0;
    byte sum, k;
    do
    ARRIVES(0, 0)
#if ITEMS > 1
    ARRIVES(0, 1)
#endif
#if N > 1
    ARRIVES(1, 0)
#if ITEMS > 1
    ARRIVES(1, 1)
#endif
#endif
    :: atomic { over == N && !late[0] && !late[N * ITEMS - 1] && !late[N * ITEMS / 2] && !late[N * ITEMS / 4] -> break }
    od
}

/* A reservation ends. No try is under way for as long as a reservation holds (a minute at least): the one assumption on time. */
proctype Clock(byte r) {
    atomic { !late[AT(r, 0)] && !late[AT(r, ITEMS - 1)] -> expired[r] = true }
}

/* Visits an item while it is listed: reads it, charges what has expired, then takes it off the list or leaves it there. */
proctype Sweep(byte i) {
    byte r = 0, read_seq = 0;
    byte read[N];
    bool more = false, old[N];
    byte sum, k;
    do
    :: due[i] ->
        d_step {
            read_seq = seq[i]; r = 0;
            do
            :: r < N -> read[r] = entry[AT(r, i)]; old[r] = expired[r]; r++
            :: else -> break
            od;
            r = 0
        }
        atomic {
        do
        :: r < N ->
            if
            :: read[r] == HELD && old[r] ->
                    if
                    :: entry[AT(r, i)] == HELD ->
                        counter[i] = counter[i] + ESTIMATE - RESERVED;
                        entry[AT(r, i)] = NONE; left[AT(r, i)]++; cost[AT(r, i)] = cost[AT(r, i)] + ESTIMATE
                    :: else -> skip
                    fi
            :: read[r] != NONE && !old[r] -> more = true
            :: else -> skip
            fi;
            r++
        :: else -> break
        od;;
        books(i)
        }
        if
        :: skip                                                     /* it dies, or its last write is lost on the way: it stays listed */
        :: atomic {
            if
#ifdef NO_SEQ
            :: !more -> due[i] = false
#else
            :: !more && seq[i] == read_seq -> due[i] = false
#endif
            :: else -> skip
            fi;
            /* Old marks go in the same write: with its condition, if it has one. */
            r = 0;
            do
            :: r < N ->
                if
                :: read[r] == MARK && old[r] && entry[AT(r, i)] == MARK && (more || seq[i] == read_seq) -> entry[AT(r, i)] = NONE
                :: else -> skip
                fi;
                r++
            :: else -> break
            od;
            books(i)
        }
        fi;
        d_step {
            r = 0; more = false; read_seq = 0;
            do
            :: r < N -> read[r] = 0; old[r] = false; r++
            :: else -> break
            od;
            r = 0
        }
    :: atomic { !due[i] && over == N && _nr_pr <= 1 + ITEMS -> break }
    od
}

init {
    byte r = 0, i = 0;
    atomic {
        run Sweep(0);
#if ITEMS > 1
        run Sweep(1);
#endif
        run Network();
        do
        :: r < N -> run Request(r); run Clock(r); r++
        :: else -> break
        od
    }
    _nr_pr == 1;
    r = 0;
    do
    :: r < N ->
        i = 0;
        do
        :: i < ITEMS ->
            assert(entry[AT(r, i)] == NONE);
            assert(entered[AT(r, i)] == left[AT(r, i)]);
            assert(!known[r] || cost[AT(r, i)] == should[AT(r, i)]);
            i++
        :: else -> break
        od;
        r++
    :: else -> break
    od
}
