//! The admin listener and its thread.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use micro_mq_actors::Throttle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tracing::{debug, warn};

use super::host::Hosts;
use super::problem::Failure;
use super::router::{ANSWER_TIMEOUT, late, router};
use super::source::AdminSource;
use crate::console::Console;

/// Network connections at a time; further ones wait in the backlog. A scraper and a console need a handful.
pub(crate) const CONNECTIONS_MAX: u32 = 64;

/// Bytes of request line and headers; a client identifier of 65,535 bytes, all of them percent-encoded, does not fit.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// From the first to the last byte of a head, and between two requests of a network connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// After this a network connection ends with the answer it is at, so one that never reads cannot stay.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(120);

/// What answers under way have left when the server or their network connection ends.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause after a failed accept: out of file descriptors, it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound port that nobody serves yet: a port in use is found before the node starts.
#[derive(Debug)]
pub struct AdminListener {
    socket: std::net::TcpListener,
    address: SocketAddr,
    hosts: Vec<String>,
    connections_max: u32,
    console: Option<Console>,
}

impl AdminListener {
    /// Binds the port; network connections wait until [`AdminListener::serve`].
    ///
    /// # Errors
    /// What the operating system says.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, hosts: Vec::new(), connections_max: CONNECTIONS_MAX, console: None })
    }

    /// Lets requests name these hosts too, beside addresses and `localhost`.
    #[must_use]
    pub fn with_hosts(self, hosts: Vec<String>) -> Self {
        Self { hosts, ..self }
    }

    /// Takes so many network connections at a time, at least one and at most [`CONNECTIONS_MAX`]: where files are
    /// scarce, those that are kept for it.
    #[must_use]
    pub fn with_connections_max(self, connections_max: u32) -> Self {
        Self { connections_max: connections_max.clamp(1, CONNECTIONS_MAX), ..self }
    }

    /// Serves the console at `/`, too.
    #[must_use]
    pub(crate) fn with_console(self, console: Console) -> Self {
        Self { console: Some(console), ..self }
    }

    /// Where it listens; the port is the one picked if it was bound to port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from `source` on a thread of its own, until stopped or dropped.
    ///
    /// # Errors
    /// What the operating system says if it has no thread or no descriptor left.
    pub fn serve(self, source: Arc<dyn AdminSource>) -> io::Result<AdminServer> {
        let Self { socket, address, hosts, connections_max, console } = self;
        let hosts = Arc::new(Hosts::new(address, hosts));
        let router = router(source, console);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = watch::channel(());
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                match TcpListener::from_std(socket) {
                    Ok(listener) => accept(listener, connections_max, hosts, router, stopped).await,
                    Err(error) => warn!(%error, "the admin listener cannot be served"),
                }
            });
        })?;
        Ok(AdminServer { address, stop, thread })
    }
}

/// A running admin server; dropped, it stops by itself.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: watch::Sender<()>,
    thread: JoinHandle<()>,
}

impl AdminServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets answers under way finish for at most a second, and waits for the thread.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            warn!("the thread of the admin listener panicked");
        }
    }
}

async fn accept(
    listener: TcpListener,
    connections_max: u32,
    hosts: Arc<Hosts>,
    router: Router,
    mut stopped: watch::Receiver<()>,
) {
    let log = Throttle::default();
    let room = Arc::new(Semaphore::new(connections_max as usize));
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await.expect("the semaphore is never closed");
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            // The sender says nothing; it is dropped to stop the server.
            _ = stopped.changed() => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = serve(stream, Arc::clone(&hosts), router.clone(), stopped.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                if let Some(left_out) = log.admit(Instant::now()) {
                    warn!(%error, left_out, "the admin listener cannot accept");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(FINISH_TIMEOUT, room.acquire_many(connections_max)).await;
}

async fn serve(stream: TcpStream, hosts: Arc<Hosts>, router: Router, mut stopped: watch::Receiver<()>) {
    let router = TowerToHyperService::new(router);
    let answer = service_fn(|request: Request<Incoming>| {
        let (router, hosts) = (router.clone(), Arc::clone(&hosts));
        async move { Ok::<_, Infallible>(answer(&router, &hosts, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async {
            let _ = tokio::time::timeout(CONNECTION_LIFETIME, stopped.changed()).await;
        } => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(FINISH_TIMEOUT, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a network connection of the admin listener ended");
    }
}

async fn answer(router: &TowerToHyperService<Router>, hosts: &Hosts, request: Request<Incoming>) -> Response {
    let mut response = if !hosts.admit_origin(request.headers()) {
        Failure::new(StatusCode::FORBIDDEN, "a web page of another origin may not ask").into_response()
    } else if hosts.admit(request.uri(), request.headers()) {
        let uri = request.uri().clone();
        match tokio::time::timeout(ANSWER_TIMEOUT, router.call(request)).await {
            Ok(Ok(response)) => response,
            Err(_) => late(&uri).into_response(),
        }
    } else {
        let text = "the host of the request is not this listener";
        Failure::new(StatusCode::MISDIRECTED_REQUEST, text).into_response()
    };
    // What the console's files are, a browser may keep.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
