//! Asking a provider again that takes no more calls for now.
//!
//! How long a life may take to get its machine in all is its caller's business.

use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use crate::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, MachineRequest, MachineToken, Provider,
};

/// How often a provider is asked for one machine.
const ATTEMPTS: u32 = 10;
/// The longest that the first pause may be; each further one may be twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Starts a machine; asks again, after pauses that get longer, where the provider is
/// [throttled](AcquireErrorKind::Throttled).
pub(super) async fn acquire(
    provider: &dyn Provider,
    request: &MachineRequest,
) -> Result<AcquiredMachine, AcquireError> {
    let mut longest = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match provider.acquire(request).await {
            Err(error) if error.kind == AcquireErrorKind::Throttled => {
                debug!(target: "dva", token = %request.token, %error, "asked again later");
                sleep(pause(longest, &request.token)).await;
                longest = (longest * 2).min(LONGEST_PAUSE);
            }
            answer => return answer,
        }
    }
    provider.acquire(request).await
}

/// Between half of `longest` and all of it, by the token: lives that were refused together do not come back
/// together, and a simulated run takes the same time again.
fn pause(longest: Duration, token: &MachineToken) -> Duration {
    const STEPS: u32 = 64;
    let sum = token.as_str().bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    longest / 2 + longest / 2 * (sum % STEPS) / STEPS
}
