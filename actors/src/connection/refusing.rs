//! How a CONNECT is refused: the client is told why, and may read that in peace.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use actix_rt::time::timeout;
use mqtt_codec::{ConnAck, ConnAckProperties, Packet, ProtocolVersion, ReasonCode, encode};

use crate::permit::ConnectionPermit;
use crate::transport::Transport;
use crate::worker::Worker;

/// How long a client that is refused may take to read why.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);
/// How often one turn reads what nobody looks at.
const READS_PER_TURN: usize = 16;

/// What a client is told whose CONNECT is refused.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// The version that it speaks.
    pub version: ProtocolVersion,
    /// For the CONNACK.
    pub reason: ReasonCode,
    /// Largest packet that it takes, in bytes.
    pub limit: u32,
}

/// Writes all of it.
pub(super) async fn write_all(transport: &mut Transport, bytes: &[u8]) -> std::io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        written += poll_fn(|task| transport.poll_write(task, &bytes[written..])).await?;
    }
    poll_fn(|task| transport.poll_flush(task)).await
}

/// Answers a CONNECT with a refusal [MQTT-3.2.2-6] and closes.
pub fn refuse(transport: Transport, refusal: Refusal, worker: Rc<Worker>, permit: ConnectionPermit) {
    actix_rt::spawn(async move { refuse_now(transport, refusal, None, &worker, permit).await });
}

/// Refuses with `words` for the Reason String, which who takes no packet of that size goes without [MQTT-3.2.2-19].
pub(super) async fn refuse_now(
    mut transport: Transport,
    refusal: Refusal,
    words: Option<String>,
    worker: &Worker,
    permit: ConnectionPermit,
) {
    let Refusal { version, reason, limit } = refusal;
    worker.counters.connects_refused.add(1);
    worker.counters.count_end(reason);
    let mut bytes = Vec::new();
    let mut encoded = |words| {
        let properties = ConnAckProperties { reason_string: words, ..Default::default() };
        let answer = ConnAck { session_present: false, reason_code: reason, properties };
        encode(&Packet::ConnAck(Box::new(answer)), version, limit, &mut bytes).is_ok()
    };
    let is_said = words.is_some() && encoded(words);
    if !is_said && !encoded(None) {
        // A client that takes no 5 bytes is told nothing [MQTT-3.1.2-24].
        return;
    }
    let last_words = async {
        write_all(&mut transport, &bytes).await?;
        poll_fn(|task| transport.poll_shutdown(task)).await?;
        // To drop a socket with unread bytes resets it, which can cost the client the answer.
        let mut rest = [0; 1024];
        let mut reads = 0;
        while poll_fn(|task| transport.poll_read(task, &mut rest)).await? > 0 {
            reads += 1;
            if reads % READS_PER_TURN == 0 {
                // Who goes on sending does not hold up the others.
                actix_rt::task::yield_now().await;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // Who does not read it in time, or is gone, does not want to know.
    let _ = timeout(REFUSAL_PATIENCE, last_words).await;
    drop(permit);
}
