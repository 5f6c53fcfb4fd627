//! A way to a service that can be cut.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use micro_mq_registry::ServiceAddress;

/// Passes bytes on both ways until it is cut; its threads end with their connections, and with the test.
pub(crate) struct Proxy {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let is_cut = Arc::new(AtomicBool::new(false));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (cut, all) = (Arc::clone(&is_cut), Arc::clone(&open));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut all = all.lock().expect("nobody panics");
                let (false, Ok(server)) = (cut.load(Ordering::SeqCst), TcpStream::connect(target)) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) =
                        (from.try_clone().expect("one more"), to.try_clone().expect("one more"));
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                all.extend([client, server]);
            }
        });
        Self { address, is_cut, open }
    }

    pub(crate) fn address(&self) -> ServiceAddress {
        ServiceAddress { is_tls: false, host: "127.0.0.1".to_owned(), port: self.address.port() }
    }

    /// Ends what is open, and takes nothing more.
    pub(crate) fn cut(&self) {
        let open = self.open.lock().expect("nobody panics");
        self.is_cut.store(true, Ordering::SeqCst);
        for stream in open.iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}
