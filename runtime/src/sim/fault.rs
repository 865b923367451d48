//! What goes wrong in a simulation: of a life, of a command. What each does is in the tables of
//! [`super`].

use dva_plan::plan::Machine;

use super::chance::Chance;
use crate::provider::AcquireErrorKind;
use crate::transport::ConnectErrorKind;

/// How often a provider refuses that throttles.
const THROTTLED: u32 = 3;

/// What goes wrong with a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LifeFault {
    Capacity,
    Quota,
    Broken,
    Throttle,
    Stuck,
    Late,
    LostAnswer,
    Twice,
    Silent,
    Auth,
    HostKey,
    NoReturn,
    LostRelease,
    Release,
}

/// What goes wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandFault {
    Hang,
    Stubborn,
    Refused,
    Drop,
    Reboot,
    Panic,
    Spot,
    DiskFull,
}

impl LifeFault {
    /// All of them, with their names in scripts.
    pub(super) const ALL: [(&'static str, Self); 14] = [
        ("capacity", Self::Capacity),
        ("quota", Self::Quota),
        ("broken", Self::Broken),
        ("throttle", Self::Throttle),
        ("stuck", Self::Stuck),
        ("late", Self::Late),
        ("lost_answer", Self::LostAnswer),
        ("twice", Self::Twice),
        ("silent", Self::Silent),
        ("auth", Self::Auth),
        ("host_key", Self::HostKey),
        ("no_return", Self::NoReturn),
        ("lost_release", Self::LostRelease),
        ("release", Self::Release),
    ];

    /// Why no machine is started, when that is asked for the `times`th time, from 1.
    pub(super) fn refusal(self, times: u32) -> Option<(AcquireErrorKind, &'static str)> {
        match self {
            Self::Capacity => Some((AcquireErrorKind::Capacity, "there is none left")),
            Self::Quota => Some((AcquireErrorKind::Quota, "the quota is used up")),
            Self::Broken => Some((AcquireErrorKind::Broken, "something broke")),
            Self::Throttle if times <= THROTTLED => Some((
                AcquireErrorKind::Throttled,
                "request limit exceeded: the provider throttles us",
            )),
            Self::Throttle
            | Self::Stuck
            | Self::Late
            | Self::LostAnswer
            | Self::Twice
            | Self::Silent
            | Self::Auth
            | Self::HostKey
            | Self::NoReturn
            | Self::LostRelease
            | Self::Release => None,
        }
    }

    /// Why a machine that has booted so often since its start lets nobody in.
    pub(super) fn closed(self, boots: u32) -> Option<(ConnectErrorKind, &'static str)> {
        match self {
            Self::Silent => Some((ConnectErrorKind::Unreachable, "nobody answers")),
            Self::NoReturn if boots > 0 => Some((ConnectErrorKind::Unreachable, "nobody answers")),
            Self::Auth => Some((ConnectErrorKind::Auth, "our key is refused")),
            Self::HostKey => Some((
                ConnectErrorKind::HostKey,
                "it is not the one it was started with",
            )),
            Self::NoReturn
            | Self::Capacity
            | Self::Quota
            | Self::Broken
            | Self::Throttle
            | Self::Stuck
            | Self::Late
            | Self::LostAnswer
            | Self::Twice
            | Self::LostRelease
            | Self::Release => None,
        }
    }
}

impl CommandFault {
    /// All of them, with their names in scripts.
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("hang", Self::Hang),
        ("stubborn", Self::Stubborn),
        ("refused", Self::Refused),
        ("drop", Self::Drop),
        ("reboot", Self::Reboot),
        ("panic", Self::Panic),
        ("spot", Self::Spot),
        ("disk_full", Self::DiskFull),
    ];
}

/// Faults at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RandomFaults {
    pub(super) seed: u64,
    /// How many of a thousand lives and commands have one.
    pub(super) permille: u32,
}

impl RandomFaults {
    /// That of a life: any that leaves no machine. Drawn anew for each `other` machine that is asked for once the
    /// first one was not to be had.
    pub(super) fn of_life(
        self,
        cell: &str,
        life: u32,
        other: Option<&Machine>,
    ) -> Option<LifeFault> {
        let mut chance = Chance::new(self.seed).of("life").of(cell).number(life);
        if let Some(other) = other {
            chance = chance.of(&other.region).of(&other.r#type);
        }
        let faults = LifeFault::ALL.map(|(_, fault)| fault).into_iter();
        let faults: Vec<_> = faults
            .filter(|fault| *fault != LifeFault::Release)
            .collect();
        chance.pick(self.permille, &faults)
    }

    /// That of a command of a test.
    pub(super) fn of_command(
        self,
        cell: &str,
        life: u32,
        test: &str,
        run: u32,
    ) -> Option<CommandFault> {
        let life = Chance::new(self.seed).of("command").of(cell).number(life);
        let command = life.of(test).number(run);
        let (_, fault) = command.pick(self.permille, &CommandFault::ALL)?;
        Some(fault)
    }
}
