//! One attack, watched: what it does to honest clients, to memory, to the log and to the ledger.
//!
//! The attack runs in a thread of lower priority, since attackers have machines of their own: what it takes of the
//! processors is not to be blamed on the node, what it makes the node do is.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mqtt_codec::{ProtocolVersion, QoS};

use super::honest::{CLIENTS, Honest, p99_unstarved, usual_p99};
use super::{Program, Starved, Wire, bytes_of, connect, publish, until};

/// What the p99 may always be, however short it usually is. The node is built without optimisation here, which makes a
/// round of turns (a bounded piece of each connection's input, then a look at the sockets) about ten times as long as
/// it is for users: with four attackers on one worker some 20 to 30 ms, of which an answer may take two. Beyond that,
/// the scheduler may keep a thread for slices of 3 to 4 ms. A node that makes others wait for an attacker shows in
/// hundreds of milliseconds.
const FLOOR: Duration = Duration::from_millis(75);
/// An attack is repeated until it has lasted so long: fewer samples say nothing.
const ATTACK_TIME: Duration = Duration::from_millis(1200);
/// How long the usual p99 is looked at.
const USUAL_TIME: Duration = Duration::from_millis(1000);
/// How often a verdict on time is sought before it stands: something else may have kept the machine.
const ATTEMPTS: usize = 3;
/// How often it is sought anew, beyond that, while the machine is known to have kept the node or its clients from
/// running. Then it stands without the time that this took.
const STARVED_ATTEMPTS: usize = 3;
/// Memory may stay above what it was by so much.
const GROWTH_BYTES_MAX: usize = 5 * 1024 * 1024;

/// How much of an attack is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// A little, so that what grows once has grown before memory is compared.
    Warm,
    /// All of it.
    Full,
}

impl Scale {
    /// All, or a tenth.
    pub(crate) fn of(self, number: usize) -> usize {
        match self {
            Self::Warm => number.div_ceil(10),
            Self::Full => number,
        }
    }
}

/// What a flood sent. Its honest counterpart is a load of as many packets and bytes per second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Sent {
    /// Counts one packet, or several in one write.
    pub(crate) fn add(&mut self, packets: usize, bytes: usize) {
        self.packets += packets as u64;
        self.bytes += bytes as u64;
    }
}

/// One scenario after the other: they measure time and memory.
pub(crate) struct Turn(#[expect(dead_code, reason = "it is held, not looked at")] MutexGuard<'static, ()>);

impl Turn {
    pub(crate) fn take() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        Self(ONE.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Attacks the program, and judges. What an attack opened and made it has to close and undo.
pub(crate) fn ordeal(program: &Program, mut attack: impl FnMut(Scale) -> Sent + Send) {
    let starved = Starved::watch(program.id());
    let mut honest = Honest::start(program);
    with_low_priority(|| attack(Scale::Warm));
    program.until_connections(CLIENTS as u64);
    let mut before = settled_bytes(program);
    let (mut failures, mut starvations) = (0, 0);
    loop {
        let began = Instant::now();
        // What is looked at is how things are for so long.
        thread::sleep(USUAL_TIME);
        let usual = usual_p99(&honest.since(began));
        let began = Instant::now();
        let sent = with_low_priority(|| {
            let mut sent = Sent::default();
            while began.elapsed() < ATTACK_TIME {
                let more = attack(Scale::Full);
                sent.add(more.packets as usize, more.bytes as usize);
            }
            sent
        });
        let lasted = began.elapsed();
        let samples = honest.since(began);
        let (under_attack, unstarved) = (usual_p99(&samples), p99_unstarved(&samples, &starved));
        program.until_connections(CLIENTS as u64);
        program.balanced_ledger();
        // The log, and figures, tell more than a wait that fails.
        program.assert_unhurt();
        until("memory returns", || {
            let now = program.resident_bytes();
            let is_back = now <= before + GROWTH_BYTES_MAX;
            if is_back { Ok(()) } else { Err(format!("{before} bytes before, {now} after")) }
        });
        let honest_load = load(program, &honest, sent, lasted);
        let allowed = FLOOR.max(2 * usual.max(honest_load));
        eprintln!(
            "p99: {usual:?} alone, {honest_load:?} under an honest load, {under_attack:?} under attack for \
             {lasted:?}; {:.1} MiB of memory before, {:.1} MiB after",
            mebibytes(before),
            mebibytes(program.resident_bytes()),
        );
        if under_attack <= allowed {
            break;
        }
        if unstarved <= allowed {
            starvations += 1;
            eprintln!(
                "starved: of {under_attack:?} the machine kept node or client from running for all but {unstarved:?}"
            );
            if starvations > STARVED_ATTEMPTS {
                eprintln!("starved each time: judged without that");
                break;
            }
        } else {
            failures += 1;
            assert!(
                failures < ATTEMPTS,
                "honest clients wait {under_attack:?}, {unstarved:?} without what the machine kept node and client \
                 from running; {allowed:?} is allowed; of the actors:\n{}",
                program.turns(),
            );
        }
        honest.stop();
        honest = Honest::start(program);
        before = before.min(settled_bytes(program));
    }
    honest.stop();
    program.until_connections(0);
    program.balanced_ledger();
    program.assert_unhurt();
}

/// What the p99 may be in a pair, however short it is without the attack: the scheduler's slices, and, without
/// optimisation, the turns.
const PAIR_FLOOR: Duration = if cfg!(debug_assertions) { FLOOR } else { Duration::from_millis(8) };

/// Looks at honest clients in pairs of `time` without and `time` with an attack: in the median pair their p99 is at most
/// twice as long as without.
pub(crate) fn pairs(
    program: &Program,
    count: usize,
    time: Duration,
    mut attack: impl FnMut(Scale) -> Sent + Send,
) {
    let honest = Honest::start(program);
    with_low_priority(|| attack(Scale::Warm));
    let mut ratios: Vec<f64> = (0..count)
        .map(|pair| {
            program.until_connections(CLIENTS as u64);
            let began = Instant::now();
            thread::sleep(time);
            let usual = usual_p99(&honest.since(began));
            let began = Instant::now();
            with_low_priority(|| {
                let mut sent = Sent::default();
                while began.elapsed() < time {
                    sent = attack(Scale::Full);
                }
                sent
            });
            let under_attack = usual_p99(&honest.since(began));
            eprintln!("pair {}: p99 {usual:?} alone, {under_attack:?} under attack", pair + 1);
            under_attack.as_secs_f64() / usual.max(PAIR_FLOOR / 2).as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios[count / 2];
    assert!(median <= 2.0, "honest clients wait {median:.2} x as long in the median pair: {ratios:.2?}");
    honest.stop();
    program.until_connections(0);
    program.balanced_ledger();
    program.assert_unhurt();
}

#[expect(clippy::cast_precision_loss, reason = "for eyes")]
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Resident memory when it has stopped falling.
fn settled_bytes(program: &Program) -> usize {
    let mut least = program.resident_bytes();
    let mut looks_without_less = 0;
    while looks_without_less < 8 {
        // It falls by itself: there is nothing to wait for.
        thread::sleep(Duration::from_millis(100));
        let now = program.resident_bytes();
        looks_without_less = if now < least { 0 } else { looks_without_less + 1 };
        least = least.min(now);
    }
    least
}

/// Sets the priority of this thread. False if that is not allowed.
pub(super) fn renice(niceness: i8) -> bool {
    let own = std::fs::read_link("/proc/thread-self").expect("a thread");
    let own = own.file_name().expect("PID/task/TID").to_string_lossy().into_owned();
    let reniced = Command::new("renice").args(["-n", &niceness.to_string(), "-p", &own]).output();
    reniced.expect("renice").status.success()
}

fn with_low_priority(act: impl FnOnce() -> Sent + Send) -> Sent {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            assert!(renice(10), "renice");
            act()
        });
        match thread.join() {
            Ok(sent) => sent,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The p99 under as many packets and bytes per second as a flood had, all of them harmless; none for what was no flood.
fn load(program: &Program, honest: &Honest, sent: Sent, lasted: Duration) -> Duration {
    if sent.packets == 0 {
        return Duration::ZERO;
    }
    const PACKETS_PER_WRITE: u64 = 50;
    let payload = vec![b'x'; (sent.bytes / sent.packets).saturating_sub(20) as usize];
    let packet = bytes_of(&publish("$load/x", QoS::AtMostOnce, 0, &payload), ProtocolVersion::V5);
    let many = packet.repeat(PACKETS_PER_WRITE as usize);
    let began = Instant::now();
    with_low_priority(|| {
        let mut clients: Vec<Wire> = (0..CLIENTS)
            .map(|number| Wire::client(program.tcp, connect(ProtocolVersion::V5, &format!("load-{number}"))))
            .collect();
        let mut packets = 0;
        while began.elapsed() < USUAL_TIME {
            let due = sent.packets as f64 * (began.elapsed().as_secs_f64() / lasted.as_secs_f64());
            if (packets as f64) < due {
                let client = &mut clients[(packets / PACKETS_PER_WRITE) as usize % CLIENTS];
                assert!(client.send_bytes(&many));
                packets += PACKETS_PER_WRITE;
            } else {
                // Its pace.
                thread::sleep(Duration::from_micros(200));
            }
        }
        Sent::default()
    });
    let p99 = usual_p99(&honest.since(began));
    program.until_connections(CLIENTS as u64);
    p99
}
