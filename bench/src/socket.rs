//! Non-blocking TCP sockets, from several source addresses when there are many.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
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

/// Listens, non-blocking, on a port that several sockets may listen on: the kernel shares connections out among them.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    /// Connections that wait to be accepted, as many as the kernel allows.
    const BACKLOG: i32 = i32::MAX;
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket =
        net::socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Begins to connect; the socket is writable when that is done, well or not.
///
/// It comes from `source`, or from where the kernel chooses. `receive_buffer` bytes bound what the kernel takes for
/// a reader that never reads.
pub(crate) fn open(
    address: SocketAddr,
    source: Option<IpAddr>,
    receive_buffer: Option<usize>,
) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket =
        net::socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(bytes) = receive_buffer {
        sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
    }
    if let Some(source) = source {
        net::bind(&socket, &SocketAddr::new(source, 0))?;
    }
    match net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// Where connection `number` comes from; `None` leaves the choice to the kernel.
///
/// The `sources` that were named take turns. Without any, connections to an IPv4 loopback address come from
/// 127.0.0.2 and following from number 8,000 on.
pub(crate) fn source(sources: &[IpAddr], broker: IpAddr, number: usize) -> Option<IpAddr> {
    if !sources.is_empty() {
        return Some(sources[number % sources.len()]);
    }
    let index = u32::try_from(number / CONNECTIONS_PER_SOURCE).ok()?;
    let further = index > 0 && broker.is_loopback() && broker.is_ipv4();
    further.then(|| Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + index).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_use_further_loopback_addresses() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let from = |number| source(&[], loopback, number);
        assert_eq!(from(7_999), None);
        assert_eq!(from(8_000), Some(Ipv4Addr::new(127, 0, 0, 2).into()));
        assert_eq!(from(24_000), Some(Ipv4Addr::new(127, 0, 0, 4).into()));
        assert_eq!(source(&[], Ipv4Addr::new(10, 0, 0, 1).into(), 24_000), None);
    }

    #[test]
    fn named_addresses_take_turns() {
        let named = [2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        let from = |number| source(&named, Ipv4Addr::LOCALHOST.into(), number);
        assert_eq!([0, 1, 2, 24_001].map(from), [0, 1, 0, 1].map(|index| Some(named[index])));
    }
}
