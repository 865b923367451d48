//! The connections of a session and the places for channels on them.
//!
//! A machine allows few channels at once on a connection (ten is sshd's default), so we take eight
//! at most and open a further connection for more. A refused channel is a full machine, never a
//! failed command: the connection is asked for no more until one of its channels has ended. What
//! breaks is replaced when somebody needs it.
//!
//! While a step runs, one channel more is opened for the next, which then costs one way there and back
//! instead of two. Such a spare channel counts as one that is taken, and nothing is ever sent over it
//! before a command has it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use dva_runtime::transport::{ConnectErrorKind, ExecError, ExecErrorKind, Purpose};
use russh::Channel;
use russh::client::Msg;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::channel::Opened;
use crate::client::login::{Connection, Login};

/// The most channels at once on a connection.
const CHANNELS: usize = 8;
/// The most of them that steps take. What stops a step that hangs is a command too, so one channel
/// is kept for those of our own, which are short.
const STEP_CHANNELS: usize = CHANNELS - 1;
/// The most connections. Past them commands wait.
const CONNECTIONS: usize = 16;
/// How long to wait for a place before a further connection is made: a login takes about as long as
/// ten short commands.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long to wait after a refusal where none of our channels ends before.
const REFUSAL_PAUSE: Duration = Duration::from_millis(250);
/// How often a channel may be refused while we have no other, before that is an error: a command
/// that was given up may still hold the machine's last channel for a moment.
const REFUSALS_ALONE: u32 = 20;
/// How often a connection may break under a channel that opens, before that is an error.
const BREAKS: u32 = 3;
/// How old a spare channel may be: a machine may close one that it thinks nobody needs.
const SPARE_AGE: Duration = Duration::from_secs(10);
/// How long the task that knows why a connection ended has to say so.
const REASON: Duration = Duration::from_secs(1);

/// The connections of one session.
pub(super) struct Pool {
    login: Login,
    state: Mutex<State>,
    /// Held while a connection is made: one at a time, and who waits for it takes of its places.
    making: AsyncMutex<()>,
    /// Tells that a place has become free.
    freed: Notify,
    /// How many connections broke.
    broken: AtomicU64,
    /// Set once the machine has refused a further connection, until something of ours has ended.
    is_full: AtomicBool,
    closed: CancellationToken,
}

#[derive(Default)]
struct State {
    links: Vec<Arc<Link>>,
}

/// A connection and its channels.
pub(super) struct Link {
    connection: Connection,
    /// Changed under the lock of the state alone.
    taken: Mutex<Taken>,
}

/// The places of a connection.
struct Taken {
    /// Those that are taken: channels that are open or being opened, a spare one among them.
    all: usize,
    steps: usize,
    /// The most that the machine gives, as far as is known.
    limit: usize,
    spare: Spare,
}

/// A channel that is open before anybody needs it.
enum Spare {
    None,
    Opening,
    Open(Channel<Msg>, Instant),
    /// The machine has refused one, so it is not asked for one again.
    Refused,
}

impl Taken {
    fn has_room(&self, is_step: bool) -> bool {
        self.all < self.limit && self.allows(is_step)
    }

    fn allows(&self, is_step: bool) -> bool {
        // A machine that gives one channel alone gives it to steps.
        let for_steps = STEP_CHANNELS.min(self.limit.saturating_sub(1).max(1));
        !is_step || self.steps < for_steps
    }

    fn has_spare(&self, is_step: bool) -> bool {
        matches!(self.spare, Spare::Open(..)) && self.allows(is_step)
    }

    /// Takes the spare channel.
    fn take_spare(&mut self) -> Option<(Channel<Msg>, Instant)> {
        match std::mem::replace(&mut self.spare, Spare::None) {
            Spare::Open(channel, since) => Some((channel, since)),
            other => {
                self.spare = other;
                None
            }
        }
    }
}

impl Pool {
    pub(super) fn new(login: Login, connection: Connection) -> Arc<Self> {
        let pool = Arc::new(Self {
            login,
            state: Mutex::default(),
            making: AsyncMutex::new(()),
            freed: Notify::new(),
            broken: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            closed: CancellationToken::new(),
        });
        pool.add(connection);
        pool
    }

    /// How many connections broke.
    pub(super) fn broken(&self) -> u64 {
        self.broken.load(Ordering::SeqCst)
    }

    /// Opens a channel, waiting while the machine has none to give. Whatever happens, nothing was
    /// sent over it.
    ///
    /// # Errors
    /// [`ExecError`].
    pub(super) async fn open(self: &Arc<Self>, purpose: &Purpose) -> Result<Opened, ExecError> {
        let is_step = matches!(purpose, Purpose::Step { .. });
        let mut refusals_alone = 0;
        let mut breaks = 0;
        loop {
            let place = match self.place(is_step).await? {
                (place, None) => place,
                (place, Some((mut channel, since))) => {
                    let is_fresh = since.elapsed() < SPARE_AGE && is_quiet(&mut channel);
                    let opened = Opened::new(channel, place);
                    if is_fresh {
                        return Ok(opened);
                    }
                    continue;
                }
            };
            // In a task of its own, for a channel whose opening is given up half-way would stay open.
            let opened = tokio::spawn(async move {
                match place.link.connection.handle.channel_open_session().await {
                    Ok(channel) => Ok(Opened::new(channel, place)),
                    Err(error) => Err((error, place)),
                }
            });
            let opened = opened.await.map_err(|_| lost("the runtime is ending"))?;
            let (error, place) = match opened {
                Ok(channel) => return Ok(channel),
                Err(failed) => failed,
            };
            match error {
                russh::Error::ChannelOpenFailure(reason) => {
                    // Begun before the place is given back, so that no end goes unnoticed.
                    let freed = self.freed.notified();
                    tokio::pin!(freed);
                    freed.as_mut().enable();
                    match self.give_back_refused(place) {
                        Refusal::Alone => {
                            refusals_alone += 1;
                            if refusals_alone > REFUSALS_ALONE {
                                return Err(ExecError {
                                    kind: ExecErrorKind::Refused,
                                    message: format!("the machine opens no channel ({reason:?})"),
                                });
                            }
                        }
                        Refusal::OfConnection => continue,
                        Refusal::OfMachine => {}
                    }
                    tracing::debug!(?reason, "a channel was refused; waiting for one to end");
                    // Which of the two comes first makes no difference.
                    let _ = tokio::time::timeout(REFUSAL_PAUSE, freed).await;
                }
                error => {
                    // Nothing was sent, so another connection will do as well.
                    breaks += 1;
                    let error = place.link.broken(&error.to_string()).await;
                    self.remove(&place.link);
                    if breaks == BREAKS {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Takes a place on some connection, which is made where there is none.
    async fn place(self: &Arc<Self>, is_step: bool) -> Result<Taking, ExecError> {
        let mut patience = Box::pin(tokio::time::sleep(PATIENCE));
        loop {
            // Begun before looking, so that no place becomes free unnoticed in between.
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.closed.is_cancelled() {
                return Err(lost("the session was closed"));
            }
            if let Some(taking) = self.take(is_step) {
                return Ok(taking);
            }
            if !self.may_grow() {
                freed.await;
                continue;
            }
            if !patience.is_elapsed() && !self.state().links.is_empty() {
                tokio::select! {
                    () = &mut freed => {}
                    () = &mut patience => {}
                }
                continue;
            }
            tokio::select! {
                () = &mut freed => {}
                _making = self.making.lock() => {
                    // Somebody may have made one meanwhile.
                    if let Some(taking) = self.take(is_step) {
                        return Ok(taking);
                    }
                    if self.may_grow() {
                        self.grow().await?;
                    }
                }
            }
        }
    }

    fn may_grow(&self) -> bool {
        let links = self.state().links.len();
        links == 0 || (links < CONNECTIONS && !self.is_full.load(Ordering::SeqCst))
    }

    /// Makes a further connection.
    async fn grow(self: &Arc<Self>) -> Result<(), ExecError> {
        let made = tokio::select! {
            made = self.login.perform() => made,
            () = self.closed.cancelled() => return Err(lost("the session was closed")),
        };
        match made {
            Ok(connection) => self.add(connection),
            // The machine has enough of us; there are connections to wait for.
            Err(error) if !self.state().links.is_empty() => {
                tracing::warn!(%error, "no further connection; commands wait for those that stand");
                self.is_full.store(true, Ordering::SeqCst);
            }
            Err(error) => {
                let what = match error.kind {
                    ConnectErrorKind::HostKey => "it came back with another host key",
                    _ => "there is no connection",
                };
                return Err(lost(&format!("{what}: {error}")));
            }
        }
        Ok(())
    }

    fn add(self: &Arc<Self>, connection: Connection) {
        let link = Arc::new(Link {
            connection,
            taken: Mutex::new(Taken {
                all: 0,
                steps: 0,
                limit: CHANNELS,
                spare: Spare::None,
            }),
        });
        self.state().links.push(Arc::clone(&link));
        // Notices a break at once, also while nobody runs anything.
        let (pool, ended) = (Arc::downgrade(self), link.connection.ended.clone());
        let link = Arc::downgrade(&link);
        tokio::spawn(async move {
            ended.wait().await;
            if let (Some(pool), Some(link)) = (pool.upgrade(), link.upgrade()) {
                pool.remove(&link);
            }
        });
        self.freed.notify_waiters();
    }

    /// Forgets a connection that broke.
    fn remove(&self, link: &Arc<Link>) {
        let mut state = self.state();
        let before = state.links.len();
        state.links.retain(|other| !Arc::ptr_eq(other, link));
        if state.links.len() < before && !self.closed.is_cancelled() {
            self.broken.fetch_add(1, Ordering::SeqCst);
            self.is_full.store(false, Ordering::SeqCst);
        }
        drop(state);
        self.freed.notify_waiters();
    }

    /// A place, of a spare channel where there is one.
    fn take(self: &Arc<Self>, is_step: bool) -> Option<Taking> {
        let state = self.state();
        let up = || state.links.iter().filter(|link| link.is_up());
        let link = up()
            .find(|link| link.taken().has_spare(is_step))
            .or_else(|| up().find(|link| link.taken().has_room(is_step)))?;
        let mut taken = link.taken();
        let spare = taken.take_spare();
        taken.all += usize::from(spare.is_none());
        taken.steps += usize::from(is_step);
        drop(taken);
        let place = Place {
            pool: Arc::clone(self),
            link: Arc::clone(link),
            is_step,
            is_refused: false,
        };
        Some((place, spare))
    }

    /// Opens a spare channel on `link`, where it has none and room for one more step.
    fn open_spare(self: &Arc<Self>, link: &Arc<Link>) {
        {
            let mut taken = link.taken();
            if !matches!(taken.spare, Spare::None) || !taken.has_room(true) {
                return;
            }
            taken.all += 1;
            taken.spare = Spare::Opening;
        }
        // Of the two it keeps the connection alone, for as long as the machine takes to answer.
        let (pool, link) = (Arc::downgrade(self), Arc::clone(link));
        tokio::spawn(async move {
            let opened = link.connection.handle.channel_open_session().await;
            let mut taken = link.taken();
            taken.spare = match opened {
                Ok(channel) => Spare::Open(channel, Instant::now()),
                Err(error) => {
                    tracing::debug!(%error, "no spare channel");
                    taken.all -= 1;
                    Spare::Refused
                }
            };
            drop(taken);
            if let Some(pool) = pool.upgrade() {
                pool.freed.notify_waiters();
            }
        });
    }

    /// Gives back a place that the machine did not grant.
    fn give_back_refused(&self, mut place: Place) -> Refusal {
        let link = Arc::clone(&place.link);
        place.is_refused = true;
        drop(place);
        let state = self.state();
        let channels = link.taken().all;
        if state.links.iter().all(|link| link.taken().all == 0) {
            Refusal::Alone
        } else if channels == 0 {
            // Not of this connection's doing, so another one would not help.
            self.is_full.store(true, Ordering::SeqCst);
            Refusal::OfMachine
        } else {
            Refusal::OfConnection
        }
    }

    /// Ends all connections; what runs on them is lost.
    pub(super) async fn close(&self) {
        self.closed.cancel();
        let links = std::mem::take(&mut self.state().links);
        for link in links {
            link.connection.close().await;
        }
        self.freed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connection stands, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        !self.connection.ended.is_over()
    }

    /// The error of a command whose connection broke. `what` is said where nothing better is known.
    pub(super) async fn broken(&self, what: &str) -> ExecError {
        let ended = &self.connection.ended;
        // The task that knows the reason tells it a moment after the channels have ended.
        match tokio::time::timeout(REASON, ended.wait()).await {
            Ok(()) => lost(&format!("the connection broke: {}", ended.reason())),
            Err(_) => lost(what),
        }
    }
}

/// What the refusal of a channel means.
enum Refusal {
    /// We have no channel at all, so there is nothing of ours to wait for.
    Alone,
    /// The connection has no more to give.
    OfConnection,
    /// The machine has no more to give.
    OfMachine,
}

/// The place of a channel. Dropping it lets the next command on.
pub(super) struct Place {
    pool: Arc<Pool>,
    link: Arc<Link>,
    is_step: bool,
    is_refused: bool,
}

/// A place, and the spare channel that it is of, with the time since when it is open.
type Taking = (Place, Option<(Channel<Msg>, Instant)>);

/// Whether nothing has come over a channel: an end that waits there makes it of no use.
fn is_quiet(channel: &mut Channel<Msg>) -> bool {
    let waiting = pin!(channel.wait());
    waiting
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

impl Place {
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// To be called once a command was sent: another step is likely to follow one.
    pub(super) fn open_spare(&self) {
        if self.is_step {
            self.pool.open_spare(&self.link);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.link.taken();
        taken.all -= 1;
        taken.steps -= usize::from(self.is_step);
        if self.is_refused {
            taken.limit = taken.all.max(1);
            return;
        }
        // What it refused for may have passed, so one more than before is asked for.
        taken.limit = (taken.limit + 1).min(CHANNELS);
        drop(taken);
        self.pool.is_full.store(false, Ordering::SeqCst);
        self.pool.freed.notify_waiters();
    }
}

/// The error of a command whose end will not be known.
pub(super) fn lost(what: &str) -> ExecError {
    ExecError {
        kind: ExecErrorKind::Lost,
        message: what.to_owned(),
    }
}
