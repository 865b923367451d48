//! A TCP proxy that misbehaves as it is told, in the same way for the same seed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::fixture::listen;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// What happens once so many bytes have gone one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Both sides get a reset.
    Reset,
    /// The receiving side gets an end, and nothing more comes this way.
    HalfClose,
    /// Nothing more goes this way until the test says so.
    Stall,
}

/// How one connection is treated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Treatment {
    pub seed: u64,
    /// Bytes go in small pieces.
    pub splits: bool,
    /// Pieces wait for up to so many milliseconds.
    pub delay_ms: u64,
    pub trouble: Option<(Way, u64, Trouble)>,
}

/// A proxy to one server.
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    server: SocketAddr,
    /// Of the connections to come; later ones are treated well.
    treatments: Mutex<Vec<Treatment>>,
    /// Given to once a stall has begun.
    stalled: Semaphore,
    /// Taken from by each stall.
    go_on: Semaphore,
    /// Resets all connections.
    reset: Mutex<CancellationToken>,
}

impl Proxy {
    /// A proxy that treats the connections to come in turn.
    pub async fn start(server: SocketAddr, mut treatments: Vec<Treatment>) -> Self {
        let (listener, address) = listen().await;
        treatments.reverse();
        let state = Arc::new(State {
            server,
            treatments: Mutex::new(treatments),
            stalled: Semaphore::new(0),
            go_on: Semaphore::new(0),
            reset: Mutex::new(CancellationToken::new()),
        });
        let accepting = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&accepting).carry(client));
            }
        });
        Self { address, state }
    }

    /// Resets all that is connected now.
    pub fn reset(&self) {
        let mut reset = self.state.reset.lock().expect("unpoisoned");
        std::mem::take(&mut *reset).cancel();
    }

    pub async fn stalled(&self) {
        self.state.stalled.acquire().await.expect("open").forget();
    }

    pub fn go_on(&self) {
        self.state.go_on.add_permits(1);
    }
}

impl State {
    async fn carry(self: Arc<Self>, client: TcpStream) {
        let treatment = self.treatments.lock().expect("unpoisoned").pop();
        let treatment = treatment.unwrap_or_default();
        let reset = self.reset.lock().expect("unpoisoned").clone();
        let Ok(server) = TcpStream::connect(self.server).await else {
            return;
        };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("a socket");
        }
        let cut = reset.child_token();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let go = |way, seed, from, to| {
            self.one_way(way, Treatment { seed, ..treatment }, from, to, &cut)
        };
        let (up, down) = tokio::join!(
            go(Way::ToServer, treatment.seed, from_client, to_server),
            go(Way::ToClient, !treatment.seed, from_server, to_client),
        );
        if cut.is_cancelled() {
            for (from, to) in [(up.0, down.1), (down.0, up.1)] {
                let stream = from.reunite(to).expect("halves of one");
                stream.set_zero_linger().expect("a socket");
            }
        }
    }

    async fn one_way(
        &self,
        way: Way,
        treatment: Treatment,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        cut: &CancellationToken,
    ) -> (OwnedReadHalf, OwnedWriteHalf) {
        let mut dice = Dice(treatment.seed | 1);
        let mut trouble = treatment.trouble.filter(|(of, ..)| *of == way);
        let mut gone = 0;
        let mut bytes = vec![0; 1 << 15];
        loop {
            let read = tokio::select! {
                read = from.read(&mut bytes) => read,
                () = cut.cancelled() => break,
            };
            let Ok(count @ 1..) = read else {
                let _ = to.shutdown().await;
                break;
            };
            let mut rest = &bytes[..count];
            while !rest.is_empty() && !cut.is_cancelled() {
                let mut piece = rest.len();
                if treatment.splits {
                    piece = piece.min(1 + dice.below(997) as usize);
                }
                if let Some((_, at, what)) = trouble {
                    if gone >= at {
                        trouble = None;
                        match what {
                            Trouble::Reset => cut.cancel(),
                            Trouble::HalfClose => {
                                let _ = to.shutdown().await;
                                return (from, to);
                            }
                            Trouble::Stall => {
                                self.stalled.add_permits(1);
                                self.go_on.acquire().await.expect("open").forget();
                            }
                        }
                        continue;
                    }
                    piece = piece.min(usize::try_from(at - gone).unwrap_or(usize::MAX));
                }
                if treatment.delay_ms > 0 {
                    let delay = Duration::from_millis(dice.below(treatment.delay_ms + 1));
                    tokio::time::sleep(delay).await;
                }
                if to.write_all(&rest[..piece]).await.is_err() {
                    return (from, to);
                }
                gone += piece as u64;
                rest = &rest[piece..];
            }
        }
        (from, to)
    }
}

/// Numbers that look random (xorshift).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
