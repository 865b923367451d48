//! A server that does what a test wants instead of running anything, over pipes in memory, so that
//! the clock can be a virtual one.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dva_runtime::transport::{ByteStream, Dialer, Reach};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
    run_stream,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect};
use tokio::io::{duplex, split};
use tokio::sync::{Notify, Semaphore};

use crate::fixture::Keys;

/// What a fake machine was told and how it behaves. Commands are words:
/// `ok`, `hold` (ends when released), `vanish` (no status), `early` (the status before the output),
/// `cut` (the status, then the connection ends without an end of the output).
pub struct Fake {
    pub channel_limit: usize,
    /// The most channels of one connection.
    pub connection_limit: usize,
    /// How many logged in.
    pub connections: AtomicUsize,
    /// Taken from for each login that is allowed; without any it is refused.
    pub logins: Semaphore,
    pub offered_keys: AtomicUsize,
    pub open: AtomicUsize,
    pub most_open_of_one: AtomicUsize,
    pub refused: AtomicUsize,
    pub commands: Mutex<Vec<String>>,
    pub begun: Semaphore,
    pub release: Semaphore,
    /// Taken from for each channel that is accepted.
    pub accept: Semaphore,
    /// Given to for each channel that the client closed first.
    pub given_up: Semaphore,
    /// From then on nothing gets through, and nobody is told.
    pub black_hole: Notify,
}

impl Fake {
    pub fn new(channel_limit: usize) -> Arc<Self> {
        Self::with_limits(channel_limit, usize::MAX)
    }

    pub fn with_limits(channel_limit: usize, connection_limit: usize) -> Arc<Self> {
        Arc::new(Self {
            channel_limit,
            connection_limit,
            connections: AtomicUsize::new(0),
            logins: Semaphore::new(Semaphore::MAX_PERMITS >> 1),
            offered_keys: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most_open_of_one: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            commands: Mutex::new(Vec::new()),
            begun: Semaphore::new(0),
            release: Semaphore::new(0),
            accept: Semaphore::new(Semaphore::MAX_PERMITS >> 1),
            given_up: Semaphore::new(0),
            black_hole: Notify::new(),
        })
    }

    /// The way to it.
    pub fn reach(self: &Arc<Self>) -> Reach {
        let keys = Keys::new();
        let host_key = keys.host.private_key.clone();
        keys.reach(FakeDialer {
            fake: Arc::clone(self),
            config: Arc::new(Config {
                keys: vec![russh::keys::decode_secret_key(&host_key, None).expect("own key")],
                auth_rejection_time: Duration::ZERO,
                inactivity_timeout: None,
                ..Config::default()
            }),
        })
    }
}

struct FakeDialer {
    fake: Arc<Fake>,
    config: Arc<Config>,
}

#[async_trait]
impl Dialer for FakeDialer {
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        let (near, mut near_end) = duplex(1 << 16);
        let (mut far_end, far) = duplex(1 << 16);
        let fake = Arc::clone(&self.fake);
        tokio::spawn(async move {
            let mut is_cut = false;
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near_end, &mut far_end) => {}
                () = fake.black_hole.notified() => is_cut = true,
            }
            if is_cut {
                std::future::pending::<()>().await;
            }
        });
        let handler = FakeHandler {
            fake: Arc::clone(&self.fake),
            channels: BTreeMap::new(),
            open: Arc::new(AtomicUsize::new(0)),
        };
        tokio::spawn(run_stream(Arc::clone(&self.config), far, handler));
        let (reading, writing) = split(near);
        Ok(Box::new(tokio::io::join(reading, writing)))
    }
}

struct FakeHandler {
    fake: Arc<Fake>,
    channels: BTreeMap<ChannelId, Channel<Msg>>,
    /// How many channels of this connection are open.
    open: Arc<AtomicUsize>,
}

impl Handler for FakeHandler {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        _offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.fake.offered_keys.fetch_add(1, Ordering::SeqCst);
        Ok(Auth::Accept)
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        _key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let Ok(login) = self.fake.logins.try_acquire() else {
            return Ok(Auth::reject());
        };
        login.forget();
        self.fake.connections.fetch_add(1, Ordering::SeqCst);
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.fake.open.load(Ordering::SeqCst) >= self.fake.channel_limit
            || self.open.load(Ordering::SeqCst) >= self.fake.connection_limit
        {
            self.fake.refused.fetch_add(1, Ordering::SeqCst);
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.fake.accept.acquire().await.expect("open").forget();
        self.fake.open.fetch_add(1, Ordering::SeqCst);
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.fake.most_open_of_one.fetch_max(open, Ordering::SeqCst);
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(
        &mut self,
        _channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.fake.open.fetch_sub(1, Ordering::SeqCst);
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.fake.given_up.add_permits(1);
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        let command = String::from_utf8_lossy(command).into_owned();
        let channel = self.channels.remove(&id).expect("an open channel");
        let (fake, handle) = (Arc::clone(&self.fake), session.handle());
        let of_connection = Arc::clone(&self.open);
        tokio::spawn(async move {
            fake.commands
                .lock()
                .expect("unpoisoned")
                .push(command.clone());
            fake.begun.add_permits(1);
            match command.as_str() {
                "hold" => {
                    fake.release.acquire().await.expect("open").forget();
                    channel.exit_status(0).await?;
                }
                "vanish" => {}
                "early" => {
                    channel.exit_status(5).await?;
                    channel.data_bytes(&b"late output"[..]).await?;
                }
                "cut" => {
                    channel.exit_status(0).await?;
                    return handle
                        .disconnect(
                            Disconnect::ByApplication,
                            "maintenance\u{1b}".into(),
                            "".into(),
                        )
                        .await;
                }
                _ => channel.exit_status(0).await?,
            }
            channel.eof().await?;
            fake.open.fetch_sub(1, Ordering::SeqCst);
            of_connection.fetch_sub(1, Ordering::SeqCst);
            channel.close().await
        });
        Ok(())
    }
}
