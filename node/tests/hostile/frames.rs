//! WebSocket frames of every wrong kind, and right ones that are hostile.

use mqtt_codec::{Packet, ProtocolVersion, QoS};

use crate::harness::{Frame, Program, Scale, Sent, Turn, WebSocket, bytes_of, connect, ordeal, publish};

const EACH: usize = 200;

/// Frames, the close code that they are answered with (none: just the end), and what counts them.
struct Wrong {
    name: &'static str,
    frames: Vec<Frame>,
    code: Option<u16>,
    reason: &'static str,
}

fn wrong(name: &'static str, frames: &[Frame], code: u16, reason: &'static str) -> Wrong {
    Wrong { name, frames: frames.to_vec(), code: Some(code), reason }
}

fn kinds() -> Vec<Wrong> {
    let frame = Frame::new;
    let unmasked = Frame { masked: false, ..Frame::binary(b"x") };
    let endless = Frame { said_bytes: Some(u64::MAX), ..Frame::binary(b"x") };
    let large = Frame { said_bytes: Some(1 << 40), ..Frame::binary(b"x") };
    let protocol = "protocol_error";
    vec![
        wrong("not masked", &[unmasked], 1002, protocol),
        wrong("reserved bit 1", &[frame(0xc2, b"x")], 1002, protocol),
        wrong("reserved bit 2", &[frame(0xa2, b"x")], 1002, protocol),
        wrong("reserved bit 3", &[frame(0x92, b"x")], 1002, protocol),
        wrong("text", &[frame(0x81, b"text")], 1003, "text_message"),
        wrong("text that is not UTF-8", &[frame(0x81, &[0xff, 0xfe])], 1007, "not_utf8"),
        wrong("reserved data opcode", &[frame(0x83, b"x")], 1002, protocol),
        wrong("reserved control opcode", &[frame(0x8b, b"x")], 1002, protocol),
        wrong("fragmented ping", &[frame(0x09, b"x")], 1002, protocol),
        wrong("ping too long", &[frame(0x89, &[0; 126])], 1002, protocol),
        wrong("close too long", &[frame(0x88, &[3; 200])], 1002, protocol),
        wrong("continuation of nothing", &[frame(0x80, b"x")], 1002, protocol),
        wrong("message within a message", &[frame(0x02, b"x"), frame(0x82, b"y")], 1002, protocol),
        wrong("longer than it may be", &[large], 1009, "message_too_large"),
        wrong("longer than anything", &[endless], 1009, "message_too_large"),
        wrong("close of one byte", &[frame(0x88, &[3])], 1002, protocol),
        wrong("close that is not UTF-8", &[frame(0x88, &[0x03, 0xe8, 0xff, 0xfe])], 1007, "not_utf8"),
    ]
}

fn frames_of_every_wrong_kind_at(program: &Program, begin: impl Fn(&Program) -> WebSocket + Sync) {
    ordeal(program, |scale: Scale| {
        for Wrong { name, frames, code, reason } in kinds() {
            let counter = format!("websocket_refused_total{{reason=\"{reason}\"}}");
            let (before, count) = (program.figures(), scale.of(EACH));
            for _ in 0..count {
                let mut socket = begin(program);
                frames.iter().for_each(|frame| assert!(socket.send(frame), "{name}"));
                assert_eq!(socket.close_code(), code, "{name}");
            }
            program.until_grown(&before, &counter, count as u64);
        }
        Sent::default()
    });
}

#[test]
fn frames_of_every_wrong_kind_before_a_connect() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    frames_of_every_wrong_kind_at(&program, |program| WebSocket::open(program.websocket));
    program.stop();
}

fn client(program: &Program, name: &str) -> WebSocket {
    let mut socket = WebSocket::open(program.websocket);
    let version = ProtocolVersion::V5;
    let connect = bytes_of(&Packet::Connect(Box::new(connect(version, name))), version);
    assert!(socket.send(&Frame::binary(&connect)));
    let (first, answer) = socket.next().expect("a CONNACK");
    assert_eq!((first, answer[0], answer[3]), (0x82, 0x20, 0), "{answer:02x?}");
    socket
}

#[test]
fn frames_of_every_wrong_kind_behind_a_connect() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    frames_of_every_wrong_kind_at(&program, |program| client(program, "wrong"));
    program.stop();
}

/// Close frames with codes that must not be sent end the WebSocket like any other.
#[test]
fn close_frames_with_codes_that_must_not_be_sent() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    ordeal(&program, |scale: Scale| {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            for _ in 0..scale.of(EACH) {
                let mut socket = client(&program, "wrong");
                assert!(socket.send(&Frame::new(0x88, &code.to_be_bytes())));
                socket.close_code();
            }
        }
        Sent::default()
    });
    program.stop();
}

/// Floods of frames that are allowed and carry nothing: the thread goes on with others.
#[track_caller]
fn flood(frames: &[u8], count: usize, is_read: bool) {
    let program = Program::start(&[]);
    const PER_WRITE: usize = 1000;
    let many = frames.repeat(PER_WRITE);
    ordeal(&program, |scale: Scale| {
        let mut sent = Sent::default();
        let mut sockets: Vec<WebSocket> =
            (0..4).map(|number| client(&program, &format!("flood-{number}"))).collect();
        for number in 0..scale.of(count) / PER_WRITE {
            let at = number % sockets.len();
            let socket = &mut sockets[at];
            if !is_read {
                // Who reads no pongs is not read for long: what finds no room is left.
                socket.stream.set_nonblocking(true).expect("an open socket");
            }
            let written = std::io::Write::write(&mut socket.stream, &many).unwrap_or(0);
            sent.add(PER_WRITE * written / many.len(), written);
        }
        drop(sockets);
        sent
    });
    program.stop();
}

#[test]
fn floods_of_pings_whose_pongs_nobody_reads() {
    let _turn = Turn::take();
    flood(&Frame::new(0x89, &[7; 125]).bytes(), 200_000, false);
}

#[test]
fn floods_of_empty_messages() {
    let _turn = Turn::take();
    flood(&Frame::binary(b"").bytes(), 1_000_000, true);
}

/// A PINGREQ and a PUBLISH, a frame for each of their bytes.
#[test]
fn floods_of_fragments_of_one_byte() {
    let _turn = Turn::take();
    let version = ProtocolVersion::V5;
    let mut packets = bytes_of(&Packet::PingReq, version);
    packets.extend(bytes_of(&publish("$flood/x", QoS::AtMostOnce, 0, b"payload"), version));
    let last = packets.len() - 1;
    let frames = packets.iter().enumerate().flat_map(|(at, byte)| {
        let opcode = if at == 0 { 0x02 } else { 0x00 };
        let fin = if at == last { 0x80 } else { 0x00 };
        Frame::new(fin | opcode, &[*byte]).bytes()
    });
    flood(&frames.collect::<Vec<u8>>(), 100_000, false);
}

/// Fragments without a byte, of a message that never ends.
#[test]
fn floods_of_empty_fragments() {
    let _turn = Turn::take();
    let program = Program::start(&[]);
    let many = Frame::new(0x00, b"").bytes().repeat(10_000);
    ordeal(&program, |scale: Scale| {
        let mut sent = Sent::default();
        let mut sockets: Vec<WebSocket> =
            (0..4).map(|number| client(&program, &format!("empty-{number}"))).collect();
        for socket in &mut sockets {
            assert!(socket.send(&Frame::new(0x02, b"")));
        }
        for number in 0..scale.of(400) {
            let at = number % sockets.len();
            assert!(std::io::Write::write_all(&mut sockets[at].stream, &many).is_ok());
            sent.add(10_000, many.len());
        }
        drop(sockets);
        sent
    });
    program.stop();
}
