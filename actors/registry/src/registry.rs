//! The thread on which a registry is used, and what others know of it.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::consul::Consul;
use crate::etcd::Etcd;
use crate::fixed::Fixed;
use crate::http::HttpError;
use crate::member::{Member, Members, Trouble};
use crate::options::{Provider, RegistryOptions};
use crate::provider::{Directory, Listed};

/// Behind a failure, and twice as long behind each further one, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Between two lists of members, though a registry that is out of order may say all the time that something changed.
const FOLLOW_PAUSE: Duration = Duration::from_millis(50);

/// What taking the node out may take when it stops.
const WITHDRAW_PATIENCE: Duration = Duration::from_secs(2);

/// Behind a panic.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What a registry counts, for metrics.
#[derive(Debug, Default)]
pub struct Figures {
    /// Signs of life that the registry took.
    pub announced: AtomicU64,
    /// Those that it did not.
    pub announce_failures: AtomicU64,
    /// Lists of members that it gave.
    pub followed: AtomicU64,
    /// Questions for them without an answer.
    pub follow_failures: AtomicU64,
    /// Lists that were other than the one before.
    pub changes: AtomicU64,
    /// Times that the thread went on behind a panic.
    pub restarts: AtomicU64,
}

fn count(figure: &AtomicU64) {
    figure.fetch_add(1, Ordering::Relaxed);
}

/// A node's registry. Dropped, it stops as [`Registry::stop`] does, and nobody waits for that.
#[derive(Debug)]
pub struct Registry {
    provider: &'static str,
    members: watch::Receiver<Arc<Members>>,
    figures: Arc<Figures>,
    stop: watch::Sender<()>,
    thread: JoinHandle<()>,
}

impl Registry {
    /// Registers the node, and follows the others, on a thread of its own. It does not wait for the registry: what that
    /// is late with, and whether it is there, [`Registry::members`] says.
    ///
    /// # Errors
    /// What the operating system says if it has no thread left.
    pub fn start(options: RegistryOptions) -> io::Result<Self> {
        let provider = options.provider.label();
        let (publish, members) = watch::channel(Arc::new(Members::default()));
        let (stop, stopped) = watch::channel(());
        let figures = Arc::new(Figures::default());
        let run = Run { options, members: publish, figures: Arc::clone(&figures), stopped };
        let thread = thread::Builder::new().name("registry".to_owned()).spawn(move || run.until_stopped())?;
        Ok(Self { provider, members, figures, stop, thread })
    }

    /// What is known now.
    pub fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.borrow())
    }

    /// What others look at, also behind the end of this one.
    pub fn view(&self) -> RegistryView {
        let (members, figures) = (self.members.clone(), Arc::clone(&self.figures));
        RegistryView { provider: self.provider, members, figures }
    }

    /// Tells of every change of what is known.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Members>> {
        self.members.clone()
    }

    /// Takes the node out of the registry, for which it has two seconds, and waits for the thread.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            warn!("the thread of the registry panicked");
        }
    }
}

/// What is to be seen of a registry.
#[derive(Debug, Clone)]
pub struct RegistryView {
    provider: &'static str,
    members: watch::Receiver<Arc<Members>>,
    figures: Arc<Figures>,
}

impl RegistryView {
    /// Which one it is: "consul", "etcd" or "static".
    pub fn provider(&self) -> &'static str {
        self.provider
    }

    /// What is known now.
    pub fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.borrow())
    }

    /// What was counted.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }
}

struct Run {
    options: RegistryOptions,
    members: watch::Sender<Arc<Members>>,
    figures: Arc<Figures>,
    stopped: watch::Receiver<()>,
}

impl Run {
    fn until_stopped(&self) {
        while !self.is_stopped() {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.once()));
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(cause)) => {
                    error!(%cause, "the registry has no runtime");
                    thread::sleep(RESTART_PAUSE);
                }
                Err(panic) => {
                    count(&self.figures.restarts);
                    error!(panic = said(&*panic), "what follows the registry panicked, and begins anew");
                    thread::sleep(RESTART_PAUSE);
                }
            }
        }
    }

    /// Its sender says nothing; it is dropped.
    fn is_stopped(&self) -> bool {
        self.stopped.has_changed().is_err()
    }

    fn once(&self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let options = self.options.clone();
        runtime.block_on(async {
            match options.provider.clone() {
                Provider::Consul => self.with(Consul::new(options)).await,
                Provider::Etcd => self.with(Etcd::new(options)).await,
                Provider::Fixed(nodes) => self.with(Fixed::new(options, nodes)).await,
            }
        });
        Ok(())
    }

    async fn with(&self, directory: impl Directory) {
        let own = Own::default();
        let mut stopped = self.stopped.clone();
        let work = async {
            // First of all: behind it, whoever has this node's name came later.
            let first = self.announce(&directory, &own, PAUSE_MIN).await;
            tokio::join!(self.keep(&directory, &own, first), self.follow(&directory, &own));
        };
        tokio::select! {
            _ = stopped.changed() => {}
            () = work => {}
        }
        if self.members.borrow().is_displaced {
            // Who has the name now stays.
            let _ = stopped.changed().await;
            return;
        }
        match tokio::time::timeout(WITHDRAW_PATIENCE, directory.withdraw()).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => warn!(%cause, "the node stays in the registry until its time is over"),
            Err(_) => {
                warn!("the registry did not answer in time; the node stays there until its time is over")
            }
        }
    }

    /// Gives signs of life until another process has this node's name.
    async fn keep(&self, directory: &impl Directory, own: &Own, first: Duration) {
        let mut pause = first;
        loop {
            sleep(pause).await;
            if own.is_displaced.get() {
                return;
            }
            pause = self.announce(directory, own, pause).await;
        }
    }

    /// One sign of life; returns how long to wait for the next one.
    async fn announce(&self, directory: &impl Directory, own: &Own, pause: Duration) -> Duration {
        let outcome = directory.announce().await;
        let interval = self.options.time_to_live / 3;
        self.tell(Trying::Announcing, outcome.as_ref().err());
        match outcome {
            Ok(()) => {
                count(&self.figures.announced);
                if own.since.get().is_none() {
                    own.since.set(Some(Instant::now()));
                }
                interval
            }
            Err(_) => {
                count(&self.figures.announce_failures);
                // From the interval of what went well to short pauses, and from these to longer ones.
                if pause >= interval { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX).min(interval) }
            }
        }
    }

    async fn follow(&self, directory: &impl Directory, own: &Own) {
        let mut pause = PAUSE_MIN;
        while !own.is_displaced.get() {
            let outcome = directory.follow().await;
            self.tell(Trying::Following, outcome.as_ref().err());
            match outcome {
                Ok(listed) => {
                    count(&self.figures.followed);
                    self.take(listed, own);
                    pause = PAUSE_MIN;
                    sleep(FOLLOW_PAUSE).await;
                }
                Err(_) => {
                    count(&self.figures.follow_failures);
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// What the registry lists is known from now on.
    fn take(&self, listed: Vec<Listed>, own: &Own) {
        let list = one_of_each(listed);
        let me = &self.options.member;
        let is_displaced = own.is_displaced_by(&list, me, self.options.time_to_live);
        let has_changed = self.members.send_if_modified(|members| {
            if members.is_known && members.list == list && !is_displaced {
                return false;
            }
            let changed = Arc::make_mut(members);
            (changed.is_known, changed.list, changed.is_displaced) = (true, list, is_displaced);
            true
        });
        if !has_changed {
            return;
        }
        count(&self.figures.changes);
        let members = self.members.borrow();
        let names: Vec<&str> =
            members.list.iter().filter(|member| member.is_passing).map(|m| &*m.name).collect();
        info!(passing = names.join(" "), listed = members.list.len(), "members by the registry");
        if is_displaced {
            let name = &me.name;
            error!(name, "another process registered under this node's name; this one is silent from now on");
        }
    }

    /// How the last try went.
    fn tell(&self, what: Trying, error: Option<&HttpError>) {
        let cause = error.map(ToString::to_string);
        self.members.send_if_modified(|members| {
            let now = match what {
                Trying::Announcing => &members.announcing,
                Trying::Following => &members.following,
            };
            let known = now.as_ref().map(|trouble| &trouble.cause);
            if known == cause.as_ref() {
                return false;
            }
            let provider = self.options.provider.label();
            match (&cause, now) {
                (Some(cause), _) => warn!(provider, cause, "{}", what.failed()),
                (None, Some(trouble)) => {
                    info!(provider, away_ms = trouble.since.elapsed().as_millis(), "{}", what.went_well());
                }
                (None, None) => {}
            }
            let since = now.as_ref().map_or_else(Instant::now, |trouble| trouble.since);
            let changed = Arc::make_mut(members);
            let place = match what {
                Trying::Announcing => &mut changed.announcing,
                Trying::Following => &mut changed.following,
            };
            *place = cause.map(|cause| Trouble { since, cause });
            true
        });
    }
}

#[derive(Clone, Copy)]
enum Trying {
    Announcing,
    Following,
}

impl Trying {
    const fn failed(self) -> &'static str {
        match self {
            Self::Announcing => "the registry does not take this node's signs of life",
            Self::Following => "the registry does not say who is there; the last known members stay",
        }
    }

    const fn went_well(self) -> &'static str {
        match self {
            Self::Announcing => "the registry takes this node's signs of life again",
            Self::Following => "the registry says again who is there",
        }
    }
}

/// What this process knows of its own registration.
#[derive(Debug, Default)]
struct Own {
    /// Since when it is registered.
    since: Cell<Option<Instant>>,
    /// Whether it was listed.
    was_seen: Cell<bool>,
    is_displaced: Cell<bool>,
}

impl Own {
    /// Whether its name is another's. A list from before its own registration shows a former process, so it is believed
    /// only once this one was listed, or should have been long since.
    fn is_displaced_by(&self, list: &[Member], me: &Member, time_to_live: Duration) -> bool {
        let Some(listed) = list.iter().find(|member| member.name == me.name) else { return false };
        if listed.instance == me.instance {
            self.was_seen.set(true);
        } else if listed.is_passing {
            let is_over = self.since.get().is_some_and(|since| since.elapsed() > time_to_live);
            self.is_displaced.set(self.was_seen.get() || is_over);
        }
        self.is_displaced.get()
    }
}

/// Sorts by name, and keeps of two with one name the one that is passing, or else the later one.
fn one_of_each(mut listed: Vec<Listed>) -> Vec<Member> {
    listed.sort_by(|a, b| {
        let by_name = a.member.name.cmp(&b.member.name);
        by_name.then(b.member.is_passing.cmp(&a.member.is_passing)).then(b.order.cmp(&a.order))
    });
    listed.dedup_by(|later, earlier| later.member.name == earlier.member.name);
    listed.into_iter().map(|listed| listed.member).collect()
}

fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
