//! Logging in to a machine that may still be booting.
//!
//! A login counts once it has run a command: that of [`environment::look`], which tells whether we are
//! root and which boot this is. Where an image has several accounts, the first counts that does so.

use std::sync::Arc;
use std::time::Duration;

use dva_plan::FailureClass;
use dva_plan::unit::display_duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{CLOSING, Link, command};
use crate::environment::{self, Look};
use crate::excerpt::{escape, shorten};
use crate::transport::{ConnectError, ConnectErrorKind, ExecOutcome, Reach, Session, Transport};

/// The pauses between attempts: local machines are up within milliseconds, so the first is short.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(20);

/// What an account says that is not meant for logins, where cloud-init has made the image's.
///
/// Source: cloud-init, `disable_root_opts`: `Please login as the user "…" rather than the user "root".`
const GREETING: &str = "lease login as the user";

/// A machine that would not let us in.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub class: FailureClass,
    /// Why, in a sentence.
    pub message: String,
}

/// A machine that has let us in.
struct Entered {
    link: Link,
    /// How we are root there, or why we are not.
    root: Result<environment::Root, Refused>,
}

/// An attempt that did not work, and that another one may follow.
struct Closed {
    class: FailureClass,
    /// What happened, as the end of a sentence.
    message: String,
    /// Whether it was the user who was refused, so that another one may be let in.
    is_of_user: bool,
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
        let (class, message) = match enter_as_any(transport, reach, deadline).await? {
            Ok(Entered { link, root }) => {
                if before.is_none() || link.boot.as_deref() != before {
                    return root.map(|root| Link { root, ..link });
                }
                let _ = timeout(CLOSING, link.session.close()).await;
                let message = "it has not booted again".to_owned();
                (FailureClass::Reboot, message)
            }
            Err(closed) => (closed.class, closed.message),
        };
        let left = |now: Instant| deadline.saturating_duration_since(now);
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

/// Tries one user after the other until the machine lets one in. Every attempt goes through all of them:
/// while a machine boots it may refuse the right one.
///
/// # Errors
/// Where no attempt can help any more.
async fn enter_as_any(
    transport: &dyn Transport,
    reach: &Reach,
    deadline: Instant,
) -> Result<Result<Entered, Closed>, Refused> {
    let mut refusals: Vec<(&str, Closed)> = Vec::new();
    for user in &reach.users {
        let until = deadline.min(Instant::now() + ATTEMPT);
        match enter(transport, &reach.for_user(user), until).await? {
            Err(closed) if closed.is_of_user => refusals.push((user, closed)),
            // Nobody answers, so nobody would answer another user either.
            entered => return Ok(entered),
        }
    }
    Ok(Err(refusal_of_all(refusals)))
}

/// What to say where every user was refused.
fn refusal_of_all(mut refusals: Vec<(&str, Closed)>) -> Closed {
    match refusals.len() {
        0 => Closed {
            class: FailureClass::SshAuth,
            message: "there is nobody to log in as".to_owned(),
            is_of_user: true,
        },
        1 => refusals.remove(0).1,
        _ => {
            let of_user = |closed: &Closed| closed.class == FailureClass::SshAuth;
            let is_refused = refusals.iter().any(|(_, closed)| of_user(closed));
            let each = refusals.iter();
            let each = each.map(|(user, closed)| format!("as `{user}`: {}", closed.message));
            Closed {
                class: match is_refused {
                    true => FailureClass::SshAuth,
                    false => FailureClass::SshConnectTimeout,
                },
                message: each.collect::<Vec<_>>().join("; "),
                is_of_user: true,
            }
        }
    }
}

/// Logs in once, as the user of `reach`, and looks around. A login that cannot be root is one: the machine
/// is up, and no other attempt will find it otherwise.
///
/// # Errors
/// Where no other attempt can help.
async fn enter(
    transport: &dyn Transport,
    reach: &Reach,
    until: Instant,
) -> Result<Result<Entered, Closed>, Refused> {
    let silent = |message: String, is_of_user| Closed {
        class: FailureClass::SshConnectTimeout,
        message,
        is_of_user,
    };
    let no_answer = || "the machine does not answer".to_owned();
    let session: Arc<dyn Session> = match timeout_at(until, transport.connect(reach)).await {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => return refusal(error).map(Err),
        Err(_) => return Ok(Err(silent(no_answer(), false))),
    };
    // An account that is not meant for logins may let us in, say which one is, and end or wait.
    let look = match timeout_at(until, look(&*session)).await {
        Ok(Ok(look)) => look,
        told => {
            let _ = timeout(CLOSING, session.close()).await;
            let message = told.map_or_else(|_| no_answer(), |told| told.err().unwrap_or_default());
            let is_greeting = message.contains(GREETING);
            let mut closed = silent(message, true);
            if is_greeting {
                closed.class = FailureClass::SshAuth;
            }
            return Ok(Err(closed));
        }
    };
    let link = Link {
        broken: session.broken_connections(),
        session,
        user: reach.user().to_owned(),
        root: environment::Root::Login,
        boot: look.boot,
    };
    let root = look.root.map_err(|said| no_root(&link.user, &said));
    Ok(Ok(Entered { link, root }))
}

/// What to say of a login that did not work, should it be the last; at once where no other can.
fn refusal(error: ConnectError) -> Result<Closed, Refused> {
    let at_once = |class, what: &str| {
        Err(Refused {
            class,
            message: format!("{what}: {}.", error.message),
        })
    };
    let (class, is_of_user) = match error.kind {
        ConnectErrorKind::HostKey => {
            return at_once(
                FailureClass::SshHostKey,
                "The machine showed another host key than its own",
            );
        }
        ConnectErrorKind::Unusable => {
            return at_once(FailureClass::SshAuth, "Our side of the login is unusable");
        }
        ConnectErrorKind::Auth => (FailureClass::SshAuth, true),
        ConnectErrorKind::Unreachable => (FailureClass::SshConnectTimeout, false),
    };
    Ok(Closed {
        class,
        message: error.message,
        is_of_user,
    })
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
    // It would say so again, and take its time: images let it wait ten seconds.
    if escape(&direct.stdout.head).contains(GREETING) {
        return Err(no_commands(&direct));
    }
    // No shell of POSIX, or none that works yet.
    let outcome = session.exec(command(environment::look())).await;
    let outcome = outcome.map_err(|error| error.to_string())?;
    environment::looked(&outcome.stdout.head).ok_or_else(|| no_commands(&outcome))
}

fn no_commands(outcome: &ExecOutcome) -> String {
    let said = [outcome.stderr.head.as_slice(), &outcome.stdout.head].concat();
    let said = escape(&said);
    match said.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("the login runs no commands: {}", shorten(line, 200)),
        None => "the login runs no commands".to_owned(),
    }
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
