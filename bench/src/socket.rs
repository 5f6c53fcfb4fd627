//! Non-blocking TCP sockets, from several source addresses when there are many.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
};

use rustix::{
    net::{self, AddressFamily, SocketFlags, SocketType, sockopt},
    process::{Resource, getrlimit, setrlimit},
};

/// Connections from one loopback address. From some 14,000 on the kernel's search for a free port dominates what
/// a connection costs, earlier when ports of previous runs are still waiting for their time to end.
const CONNECTIONS_PER_SOURCE: usize = 8000;

/// Raises the limit on open files as far as the system allows, and says what it is now.
pub(crate) fn raise_open_files() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Begins to connect; the socket is writable when that is done, well or not.
///
/// To an IPv4 loopback address the connections from number 8,000 on come from 127.0.0.2 and following.
/// `receive_buffer` bytes bound what the kernel takes for a reader that never reads.
pub(crate) fn open(
    address: SocketAddr,
    number: usize,
    receive_buffer: Option<usize>,
) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket =
        net::socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(bytes) = receive_buffer {
        sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
    }
    if let Some(source) = source(address.ip(), number) {
        net::bind(&socket, &SocketAddrV4::new(source, 0))?;
    }
    match net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// `None` leaves the choice to the kernel.
fn source(broker: IpAddr, number: usize) -> Option<Ipv4Addr> {
    let index = u32::try_from(number / CONNECTIONS_PER_SOURCE).ok()?;
    let further = index > 0 && broker.is_loopback() && broker.is_ipv4();
    further.then(|| Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_use_further_loopback_addresses() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(source(loopback, 7_999), None);
        assert_eq!(source(loopback, 8_000), Some(Ipv4Addr::new(127, 0, 0, 2)));
        assert_eq!(source(loopback, 24_000), Some(Ipv4Addr::new(127, 0, 0, 4)));
        assert_eq!(source(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 24_000), None);
    }
}
