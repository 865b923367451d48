//! Logging in to a machine that may still be booting.
//!
//! A login counts once it has run a command: that of [`environment::look`], which tells whether we are
//! root and which boot this is.

use std::sync::Arc;
use std::time::Duration;

use dva_plan::FailureClass;
use dva_plan::unit::display_duration;
use tokio::time::{Instant, sleep, timeout};

use super::{CLOSING, Link, command};
use crate::environment::{self, Look};
use crate::excerpt::{escape, shorten};
use crate::transport::{ConnectError, ConnectErrorKind, Reach, Session, Transport};

/// The pauses between attempts: local machines are up within milliseconds, so the first is short.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(20);

/// A machine that would not let us in.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub class: FailureClass,
    /// Why, in a sentence.
    pub message: String,
}

/// Logs in, again and again for as long as that can help, until `deadline` at most; to a machine whose
/// boot id is not `before`.
pub(super) async fn log_in(
    transport: &dyn Transport,
    reach: &Reach,
    deadline: Instant,
    before: Option<&str>,
) -> Result<Link, Refused> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let mut pause = FIRST_PAUSE;
    loop {
        let left = |now: Instant| deadline.saturating_duration_since(now);
        let attempt = timeout(left(Instant::now()).min(ATTEMPT), enter(transport, reach));
        let (class, message) = match attempt.await {
            Ok(Ok((link, root))) => {
                if before.is_none() || link.boot.as_deref() != before {
                    return root.map(|root| Link { root, ..link });
                }
                let _ = timeout(CLOSING, link.session.close()).await;
                let message = "it has not booted again".to_owned();
                (FailureClass::Reboot, message)
            }
            Ok(Err(error)) => refusal(error)?,
            Err(_) => {
                let message = "the machine does not answer".to_owned();
                (FailureClass::SshConnectTimeout, message)
            }
        };
        sleep(pause.min(left(Instant::now()))).await;
        if left(Instant::now()).is_zero() {
            let ms = limit.as_micros().div_ceil(1_000);
            let limit = display_duration(u64::try_from(ms).unwrap_or(u64::MAX));
            return Err(Refused {
                class,
                message: format!("The machine did not let us in within {limit}: {message}."),
            });
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What to say of a login that did not work, should it be the last; at once where no other can.
fn refusal(error: ConnectError) -> Result<(FailureClass, String), Refused> {
    let at_once = |class, what: &str| {
        Err(Refused {
            class,
            message: format!("{what}: {}.", error.message),
        })
    };
    match error.kind {
        ConnectErrorKind::HostKey => at_once(
            FailureClass::SshHostKey,
            "The machine showed another host key than its own",
        ),
        ConnectErrorKind::Unusable => {
            at_once(FailureClass::SshAuth, "Our side of the login is unusable")
        }
        ConnectErrorKind::Auth => Ok((FailureClass::SshAuth, error.message)),
        ConnectErrorKind::Unreachable => Ok((FailureClass::SshConnectTimeout, error.message)),
    }
}

/// Logs in once and looks around. A login that cannot be root is one: the machine is up, and no other
/// attempt will find it otherwise.
async fn enter(
    transport: &dyn Transport,
    reach: &Reach,
) -> Result<(Link, Result<environment::Root, Refused>), ConnectError> {
    let session: Arc<dyn Session> = transport.connect(reach).await?;
    let look = look(&*session).await.map_err(|message| ConnectError {
        kind: ConnectErrorKind::Unreachable,
        message,
    })?;
    let link = Link {
        broken: session.broken_connections(),
        session,
        root: environment::Root::Login,
        boot: look.boot,
    };
    Ok((link, look.root.map_err(|said| no_root(&reach.user, &said))))
}

/// Asks a machine who we are on it and when it booted.
///
/// # Errors
/// What happened instead, as the end of a sentence.
pub(super) async fn look(session: &dyn Session) -> Result<Look, String> {
    let direct = session.exec(command(environment::look_directly())).await;
    let direct = direct.map_err(|error| error.to_string())?;
    if let Some(look) = environment::looked(&direct.stdout.head) {
        return Ok(look);
    }
    // No shell of POSIX, or none that works yet.
    let outcome = session.exec(command(environment::look())).await;
    let outcome = outcome.map_err(|error| error.to_string())?;
    environment::looked(&outcome.stdout.head).ok_or_else(|| {
        let said = [outcome.stderr.head, outcome.stdout.head].concat();
        let said = escape(&said);
        match said.lines().find(|line| !line.trim().is_empty()) {
            Some(line) => format!("the login runs no commands: {}", shorten(line, 200)),
            None => "the login runs no commands".to_owned(),
        }
    })
}

fn no_root(user: &str, said: &str) -> Refused {
    let why = if said.contains("a tty") || said.contains("requiretty") {
        "; `requiretty` is set for it in the machine's sudoers"
    } else {
        ""
    };
    let said = if said.is_empty() {
        "it says nothing"
    } else {
        said
    };
    Refused {
        class: FailureClass::SshNoRoot,
        message: format!(
            "Steps run as root, but the login `{user}` is not root and `sudo -n` does not make it so: {}{why}.",
            shorten(said.trim_end_matches('.'), 200)
        ),
    }
}
