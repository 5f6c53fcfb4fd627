//! A network connection inside of this process, for a simulated node.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::Notify;
use tokio::task::coop;

/// The node's end of a pipe.
#[derive(Debug)]
pub struct MemoryStream {
    pipe: DuplexStream,
    /// None: whoever waits is woken as bytes come.
    readiness: Option<Arc<SocketReadiness>>,
}

/// What is known of one by a poller of sockets: bytes may be there for some time before whoever reads is told so, and
/// until then it does not look.
#[derive(Debug)]
pub(crate) struct SocketReadiness {
    state: Mutex<State>,
    poller: Arc<Poller>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes came, or the end, that nobody was told of.
    is_news: bool,
    is_readable: bool,
    /// The other end is gone: what was once told of it stays true.
    is_over: bool,
    reader: Option<Waker>,
}

/// Has the sockets of which there is something to tell.
#[derive(Debug, Default)]
pub(crate) struct Poller {
    news: Mutex<Vec<Weak<SocketReadiness>>>,
    /// Whoever tells waits for it.
    pub(crate) work: Notify,
}

impl Poller {
    pub(crate) fn news(&self) -> MutexGuard<'_, Vec<Weak<SocketReadiness>>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketReadiness {
    pub(crate) fn new(poller: &Arc<Poller>) -> Self {
        Self { state: Mutex::default(), poller: Arc::clone(poller) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The other end wrote.
    pub(crate) fn note_written(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.state().is_news, true) {
            self.poller.news().push(Arc::downgrade(self));
        }
        self.poller.work.notify_one();
    }

    /// The other end is gone.
    pub(crate) fn note_over(self: &Arc<Self>) {
        self.state().is_over = true;
        self.note_written();
    }

    /// Tells whoever reads.
    pub(crate) fn announce(&self) {
        let mut state = self.state();
        (state.is_news, state.is_readable) = (false, true);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// The socket was read until it was empty.
    fn note_empty(&self) {
        let mut state = self.state();
        state.is_readable = state.is_over && !state.is_news;
    }

    fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_readable {
            return Poll::Ready(());
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl MemoryStream {
    pub(crate) fn new(pipe: DuplexStream, readiness: Option<Arc<SocketReadiness>>) -> Self {
        Self { pipe, readiness }
    }

    /// Tells at once whoever will read it of what is there.
    pub(crate) fn announce(&self) {
        if let Some(readiness) = &self.readiness {
            readiness.announce();
        }
    }

    /// Reads what is there, told of or not. `Pending` wakes nobody.
    pub(super) fn poll_read_unheard(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let mut nobody = Context::from_waker(Waker::noop());
        ready!(Pin::new(&mut self.pipe).poll_read(&mut nobody, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Another poller has it now, which tells what is there as if it had just come.
    pub(super) fn attach(&self) {
        if let Some(readiness) = &self.readiness {
            {
                let mut state = readiness.state();
                (state.is_readable, state.reader) = (false, None);
            }
            readiness.note_written();
        }
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(readiness) = &this.readiness else { return Pin::new(&mut this.pipe).poll_read(cx, buffer) };
        ready!(readiness.poll_readable(cx));
        // Without it the pipe would have the task come again, and not say so.
        if !coop::has_budget_remaining() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        // Its task is woken when it is told, not as bytes come.
        let read = Pin::new(&mut this.pipe).poll_read(&mut Context::from_waker(Waker::noop()), buffer);
        let is_short = buffer.filled().len() > before && buffer.remaining() > 0;
        if read.is_pending() || is_short {
            readiness.note_empty();
        }
        if read.is_pending() {
            let told = readiness.poll_readable(cx);
            debug_assert!(told.is_pending(), "what is over has an end to read");
        }
        read
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}
