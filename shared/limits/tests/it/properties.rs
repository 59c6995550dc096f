//! The invariants (see the crate's documentation) under concurrency and faults: many tasks on several gateways, through a door that fails by a seeded plan.
//!
//! A failure names its seed; `LEDGER_SEED=<seed>` runs that one alone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tollgate_limits::{Admission, Amount, Counter, Ledger, Order, Owner, Record, Reservation, Scope};
use tollgate_wire::ir::Usage;

use crate::faulty::{Fate, Proxy};
use crate::raw::{Raw, State};
use crate::support::{NOVEMBER_22, at, dynamodb, ledger, ledger_with, now, team};

/// The client's patience with the faulty door. Late writes come up to three times as late.
const PATIENCE: Duration = Duration::from_secs(1);

fn seeds(few: &[u64]) -> Vec<u64> {
    let chosen = std::env::var("LEDGER_SEED").ok().and_then(|seed| seed.parse().ok());
    chosen.map_or_else(|| few.to_vec(), |seed| vec![seed])
}

/// What is done with a request without the ledger's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It runs.
    Open,
    /// It does not.
    Closed,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Refused,
    /// Settled with this, on a gateway that lived on.
    Settled(Amount),
    /// The same, and the gateway died before it had written what was left to write.
    SettledAndLost(Amount),
    Released,
    ReleasedAndLost,
    /// Nobody settled it. `true`: its admission was confirmed.
    Dropped(bool),
}

#[derive(Debug, Clone)]
struct Done {
    id: Option<String>,
    order: Order,
    end: End,
}

fn figures(order: &Order, end: End) -> Amount {
    match end {
        End::Settled(used) | End::SettledAndLost(used) => used,
        End::Dropped(_) => order.charge,
        End::Refused | End::Released | End::ReleasedAndLost => Amount::default(),
    }
}

fn scopes_of(random: &mut fastrand::Rng, mode: Mode) -> Vec<Scope> {
    // With `failureMode: open`, requests run that nobody has admitted: their settlements may go over a limit.
    let limit = |max: u64| if mode == Mode::Open { max * 100 } else { max };
    let mut first = team(&format!("t{}", random.u8(..2)), Some(limit(30)), Some(limit(900)), Some(limit(9_000)));
    if random.bool() {
        first.counters.push((Counter::ModelMoney("gpt*".to_owned()), Some(limit(4_000))));
    }
    let mut scopes = vec![first];
    if random.u8(..3) > 0 {
        scopes.push(Scope::money(Owner::User, &format!("u{}", random.u8(..3)), limit(4_000)));
    }
    scopes.push(Scope::money(Owner::Gateway, "", limit(14_000)));
    scopes
}

fn order_of(random: &mut fastrand::Rng, mode: Mode, history: &str) -> Order {
    let amount = Amount { requests: 1, tokens: random.u64(1..80), nano_usd: random.u64(1..900) };
    Order {
        team: history.to_owned(),
        scopes: scopes_of(random, mode),
        amount,
        charge: Amount { requests: 0, tokens: amount.tokens / 2, nano_usd: amount.nano_usd / 2 },
        expires: now() + Duration::from_secs(random.u64(30..600)),
        model: Some("custom/m".to_owned()),
        external_id: None,
        open: true,
    }
}

fn record(used: Amount) -> Record {
    let usage = Usage { input: Some(used.tokens), ..Usage::default() };
    let (kind, model) = ("custom".to_owned(), "m".to_owned());
    Record { kind, model, usage, nano_usd: used.nano_usd, estimated: false, unpriced: false }
}

fn all_keys() -> Vec<String> {
    ["team#t0", "team#t1", "user#u0", "user#u1", "user#u2", "gateway"].map(str::to_owned).to_vec()
}

/// The faults of a bad day: about a quarter of all requests.
fn bad_day(seed: u64) -> impl FnMut(&crate::faulty::Seen) -> Fate + Send {
    let mut random = fastrand::Rng::with_seed(seed);
    move |_| match random.u8(..100) {
        0..5 => Fate::Lost,
        5..9 => Fate::Late(Duration::from_millis(random.u64(1..2_500))),
        9..11 => Fate::Hang,
        11..14 => Fate::Twice,
        14..16 => Fate::Answer(500, "InternalServerError"),
        16..18 => Fate::Answer(503, "ServiceUnavailable"),
        18..21 => Fate::Answer(400, "ProvisionedThroughputExceededException"),
        21..23 => Fate::Answer(400, "ThrottlingException"),
        23..26 => Fate::Answer(400, "TransactionConflict"),
        _ => Fate::Pass,
    }
}

/// What settlements may have added so far, by scope; written before they are sent.
#[derive(Default)]
struct Sent(HashMap<String, (AtomicI64, AtomicI64)>);

impl Sent {
    fn note(&self, order: &Order, used: Amount) {
        for scope in &order.scopes {
            let (tokens, money) = &self.0[&scope.key];
            tokens.fetch_add(i64::try_from(used.tokens).unwrap(), Ordering::SeqCst);
            money.fetch_add(i64::try_from(used.nano_usd).unwrap(), Ordering::SeqCst);
        }
    }

    fn so_far(&self, key: &str) -> (i128, i128) {
        let (tokens, money) = &self.0[key];
        (tokens.load(Ordering::SeqCst).into(), money.load(Ordering::SeqCst).into())
    }
}

struct World {
    seed: u64,
    mode: Mode,
    proxy: Proxy,
    raw: Raw,
    sent: Sent,
    done: Mutex<Vec<Done>>,
    over: AtomicBool,
}

/// One client: some requests, one after the other, each with an end of its own.
async fn client(world: Arc<World>, ledger: Arc<Ledger>, dies: bool, index: u64) {
    let mut random = fastrand::Rng::with_seed(world.seed * 1_000 + index);
    // What a dying gateway leaves of the history is not known; it has a page of its own.
    let history = if dies { "dying" } else { "living" };
    let mut later: Vec<(Reservation, Order, Amount)> = Vec::new();
    for _ in 0..6 {
        let order = order_of(&mut random, world.mode, history);
        let (held, confirmed) = match ledger.reserve(&order, now()).await {
            Admission::Refused(_) => {
                world.done.lock().unwrap().push(Done { id: None, order, end: End::Refused });
                continue;
            }
            Admission::Admitted(held, _) => (held, true),
            Admission::Unknown(held, _) => (held, false),
        };
        let id = Some(held.id().to_owned());
        let share = random.u64(0..=4);
        let used = Amount {
            requests: 1,
            tokens: order.amount.tokens * share / 4,
            nano_usd: order.amount.nano_usd * share / 4,
        };
        let released = if dies { End::ReleasedAndLost } else { End::Released };
        let end = match random.u8(..10) {
            0 => End::Dropped(confirmed),
            1 => released,
            _ if !confirmed && world.mode == Mode::Closed => released,
            _ if dies => End::SettledAndLost(used),
            _ => End::Settled(used),
        };
        match end {
            End::Dropped(_) => world.sent.note(&order, order.charge),
            End::Released | End::ReleasedAndLost => ledger.release(&held).await,
            _ => {
                world.sent.note(&order, used);
                if random.u8(..4) == 0 {
                    later.push((held, order.clone(), used));
                } else {
                    let again = (random.u8(..5) == 0).then(|| held.clone());
                    ledger.settle(held, history, used, vec![record(used)], now()).await;
                    if let Some(again) = again {
                        ledger.settle(again, history, used, vec![record(used)], now()).await;
                    }
                }
            }
        }
        world.done.lock().unwrap().push(Done { id, order, end });
    }
    for (held, _, used) in later {
        ledger.settle(held, history, used, vec![record(used)], now()).await;
    }
}

/// Looks at every item again and again: no limit is passed, and what is open and what was settled is what is counted.
async fn observe(world: Arc<World>) -> usize {
    let mut looks = 0;
    while !world.over.load(Ordering::SeqCst) {
        for key in all_keys() {
            let state = world.raw.state(&key).await;
            let (tokens, money) = world.sent.so_far(&key);
            check(&world, &key, &state, tokens, money);
            looks += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    looks
}

fn check(world: &World, key: &str, state: &State, tokens: i128, money: i128) {
    let seed = world.seed;
    let open = |of: fn(&crate::raw::Open) -> i128| state.open.values().map(of).sum::<i128>();
    for (name, sum, open, most) in [
        ("tokens", state.sum("tpd#"), open(|open| open.tokens), tokens),
        ("money", state.sum("usd#"), open(|open| open.nano_usd), money),
    ] {
        assert!(sum >= open, "seed {seed}: {key}: {name}: {sum} counted, {open} open: {state:?}");
        assert!(sum - open <= most, "seed {seed}: {key}: {name}: {sum} counted, {open} open, {most} settled at most");
    }
    if world.mode == Mode::Open {
        return;
    }
    for (name, value) in &state.counters {
        let limit = match (name, key) {
            (name, _) if name.starts_with("rpm#") => 30,
            (name, _) if name.starts_with("tpd#") => 900,
            (name, _) if name.ends_with("#gpt*") => 4_000,
            (_, key) if key.starts_with("team#") => 9_000,
            (_, key) if key.starts_with("user#") => 4_000,
            _ => 14_000,
        };
        assert!(*value <= limit, "seed {seed}: {key}: {name} is {value}, the limit {limit}");
    }
}

/// Adds up what every request came to in an item. What nobody can know is read from the item: was the entry of a dying gateway taken out or not?
fn expected(world: &World, key: &str, state: &State) -> (Amount, Amount) {
    let (mut settled, mut charged) = (Amount::default(), Amount::default());
    for done in world.done.lock().unwrap().iter() {
        if !done.order.scopes.iter().any(|scope| scope.key == key) {
            continue;
        }
        let entry = done.id.as_ref().and_then(|id| state.open.get(id));
        let open = entry.is_some_and(|entry| !entry.is_mark);
        let context = || format!("seed {}: {key}: {done:?}", world.seed);
        match done.end {
            End::Refused | End::Settled(_) | End::Released => assert!(!open, "{}", context()),
            End::Dropped(true) => assert!(open, "{}", context()),
            End::Dropped(false) | End::SettledAndLost(_) | End::ReleasedAndLost => {}
        }
        let into = if open { &mut charged } else { &mut settled };
        let came_to = match (done.end, open) {
            (_, true) => done.order.charge,
            (End::Dropped(_), false) => continue,
            // Its admission never came, and its settlement was not written any more: the same as a crash before both.
            (End::SettledAndLost(_), false) if entry.is_none() && world.mode == Mode::Open => continue,
            (end, false) => figures(&done.order, end),
        };
        let counts_tokens = key.starts_with("team#");
        into.tokens += if counts_tokens { came_to.tokens } else { 0 };
        into.nano_usd += came_to.nano_usd;
    }
    (settled, charged)
}

async fn run(seed: u64, mode: Mode) {
    let endpoint = dynamodb().await;
    let direct = ledger(&endpoint);
    direct.create_table().await.unwrap();
    let proxy = Proxy::before(&endpoint).await;
    let sent = Sent(all_keys().into_iter().map(|key| (key, Default::default())).collect());
    let (done, over) = (Mutex::default(), AtomicBool::new(false));
    let raw = Raw::new(&endpoint).await;
    let world = Arc::new(World { seed, mode, proxy, raw, sent, done, over });
    let gateways: Vec<_> = (0..3).map(|_| ledger_with(&world.proxy.endpoint, PATIENCE)).collect();
    // The last one dies in the end, with all that it still had to write. Where it is not known whether it had been admitted, nothing can be said; so only
    // with `failureMode: closed`.
    let dying = if mode == Mode::Closed { 2 } else { usize::MAX };
    let watching = tokio::spawn(observe(world.clone()));
    world.proxy.plan(bad_day(seed));
    let clients: Vec<_> = (0..12_usize)
        .map(|index| {
            let ledger = gateways[index % 3].clone();
            tokio::spawn(client(world.clone(), ledger, index % 3 == dying, index as u64))
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    world.proxy.pass();
    for ledger in gateways.iter().enumerate().filter(|(index, _)| *index != dying).map(|(_, ledger)| ledger) {
        // The breaker may have to close first.
        let until = Instant::now() + Duration::from_secs(600);
        while ledger.pending() > 0 && Instant::now() < until {
            ledger.flush(now()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(ledger.pending(), 0, "seed {seed}");
    }
    drop(gateways);
    world.proxy.quiet().await;
    world.over.store(true, Ordering::SeqCst);
    assert!(watching.await.unwrap() > 0 && world.proxy.faults() > 0, "seed {seed}");
    conclude(&world, &direct).await;
}

/// All is quiet: what is open is what was dropped; after the sweep nothing is, and the sums are exact.
async fn conclude(world: &World, direct: &Ledger) {
    let seed = world.seed;
    let mut finals = Vec::new();
    for key in all_keys() {
        let state = world.raw.state(&key).await;
        let (settled, charged) = expected(world, &key, &state);
        let open: i128 = state.open.values().map(|open| open.nano_usd).sum();
        assert_eq!(state.sum("usd#"), i128::from(settled.nano_usd) + open, "seed {seed}: {key}: {state:?}");
        finals.push((key, settled.tokens + charged.tokens, settled.nano_usd + charged.nano_usd));
    }
    let living = living(world, &world.raw.state("team#t0").await, &world.raw.state("team#t1").await);
    for minute in 0..30 {
        let when = now() + Duration::from_secs(minute * 60);
        direct.sweep(when, Instant::now() + Duration::from_secs(600)).await.unwrap();
    }
    let nothing = direct.sweep(now() + Duration::from_secs(7_200), Instant::now()).await.unwrap();
    assert_eq!(nothing.items, 0, "seed {seed}: nothing is due any more");
    for (key, tokens, nano_usd) in finals {
        let state = world.raw.state(&key).await;
        assert!(state.open.is_empty(), "seed {seed}: {key}: {state:?}");
        assert_eq!(
            (state.sum("tpd#"), state.sum("usd#")),
            (i128::from(tokens), i128::from(nano_usd)),
            "seed {seed}: {key}: {state:?}"
        );
    }
    assert_eq!(world.raw.history("living").await, living, "seed {seed}: the usage history");
}

/// What the usage history of the gateways that lived has to say: what they settled, and what of theirs was swept.
fn living(world: &World, t0: &State, t1: &State) -> (i128, i128, i128) {
    let mut sums = (0, 0, 0);
    for done in world.done.lock().unwrap().iter().filter(|done| done.order.team == "living") {
        let open =
            |state: &State| done.id.as_ref().and_then(|id| state.open.get(id)).is_some_and(|entry| !entry.is_mark);
        let used = match done.end {
            End::Settled(used) => used,
            End::Dropped(_) if (open(t0) || open(t1)) && done.order.charge != Amount::default() => done.order.charge,
            _ => continue,
        };
        sums = (sums.0 + 1, sums.1 + i128::from(used.tokens), sums.2 + i128::from(used.nano_usd));
    }
    sums
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_and_books_balance_whatever_fails() {
    for seed in seeds(&[2]) {
        run(seed, Mode::Closed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_balance_where_requests_run_without_the_ledgers_word() {
    for seed in seeds(&[11]) {
        run(seed, Mode::Open).await;
    }
}

/// What the ledger should say, one request after the other.
#[derive(Default)]
struct Model(HashMap<(String, String), u64>);

impl Model {
    fn over(&self, order: &Order, when: SystemTime) -> bool {
        let windows = windows_of(when);
        order.scopes.iter().any(|scope| {
            scope.counters.iter().any(|(counter, max)| {
                let committed = self.0.get(&(scope.key.clone(), attribute(counter, &windows))).copied();
                max.is_some_and(|max| committed.unwrap_or_default() + order.amount.of(counter) > max)
            })
        })
    }

    fn add(&mut self, order: &Order, when: SystemTime, amount: Amount, sign: i64) {
        let windows = windows_of(when);
        for scope in &order.scopes {
            for (counter, _) in &scope.counters {
                let value = self.0.entry((scope.key.clone(), attribute(counter, &windows))).or_default();
                *value = value.checked_add_signed(sign * i64::try_from(amount.of(counter)).unwrap()).unwrap();
            }
        }
    }
}

/// Minute, day and month of November and December 2026, told by division: the ledger's own calendar is not asked.
fn windows_of(when: SystemTime) -> [u64; 3] {
    let unix_s = when.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let month = if unix_s < 1_796_083_200 { 11 } else { 12 };
    [unix_s / 60, unix_s / 86_400, month]
}

fn attribute(counter: &Counter, [minute, day, month]: &[u64; 3]) -> String {
    match counter {
        Counter::Requests => format!("r{minute}"),
        Counter::Tokens => format!("t{day}"),
        Counter::Money => format!("m{month}"),
        Counter::ModelMoney(pattern) => format!("m{month}{pattern}"),
    }
}

/// I5, exactly: refused if and only if there is no room beside what is used and what is reserved.
#[tokio::test]
async fn nobody_is_refused_who_has_room_and_nobody_passes_who_has_none() {
    for seed in seeds(&[21]) {
        let endpoint = dynamodb().await;
        let gateways = [ledger(&endpoint), ledger(&endpoint)];
        gateways[0].create_table().await.unwrap();
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut model, mut open, mut unix_s) = (Model::default(), Vec::new(), NOVEMBER_22);
        let (mut passed, mut refused) = (0, 0);
        for step in 0..300 {
            unix_s += if random.u8(..60) == 0 { random.u64(..200_000) } else { random.u64(..8) };
            let (when, ledger) = (at(unix_s), &gateways[random.usize(..2)]);
            let mut order = order_of(&mut random, Mode::Closed, "a");
            order.expires = when + Duration::from_secs(10_000_000);
            let over = model.over(&order, when);
            match ledger.reserve(&order, when).await {
                Admission::Admitted(held, standings) => {
                    assert!(!over, "seed {seed}, step {step}: it was over a limit: {order:?}");
                    model.add(&order, when, order.amount, 1);
                    passed += 1;
                    assert!(!standings.is_empty());
                    open.push((held, order, when));
                }
                Admission::Refused(refusal) => {
                    assert!(over, "seed {seed}, step {step}: it had room: {order:?}, {refusal:?}");
                    refused += 1;
                }
                Admission::Unknown(_, error) => panic!("seed {seed}, step {step}: {error}"),
            }
            while open.len() > random.usize(..12) {
                let (held, order, made) = open.swap_remove(random.usize(..open.len()));
                model.add(&order, made, order.amount, -1);
                if random.u8(..4) == 0 {
                    ledger.release(&held).await;
                } else {
                    let used =
                        Amount { requests: 1, tokens: order.amount.tokens / 3, nano_usd: order.amount.nano_usd / 3 };
                    model.add(&order, made, used, 1);
                    ledger.settle(held, "a", used, Vec::new(), when).await;
                }
            }
        }
        assert!(passed > 50 && refused > 20, "seed {seed}: {passed} passed, {refused} refused");
    }
}
