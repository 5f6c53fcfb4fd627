//! Honest clients, who go on as usual beside an attack: how long they wait for their answers says whether it hurts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mqtt_codec::{Ack, Disconnect, Packet, ProtocolVersion, QoS, ReasonCode};

use super::ordeal::renice;
use super::{Program, Starved, Wire, connect, publish, subscribe, waited_here};

/// So many that each worker has some of them.
pub(super) const CLIENTS: usize = 4;
/// From one request of a client to the next.
const PACE: Duration = Duration::from_millis(4);

/// One question and its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    asked: Instant,
    took: Duration,
    /// How much of that the client itself stood in line for a processor.
    waited: Duration,
}

/// See the module.
pub(super) struct Honest {
    stop: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Honest {
    pub(super) fn start(program: &Program) -> Self {
        let (stop, samples) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<Sample>>>::default());
        let threads = (0..CLIENTS)
            .map(|number| {
                let (stop, samples, address) = (Arc::clone(&stop), Arc::clone(&samples), program.tcp);
                let version = [ProtocolVersion::V5, ProtocolVersion::V311][number % 2];
                let mut client = Wire::client(address, connect(version, &format!("honest-{number}")));
                thread::spawn(move || {
                    // Where it is allowed: what other processes of the machine take is not to be measured.
                    let _ = renice(-10);
                    let topic = format!("$honest/{number}");
                    client.send(&subscribe(&[&topic], QoS::AtLeastOnce));
                    client.until(|packet| matches!(packet, Packet::SubAck(_)));
                    let mut identifier = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let (asked, waited_before) = (Instant::now(), waited_here());
                        identifier = identifier % u16::MAX + 1;
                        if identifier % 2 == 0 {
                            client.ping()
                        } else {
                            echo(&mut client, &topic, identifier)
                        }
                        let (took, waited) = (asked.elapsed(), waited_here() - waited_before);
                        samples.lock().expect("no panic").push(Sample { asked, took, waited });
                        // It asks at a pace, as clients do.
                        thread::sleep(PACE);
                    }
                    client.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
                    client.expect_end();
                })
            })
            .collect();
        Self { stop, samples, threads }
    }

    /// What was asked from then on, until now.
    pub(super) fn since(&self, began: Instant) -> Vec<Sample> {
        let samples = self.samples.lock().expect("no panic");
        samples.iter().filter(|sample| sample.asked >= began).copied().collect()
    }

    /// Ends them. Each was answered to the last, or this panics.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("honest clients are served throughout");
        }
    }
}

/// Publishes to itself with QoS 1, and waits until both the message and its PUBACK are there.
fn echo(client: &mut Wire, topic: &str, identifier: u16) {
    client.send(&publish(topic, QoS::AtLeastOnce, identifier, b"an honest message"));
    let (mut came, mut acknowledged) = (false, false);
    while !(came && acknowledged) {
        match client.next().expect("an honest client is not closed") {
            Packet::Publish(message) => {
                let packet_identifier = message.packet_identifier.expect("QoS 1");
                client.send(&Packet::PubAck(Ack::new(packet_identifier, ReasonCode::Success)));
                came = true;
            }
            Packet::PubAck(_) => acknowledged = true,
            other => panic!("an honest client got {other:?}"),
        }
    }
}

/// The 99th percentile of each window of so many samples: its median over the windows.
pub(super) fn usual_p99(samples: &[Sample]) -> Duration {
    p99(samples, |sample| sample.took)
}

/// The same of what is left when the time is taken off in which the machine kept the client, or the node, from running.
pub(super) fn p99_unstarved(samples: &[Sample], node: &Starved) -> Duration {
    p99(samples, |sample| {
        let waited = sample.waited + node.between(sample.asked, sample.asked + sample.took);
        sample.took.saturating_sub(waited)
    })
}

fn p99(samples: &[Sample], of: impl Fn(&Sample) -> Duration) -> Duration {
    const WINDOW: usize = 200;
    let mut p99s: Vec<Duration> = samples
        .chunks(WINDOW)
        .filter(|window| window.len() == WINDOW || samples.len() < WINDOW)
        .map(|window| {
            let mut times: Vec<Duration> = window.iter().map(&of).collect();
            times.sort_unstable();
            times[(times.len() * 99).div_ceil(100).max(1) - 1]
        })
        .collect();
    p99s.sort_unstable();
    p99s.get(p99s.len() / 2).copied().unwrap_or_default()
}
