//! The first boot of a machine: what it does by itself before anything may be done there.

use tokio::time::{Instant, timeout_at};
use tracing::info;

use dva_plan::FailureClass;

use super::{Link, Refused, command};
use crate::environment;
use crate::excerpt::{escape, shorten};
use crate::transport::ExecError;

/// How a first boot went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Booted {
    /// As it should; or there was nothing to do.
    Well,
    /// Not all of it, as the sentence says. The plan's tests judge whether that matters.
    With(String),
}

/// Waits until cloud-init is done on a machine, until `deadline` at most. One without it is ready.
///
/// # Errors
/// [`WaitError`].
pub(super) async fn wait_for_cloud_init(
    link: &Link,
    deadline: Instant,
) -> Result<Booted, WaitError> {
    let began = Instant::now();
    let wait = command(environment::wait_for_cloud_init(link.root));
    let outcome = timeout_at(deadline, link.session.exec(wait)).await;
    let outcome = outcome.map_err(|_| {
        WaitError::Late(Refused {
            class: FailureClass::BootCloudInit,
            message:
                "The machine let us in, but cloud-init was not done when its time to boot was over."
                    .to_owned(),
        })
    })?;
    let outcome = outcome.map_err(WaitError::Broken)?;
    let booted = judge(&escape(&outcome.stdout.head));
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(target: "dva", ms, ?booted, "cloud-init was waited for");
    Ok(booted)
}

/// Why nobody waits on.
#[derive(Debug)]
pub(super) enum WaitError {
    /// It was not done in time.
    Late(Refused),
    /// The connection broke: a machine that configures itself may do that.
    Broken(ExecError),
}

/// What the machine has said means.
fn judge(said: &str) -> Booted {
    let said = said.trim();
    if said == "absent" {
        return Booted::Well;
    }
    let (code, words) = said.split_once('\n').unwrap_or((said, ""));
    let how = match code {
        "0" => return Booted::Well,
        // Source: cloud-init, *CLI commands*, `status`: since 23.4.
        "2" => "has recovered from errors".to_owned(),
        "1" => "has failed".to_owned(),
        "" => "does not say how it ended".to_owned(),
        code => format!("does not say how it ended: its `status` exits {code}"),
    };
    // While it waits it prints dots, and nothing of them is worth telling.
    let words: Vec<_> = words
        .lines()
        .map(|line| line.trim_matches(|letter: char| letter == '.' || letter.is_whitespace()))
        .filter(|line| !line.is_empty())
        .collect();
    let words = match words.is_empty() {
        true => String::new(),
        false => format!(": {}", shorten(&words.join("; "), 500)),
    };
    Booted::With(format!("cloud-init {how}{words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cloud_init_says_is_told() {
        let with = |text: &str| Booted::With(text.to_owned());
        let recoverable = "2\n\n....\nstatus: done\nextended_status: degraded done\nerrors: []\n";
        let cases = [
            ("absent\n", Booted::Well),
            ("0\n....\nstatus: done\n", Booted::Well),
            ("0\nstatus: disabled\n", Booted::Well),
            (
                recoverable,
                with(
                    "cloud-init has recovered from errors: status: done; extended_status: degraded done; errors: []",
                ),
            ),
            (
                "1\nstatus: error\n",
                with("cloud-init has failed: status: error"),
            ),
            ("1\n", with("cloud-init has failed")),
            (
                "127\n",
                with("cloud-init does not say how it ended: its `status` exits 127"),
            ),
            ("", with("cloud-init does not say how it ended")),
        ];
        for (said, booted) in cases {
            assert_eq!(judge(said), booted, "{said}");
        }
    }
}
