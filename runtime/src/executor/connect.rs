//! Logging in to a machine that may still be booting.

use std::sync::Arc;
use std::time::Duration;

use dva_plan::FailureClass;
use dva_plan::unit::display_duration;
use tokio::time::{Instant, sleep, timeout};

use crate::transport::{ConnectError, ConnectErrorKind, Reach, Session, Transport};

/// The pauses between attempts: local machines are up within milliseconds, so the first is short.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(20);

/// Logs in, again and again for as long as that can help, at most `limit`.
pub(super) async fn connect(
    transport: &dyn Transport,
    reach: &Reach,
    limit: Duration,
) -> Result<Arc<dyn Session>, (FailureClass, String)> {
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = |now: Instant| deadline.saturating_duration_since(now);
        let attempt = timeout(left(Instant::now()).min(ATTEMPT), transport.connect(reach));
        let error = match attempt.await {
            Ok(Ok(session)) => return Ok(session),
            Ok(Err(error)) => error,
            Err(_) => ConnectError {
                kind: ConnectErrorKind::Unreachable,
                message: "the machine does not answer".to_owned(),
            },
        };
        let message = error.message;
        let class = match error.kind {
            ConnectErrorKind::HostKey => {
                return Err((
                    FailureClass::SshHostKey,
                    format!("The machine showed another host key than its own: {message}."),
                ));
            }
            ConnectErrorKind::Unusable => {
                return Err((
                    FailureClass::SshAuth,
                    format!("Our side of the login is unusable: {message}."),
                ));
            }
            ConnectErrorKind::Auth => FailureClass::SshAuth,
            ConnectErrorKind::Unreachable => FailureClass::SshConnectTimeout,
        };
        sleep(pause.min(left(Instant::now()))).await;
        if left(Instant::now()).is_zero() {
            let limit = display_duration(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
            return Err((
                class,
                format!("The machine did not let us in within {limit}: {message}."),
            ));
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
