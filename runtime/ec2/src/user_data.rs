//! User data: what the plan gives to a machine, and the timer that ends the machine whoever is still there.
//!
//! The timer is the one thing that dva changes of a machine under test. It goes in as a *boothook* of cloud-init, which
//! runs early at every boot and has nothing that other user data could merge with or overwrite. User data of the
//! plan's own goes beside it, byte for byte, in a MIME message of two parts. What could not be put there without a
//! change to what it means is refused.
//!
//! Sources: cloud-init documentation, *User-data formats*; that a text with `MIME-Version:` among its first 4,096
//! bytes is a message, that parts may be messages of several parts again, and that a boothook is waited for
//! until nobody has its output open: cloud-init's sources (`user_data.py`, `handlers/boot_hook.py`). EC2 user guide,
//! *Run commands at launch* (16 KiB).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding};
use thiserror::Error;

/// The most bytes of user data that EC2 takes, before they are encoded for it.
pub const LIMIT: usize = 16_384;

/// When a machine ends itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// At this time. A reboot, or a clock that is set, makes it no later than `lifetime` after a boot.
    pub at: SystemTime,
    /// So long after it was launched, which is what `at` was made of.
    pub lifetime: Duration,
}

/// User data that cannot be given to a machine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UserDataError {
    /// It is compressed: whether a timer can go beside it is not seen.
    #[error(
        "the user data is compressed, and the timer that ends the machine cannot go beside it; give it as it is \
         before compression"
    )]
    Compressed,
    /// It is nothing that cloud-init takes, so nobody would set the timer.
    #[error(
        "the user data is not in a form of cloud-init's, and the timer that ends the machine cannot go beside it"
    )]
    Foreign,
    /// There is too much of it.
    #[error(
        "the user data is {bytes} bytes with the timer that ends the machine, and EC2 takes {LIMIT}"
    )]
    TooLarge {
        /// How much it is.
        bytes: usize,
    },
}

/// The user data of a machine: `own`, with `timer`.
///
/// # Errors
/// [`UserDataError`]. Without a timer, only for its size.
pub fn user_data(
    own: Option<&[u8]>,
    timer: Option<Timer>,
) -> Result<Option<Vec<u8>>, UserDataError> {
    let bytes = match (own, timer) {
        (None, None) => return Ok(None),
        (Some(own), None) => own.to_vec(),
        (None, Some(timer)) => boothook(timer).into_bytes(),
        (Some(own), Some(timer)) => message(&boothook(timer), own)?,
    };
    if bytes.len() > LIMIT {
        return Err(UserDataError::TooLarge { bytes: bytes.len() });
    }
    Ok(Some(bytes))
}

/// Where the script says that the timer runs.
const TIMER_FILE: &str = "/run/dva-timer";

/// The script that sets the timer. It counts by a clock that nobody can set, from what is left at each boot; who ends its
/// `sleep` alone does not end the machine.
fn boothook(timer: Timer) -> String {
    let at = timer
        .at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let lifetime = timer.lifetime.as_secs().max(1);
    format!(
        "#cloud-boothook\n\
         #!/bin/sh\n\
         # dva ends this machine when its time is over, whoever is still there.\n\
         PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin\n\
         left=$(({at} - $(date +%s)))\n\
         [ \"$left\" -le {lifetime} ] || left={lifetime}\n\
         [ \"$left\" -ge 1 ] || left=1\n\
         read -r up _ </proc/uptime\n\
         end=$((${{up%%.*}} + left))\n\
         (\n\
         trap '' HUP\n\
         while read -r up _ </proc/uptime && rest=$((end - ${{up%%.*}})) && [ \"$rest\" -gt 0 ]; do\n\
         [ \"$rest\" -le 30 ] || rest=30\n\
         sleep \"$rest\"\n\
         done\n\
         timeout 30 poweroff -f\n\
         echo o >/proc/sysrq-trigger\n\
         ) </dev/null >/dev/null 2>&1 &\n\
         echo $! >{TIMER_FILE}\n"
    )
}

/// What cloud-init takes user data for.
enum Form {
    /// A MIME message, with headers of its own.
    Message,
    /// A part of this type.
    Part(&'static str),
}

/// How the forms of cloud-init begin.
const BEGINNINGS: [(&str, &str); 9] = [
    ("#!", "text/x-shellscript"),
    ("#cloud-config-archive", "text/cloud-config-archive"),
    ("#cloud-config-jsonp", "text/cloud-config-jsonp"),
    ("#cloud-config", "text/cloud-config"),
    ("#cloud-boothook", "text/cloud-boothook"),
    ("#include-once", "text/x-include-once-url"),
    ("#include", "text/x-include-url"),
    ("#part-handler", "text/part-handler"),
    ("## template: jinja", "text/jinja2"),
];

fn form(own: &[u8]) -> Result<Form, UserDataError> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    /// How far cloud-init looks for the header.
    const HEAD: usize = 4_096;
    if own.starts_with(&GZIP) {
        return Err(UserDataError::Compressed);
    }
    let head = own[..own.len().min(HEAD)].to_ascii_lowercase();
    if contains(&head, b"mime-version:") {
        return Ok(Form::Message);
    }
    let found = BEGINNINGS
        .iter()
        .find(|(beginning, _)| own.starts_with(beginning.as_bytes()));
    found
        .map(|(_, r#type)| Form::Part(r#type))
        .ok_or(UserDataError::Foreign)
}

/// A MIME message of the script and of `own`.
fn message(boothook: &str, own: &[u8]) -> Result<Vec<u8>, UserDataError> {
    let form = form(own)?;
    let boundary = boundary(own);
    let mut message = format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\n\
         MIME-Version: 1.0\n\
         \n\
         --{boundary}\n\
         Content-Type: text/cloud-boothook; charset=\"us-ascii\"\n\
         \n\
         {boothook}\n\
         --{boundary}\n"
    )
    .into_bytes();
    match form {
        Form::Message => message.extend_from_slice(own),
        Form::Part(r#type) => {
            let encoded = Base64::encode_string(own);
            let headers = format!("Content-Type: {type}\nContent-Transfer-Encoding: base64\n\n");
            message.extend_from_slice(headers.as_bytes());
            for line in encoded.as_bytes().chunks(LINE) {
                message.extend_from_slice(line);
                message.push(b'\n');
            }
        }
    }
    message.extend_from_slice(format!("\n--{boundary}--\n").as_bytes());
    Ok(message)
}

/// The longest line of a part in base64. Source: RFC 2045, section 6.8.
const LINE: usize = 76;

/// A line that `own` does not hold.
fn boundary(own: &[u8]) -> String {
    let mut number = 0_u32;
    loop {
        let boundary = format!("dva-{number}");
        if !contains(own, boundary.as_bytes()) {
            return boundary;
        }
        number += 1;
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer() -> Timer {
        Timer {
            at: UNIX_EPOCH + Duration::from_secs(1_795_885_200),
            lifetime: Duration::from_secs(3_600),
        }
    }

    fn text(own: &[u8]) -> String {
        let bytes = user_data(Some(own), Some(timer())).expect("it fits");
        String::from_utf8(bytes.expect("there is some")).expect("it is text")
    }

    #[test]
    fn a_machine_without_user_data_gets_the_timer_alone() {
        let bytes = user_data(None, Some(timer())).expect("it fits");
        let text = String::from_utf8(bytes.expect("there is some")).expect("it is text");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_script_goes_beside_the_timer() {
        insta::assert_snapshot!(text(b"#!/bin/sh\necho hello >/etc/hello\n"));
    }

    #[test]
    fn a_message_stays_a_message() {
        insta::assert_snapshot!(text(
            b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"dva-0\"\n\n--dva-0\n\
              Content-Type: text/cloud-config\n\n#cloud-config\npackages: [tmux]\n--dva-0--\n"
        ));
    }

    #[test]
    fn forms_are_told_by_how_they_begin() {
        let types = [
            (&b"#cloud-config\nruncmd: []\n"[..], "text/cloud-config"),
            (b"#cloud-config-archive\n", "text/cloud-config-archive"),
            (b"#include\nhttp://example.com/\n", "text/x-include-url"),
            (
                b"#include-once\nhttp://example.com/\n",
                "text/x-include-once-url",
            ),
            (b"#cloud-boothook\n#!/bin/sh\n", "text/cloud-boothook"),
            (b"## template: jinja\n#cloud-config\n", "text/jinja2"),
        ];
        for (own, r#type) in types {
            let header = format!("Content-Type: {type}\nContent-Transfer-Encoding");
            assert!(text(own).contains(&header), "{type}");
        }
    }

    #[test]
    fn what_would_lose_the_timer_is_refused() {
        let refused = |own: &[u8]| user_data(Some(own), Some(timer())).expect_err("it is refused");
        assert_eq!(refused(&[0x1f, 0x8b, 8, 0]), UserDataError::Compressed);
        assert_eq!(refused(b"{\"ignition\": {}}"), UserDataError::Foreign);
        assert_eq!(refused(b"<powershell>"), UserDataError::Foreign);
        let much = [&b"#!/bin/sh\n"[..], &[b'#'; LIMIT]].concat();
        assert!(matches!(refused(&much), UserDataError::TooLarge { bytes } if bytes > LIMIT));
    }

    #[test]
    fn without_a_timer_user_data_stays_as_it_is() {
        let own = [0x1f, 0x8b, 8, 0];
        assert_eq!(user_data(Some(&own), None), Ok(Some(own.to_vec())));
        assert_eq!(user_data(None, None), Ok(None));
        let much = vec![b'#'; LIMIT + 1];
        let bytes = much.len();
        assert_eq!(
            user_data(Some(&much), None),
            Err(UserDataError::TooLarge { bytes })
        );
    }

    /// Runs the script in a real shell, with programs beside it that only say how they were called.
    #[test]
    fn the_script_waits_for_what_is_left_and_then_ends_the_machine() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().expect("a folder");
        let program = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a program");
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&path, mode).expect("a program");
        };
        let said = folder.path().join("said");
        // Time passes by as much as is slept.
        let uptime = folder.path().join("uptime");
        program(
            "sleep",
            &format!(
                "echo sleep $* >>{}; read -r up _ <{1}; echo $((${{up%%.*}} + $1)).25 1 >{1}",
                said.display(),
                uptime.display()
            ),
        );
        program(
            "poweroff",
            &format!("echo poweroff $* >>{}", said.display()),
        );

        for (now, left) in [
            (1_795_885_100, 100),
            (1_795_880_000, 3_600),
            (1_795_885_201, 1),
            (0, 3_600),
        ] {
            let _ = std::fs::remove_file(&said);
            program("date", &format!("echo {now}"));
            let uptime = folder.path().join("uptime");
            std::fs::write(&uptime, "7.25 1.00\n").expect("a file");
            // Never the real switch, whatever else goes wrong here.
            let script = boothook(timer())
                .replace("/proc/sysrq-trigger", "/dev/null")
                .replace("/proc/uptime", &uptime.display().to_string())
                .replace(
                    TIMER_FILE,
                    &folder.path().join("timer").display().to_string(),
                );
            program("script", &script);
            let path = format!("{}:/usr/bin:/bin", folder.path().display());
            let ended = std::process::Command::new("/bin/sh")
                .arg(folder.path().join("script"))
                .env("PATH", path)
                .output()
                .expect("a shell");
            assert!(ended.status.success(), "{ended:?}");
            // It sleeps in parts; what was slept is what was left.
            let mut slept = 0;
            let mut text = String::new();
            for _ in 0..1_000 {
                text = std::fs::read_to_string(&said).unwrap_or_default();
                let parts = text.lines().filter_map(|line| line.strip_prefix("sleep "));
                slept = parts.filter_map(|part| part.parse::<u64>().ok()).sum();
                if text.ends_with("poweroff -f\n") {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(text.ends_with("poweroff -f\n"), "{text}");
            assert_eq!(slept, left, "at {now}");
        }
    }
}
