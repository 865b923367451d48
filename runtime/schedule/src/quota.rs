//! How much an account may have running in a region, and how fast it may launch: as data.
//!
//! Real values are read from the account; [`Quotas::of_new_account`] has what is documented for a new one.
//! Nothing is limited that is not named. Its main type is [`Quotas`].

use std::collections::BTreeMap;
use std::fmt;

use dva_plan::plan::Machine;

/// The limits of an account on a provider of the cloud. Machines of this host have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// The virtual processors that may run at once, instances that are `pending` counted, by region and
    /// class.
    pub vcpus: BTreeMap<(String, QuotaClass), u32>,
    /// The same for regions that are not named.
    pub vcpus_elsewhere: BTreeMap<QuotaClass, u32>,
    /// How fast instances may be launched in each region.
    pub launches: Option<LaunchRate>,
}

/// Machines whose virtual processors are counted together.
///
/// Source: EC2 user guide, *On-Demand Instance quotas*: one quota for the families A, C, D, H, I, M, R, T and
/// Z, and one for each of the others. Spot instances have quotas of their own of the same classes, which
/// are not told apart here: a run buys in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QuotaClass {
    /// A, C, D, H, I, M, R, T, Z.
    Standard,
    /// DL.
    Dl,
    /// F.
    F,
    /// G and VT.
    G,
    /// HPC.
    Hpc,
    /// High memory: U.
    HighMemory,
    /// Inf.
    Inf,
    /// P.
    P,
    /// Trn.
    Trn,
    /// X.
    X,
}

/// Two token buckets, as `RunInstances` has them: one for calls and one for the instances they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchRate {
    /// Calls.
    pub requests: Bucket,
    /// Instances.
    pub instances: Bucket,
    /// The most instances of one call; lives that begin at once on machines of one type, with one image and
    /// one boot, are asked for together.
    pub instances_a_request: u32,
}

/// So much at once, and then so much a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// What is there at the beginning and at most.
    pub capacity: u32,
    /// What comes back each second; at least 1.
    pub refill_a_second: u32,
}

impl LaunchRate {
    /// What Amazon documents for every account.
    ///
    /// Sources: EC2 API reference, *Request throttling* (5 and 2 a second for calls, 1,000 and 2 a second for
    /// instances); *RunInstances* (no more than 100 instances a call are advised).
    #[must_use]
    pub fn of_run_instances() -> Self {
        Self {
            requests: Bucket {
                capacity: 5,
                refill_a_second: 2,
            },
            instances: Bucket {
                capacity: 1_000,
                refill_a_second: 2,
            },
            instances_a_request: 100,
        }
    }
}

impl Quotas {
    /// What a new account has: 5 virtual processors of the standard class in each region and none of the
    /// others, and the rate of launches of all accounts.
    ///
    /// Source: Service Quotas, `L-1216C47A`, whose default value is 5.
    #[must_use]
    pub fn of_new_account() -> Self {
        let elsewhere = QuotaClass::ALL.into_iter().map(|class| match class {
            QuotaClass::Standard => (class, 5),
            _ => (class, 0),
        });
        Self {
            vcpus: BTreeMap::new(),
            vcpus_elsewhere: elsewhere.collect(),
            launches: Some(LaunchRate::of_run_instances()),
        }
    }

    /// How many virtual processors of `class` may run in `region`; `None` where nothing limits them.
    #[must_use]
    pub fn vcpus_in(&self, region: &str, class: QuotaClass) -> Option<u32> {
        if region == "local" {
            return None;
        }
        let named = self.vcpus.get(&(region.to_owned(), class));
        named.or_else(|| self.vcpus_elsewhere.get(&class)).copied()
    }

    /// Whether `machine` may be had at all, if nothing else runs.
    #[must_use]
    pub fn allow(&self, machine: &Machine) -> bool {
        let most = self.vcpus_in(&machine.region, QuotaClass::of(machine));
        most.is_none_or(|most| machine.vcpus <= most)
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

impl QuotaClass {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Standard,
        Self::Dl,
        Self::F,
        Self::G,
        Self::Hpc,
        Self::HighMemory,
        Self::Inf,
        Self::P,
        Self::Trn,
        Self::X,
    ];

    /// That of `machine`, by the letters with which its type begins; what is not known is standard.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let r#type = machine.r#type.as_str();
        let letters = r#type.find(|letter: char| !letter.is_ascii_lowercase());
        match &r#type[..letters.unwrap_or(r#type.len())] {
            "dl" => Self::Dl,
            "f" => Self::F,
            "g" | "gr" | "vt" => Self::G,
            "hpc" => Self::Hpc,
            "u" => Self::HighMemory,
            "inf" => Self::Inf,
            "p" => Self::P,
            "trn" => Self::Trn,
            "x" => Self::X,
            _ => Self::Standard,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Dl => "DL",
            Self::F => "F",
            Self::G => "G and VT",
            Self::Hpc => "HPC",
            Self::HighMemory => "high memory",
            Self::Inf => "Inf",
            Self::P => "P",
            Self::Trn => "Trn",
            Self::X => "X",
        }
    }
}

impl fmt::Display for QuotaClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
