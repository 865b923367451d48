//! Failure classes: stable names for the ways in which a test run fails or is not judged.
//!
//! One registry. Each class has a page in `classes/`, shown by `dva explain NAME`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares the registry: each class with its stable name and its page.
macro_rules! define_classes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// A way in which a test run fails or is not judged. Serializes as its stable name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum FailureClass {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl FailureClass {
            /// All classes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The page that `dva explain` shows, in Markdown.
            #[must_use]
            pub fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!("../classes/", $name, ".md")),)*
                }
            }
        }
    };
}

define_classes! {
    /// The machine was not done with its first boot in time.
    BootCloudInit = "boot.cloud_init";
    /// A value that an expression needs could not be computed.
    Evaluation = "evaluation";
    /// A command's output was larger than a capture may be.
    CaptureSize = "capture.size";
    /// A command's output is not what the capture expects.
    CaptureParse = "capture.parse";
    /// A check was false.
    Check = "check";
    /// A table has no entry for the cell, and the author says that this is a failure.
    Data = "data";
    /// A command ended otherwise than expected.
    Expect = "expect";
    /// A step of `finally` failed.
    Finally = "finally";
    /// The machine does not answer any more, and its kernel was stuck.
    GuestLockup = "guest.lockup";
    /// The machine does not answer any more, and its memory was used up.
    GuestOom = "guest.oom";
    /// The machine's kernel gave up.
    GuestPanic = "guest.panic";
    /// The machine rebooted by itself.
    GuestRebooted = "guest.rebooted";
    /// A step took longer than its limit.
    LimitStep = "limit.step";
    /// A test took longer than its limit.
    LimitTest = "limit.test";
    /// The provider could not start the machine.
    MachineAcquire = "machine.acquire";
    /// The provider took the machine back.
    MachineInterrupted = "machine.interrupted";
    /// The machine ended by itself.
    MachineLost = "machine.lost";
    /// The provider could not do what a step asked of it.
    Provider = "provider";
    /// The machine did not come back from a reboot, stop or start.
    Reboot = "reboot";
    /// The run folder could not be written.
    RunFolder = "run.folder";
    /// A test that was repeated to prepare a life did not pass.
    Setup = "setup";
    /// The machine refused our key.
    SshAuth = "ssh.auth";
    /// SSH did not answer in time after the machine was started.
    SshConnectTimeout = "ssh.connect_timeout";
    /// The machine showed another host key than it was started with.
    SshHostKey = "ssh.host_key";
    /// The connection broke while a command ran.
    SshLost = "ssh.lost";
    /// The login is not root and cannot become root.
    SshNoRoot = "ssh.no_root";
    /// The machine would not start a command.
    SshRefused = "ssh.refused";
    /// A file could not be put onto the machine or fetched from it.
    Transfer = "transfer";
    /// What a step waited for did not come.
    Wait = "wait";
}

impl FailureClass {
    /// Whether the machine itself has said on its console what was wrong with it: charged to the image also where
    /// no test had begun.
    #[must_use]
    pub fn is_of_console(self) -> bool {
        matches!(self, Self::GuestLockup | Self::GuestOom | Self::GuestPanic)
    }

    /// The class with this stable name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|class| class.name() == name)
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_opens_with_its_name_and_says_what_to_do() {
        for class in FailureClass::ALL {
            let page = class.page();
            assert!(page.starts_with(&format!("# {class}\n")), "{class}");
            assert!(page.contains("\n## What to do\n"), "{class}");
            assert_eq!(FailureClass::named(class.name()), Some(*class));
        }
    }
}
