//! Prints the packets of a captured byte stream, one line each.
//!
//! ```text
//! printf '\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a\xc0\x00' | cargo run -p mqtt-codec --example dump
//! ```
//!
//! Standard input holds what one end sent. The first argument says which end (`client`, the default, or `server`);
//! the second is the protocol version (`3.1`, `3.1.1` or `5.0`), which a client's stream tells by itself.

use std::{env, error::Error, io::Read, process::ExitCode};

use mqtt_codec::{DecodeError, Limits, Packet, PacketRef, ProtocolVersion, Sender, decode};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let sender = match arguments.next().as_deref() {
        None | Some("client") => Sender::Client,
        Some("server") => Sender::Server,
        Some(other) => return Err(format!("neither client nor server: {other}").into()),
    };
    let version = match arguments.next().as_deref() {
        Some("3.1") => ProtocolVersion::V31,
        Some("3.1.1") => ProtocolVersion::V311,
        None | Some("5.0") => ProtocolVersion::V5,
        Some(other) => return Err(format!("no such protocol version: {other}").into()),
    };
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    match dump(&bytes, version, sender) {
        Ok(used) if used == bytes.len() => Ok(ExitCode::SUCCESS),
        Ok(used) => {
            eprintln!("{used:8} the last packet is incomplete: {} bytes of it are there", bytes.len() - used);
            Ok(ExitCode::FAILURE)
        }
        Err((at, error)) => {
            eprintln!("{at:8} {error} (reason code {:#04x})", error.reason_code() as u8);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints every complete packet and returns how many bytes they took; an error comes with its place.
fn dump(bytes: &[u8], mut version: ProtocolVersion, sender: Sender) -> Result<usize, (usize, DecodeError)> {
    let limits = Limits::default();
    let mut at = 0;
    while let Some((packet, used)) =
        decode(&bytes[at..], version, sender, &limits).map_err(|error| (at, error))?
    {
        match &packet {
            PacketRef::Publish(publish) => println!(
                "{at:8} PUBLISH to {:?}, QoS {}, {} bytes of payload{}{}",
                publish.topic,
                publish.qos,
                publish.payload.len(),
                if publish.retain { ", retain" } else { "" },
                if publish.dup { ", duplicate" } else { "" },
            ),
            PacketRef::Other(packet) => {
                println!("{at:8} {packet:?}");
                if let Packet::Connect(connect) = packet {
                    version = connect.version;
                }
            }
        }
        at += used;
    }
    Ok(at)
}
