//! What the error codes of EC2 mean for a run.
//!
//! EC2 says in a code what went wrong and answers with the same few HTTP statuses for all of it, so the code
//! alone decides what is done next. Whether anything *is* done again is the caller's business. Its main type is
//! [`Meaning`].
//!
//! Sources: EC2 API reference, *Error codes for the Amazon EC2 API* and *Request throttling*; EC2 user guide,
//! *Troubleshoot instance launch issues*.

use dva_runtime::provider::AcquireErrorKind;

/// What an error code means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meaning {
    /// There is no such machine to be had now, here: another zone or a smaller number may be.
    Capacity,
    /// The account may not have more of it.
    Quota,
    /// Too many calls: the same call is made again when the bucket has filled up.
    Throttled,
    /// EC2 itself is in trouble: the same call may go well later. Whether it was carried out is not known.
    Transient,
    /// The call is wrong, and always will be: ours, or the plan's or the configuration's.
    Parameters,
    /// The account, or whoever acts for it, may not do this.
    Unauthorised,
    /// EC2 cannot do this with this machine, image or zone at all.
    Unsupported,
    /// What is named does not exist: not any more, or not yet everywhere.
    Gone,
    /// It exists already.
    Exists,
    /// What is named is not in the state for it now, or is in use.
    Busy,
    /// The client token was used before, for a call that was not the same: there may be a machine of it.
    Mismatch,
    /// A code that is not known here.
    Unknown,
}

impl Meaning {
    /// That of a code, as `Error/Code` of an answer has it; `Client.` and `Server.` before it change nothing.
    #[must_use]
    pub fn of(code: &str) -> Self {
        let plain = code
            .strip_prefix("Client.")
            .or_else(|| code.strip_prefix("Server."))
            .unwrap_or(code);
        CODES
            .iter()
            .find(|(_, codes)| codes.contains(&plain))
            .map_or_else(|| Self::by_ending(plain), |(meaning, _)| *meaning)
    }

    /// That of a code which is not listed, by the endings that EC2 gives to its codes.
    fn by_ending(code: &str) -> Self {
        ENDINGS
            .iter()
            .find(|(ending, _)| code.ends_with(ending))
            .map_or(Self::Unknown, |(_, meaning)| *meaning)
    }

    /// Whose trouble it is where a machine could not be started.
    #[must_use]
    pub fn of_acquire(self) -> AcquireErrorKind {
        match self {
            Self::Capacity => AcquireErrorKind::Capacity,
            Self::Quota => AcquireErrorKind::Quota,
            // A call that is repeated has its client token again, so it starts no second machine.
            Self::Throttled | Self::Transient => AcquireErrorKind::Throttled,
            Self::Unsupported => AcquireErrorKind::Unsupported,
            Self::Parameters
            | Self::Unauthorised
            | Self::Gone
            | Self::Exists
            | Self::Busy
            | Self::Mismatch
            | Self::Unknown => AcquireErrorKind::Broken,
        }
    }

    /// Whether the call may have been carried out although it was answered with this.
    #[must_use]
    pub fn may_have_worked(self) -> bool {
        matches!(self, Self::Transient | Self::Mismatch | Self::Unknown)
    }
}

/// The codes that are listed, by what they mean; none stands twice.
const CODES: [(Meaning, &[&str]); 11] = [
    (
        Meaning::Capacity,
        &[
            "InsufficientAddressCapacity",
            "InsufficientCapacity",
            "InsufficientCapacityOnHost",
            "InsufficientFreeAddressesInSubnet",
            "InsufficientHostCapacity",
            "InsufficientInstanceCapacity",
            "InsufficientReservedInstanceCapacity",
            "InsufficientVolumeCapacity",
            "ReservationCapacityExceeded",
            "SpotMaxPriceTooLow",
            "UnfulfillableCapacity",
        ],
    ),
    (
        Meaning::Quota,
        &[
            "ActiveVpcPeeringConnectionPerVpcLimitExceeded",
            "AddressLimitExceeded",
            "ConcurrentCreateImageNoRebootLimitExceeded",
            "DiskImageSizeTooLarge",
            "HostLimitExceeded",
            "InstanceLimitExceeded",
            "MaxIOPSLimitExceeded",
            "MaxSpotInstanceCountExceeded",
            "NetworkInterfaceLimitExceeded",
            "PendingSnapshotLimitExceeded",
            "ResourceLimitExceeded",
            "RulesPerSecurityGroupLimitExceeded",
            "SecurityGroupLimitExceeded",
            "SecurityGroupsPerInstanceLimitExceeded",
            "SecurityGroupsPerInterfaceLimitExceeded",
            "SnapshotLimitExceeded",
            "SubnetLimitExceeded",
            "TagLimitExceeded",
            "VcpuLimitExceeded",
            "VolumeIOPSLimit",
            "VolumeLimitExceeded",
            "VpcLimitExceeded",
        ],
    ),
    (
        Meaning::Throttled,
        &[
            "BandwidthLimitExceeded",
            "EC2ThrottledException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "SnapshotCreationPerVolumeRateExceeded",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
            "VolumeModificationRateExceeded",
        ],
    ),
    (
        Meaning::Transient,
        &[
            "InternalError",
            "InternalFailure",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServiceUnavailable",
            "Unavailable",
        ],
    ),
    (
        Meaning::Parameters,
        &[
            "FilterLimitExceeded",
            "InvalidAction",
            "InvalidAMIName.Malformed",
            "InvalidBlockDeviceMapping",
            "InvalidCharacter",
            "InvalidFilter",
            "InvalidFormat",
            "InvalidInput",
            "InvalidInstanceType",
            "InvalidInterface.IpAddressLimitExceeded",
            "InvalidKey.Format",
            "InvalidNextToken",
            "InvalidPaginationToken",
            "InvalidParameter",
            "InvalidParameterCombination",
            "InvalidParameterDependency",
            "InvalidParameterValue",
            "InvalidQueryParameter",
            "InvalidRequest",
            "InvalidTagKey.Malformed",
            "InvalidUserData.Malformed",
            "InvalidZone.NotFound",
            "MalformedQueryString",
            "MissingAction",
            "MissingInput",
            "MissingParameter",
            "NetworkInterfaceNotFoundException",
            "NetworkInterfaceNotSupported",
            "NonEBSInstance",
            "PrivateIpAddressLimitExceeded",
            "RequestResourceCountExceeded",
            "SecurityGroupsPerInstanceLimit",
            "UnknownParameter",
            "VPCIdNotSpecified",
            "VPCResourceNotSpecified",
            "ValidationError",
            "VolumeTypeNotAvailableInZone",
        ],
    ),
    (
        Meaning::Unauthorised,
        &[
            "AccessDenied",
            "AccessDeniedException",
            "AuthFailure",
            "Blocked",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidClientTokenId",
            "InvalidSecurity.RequestHasExpired",
            "MissingAuthenticationToken",
            "OperationNotPermitted",
            "OptInRequired",
            "PendingVerification",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnauthorizedOperation",
            "UnrecognizedClientException",
        ],
    ),
    (
        Meaning::Unsupported,
        &[
            "Unsupported",
            "UnsupportedHibernationConfiguration",
            "UnsupportedHostConfiguration",
            "UnsupportedInstanceAttribute",
            "UnsupportedOperation",
            "UnsupportedProtocol",
            "UnsupportedTenancy",
        ],
    ),
    (
        Meaning::Gone,
        &[
            "InvalidAMIID.Unavailable",
            "InvalidInstanceID",
            "InvalidInstanceID.NotLinkable",
        ],
    ),
    (
        Meaning::Exists,
        &[
            "InvalidPermission.Duplicate",
            "ResourceAlreadyExists",
            "ResourceAlreadyAssociated",
        ],
    ),
    (
        Meaning::Busy,
        &[
            "DependencyViolation",
            "IncorrectInstanceState",
            "IncorrectModificationState",
            "IncorrectSpotRequestState",
            "IncorrectState",
            "IncorrectStateException",
            "InstanceAlreadyLinked",
            "InvalidDevice.InUse",
            "InvalidGroup.InUse",
            "InvalidInstanceState",
            "InvalidState",
            "InvalidVolume.ZoneMismatch",
            "ResourceInUse",
            "VolumeInUse",
        ],
    ),
    (
        Meaning::Mismatch,
        &[
            "IdempotentInstanceTerminated",
            "IdempotentParameterMismatch",
        ],
    ),
];

/// What the endings of codes mean that are not listed; the first that fits counts.
const ENDINGS: [(&str, Meaning); 10] = [
    (".NotFound", Meaning::Gone),
    (".Duplicate", Meaning::Exists),
    (".InUse", Meaning::Busy),
    (".Malformed", Meaning::Parameters),
    (".Unsupported", Meaning::Unsupported),
    (".Unknown", Meaning::Gone),
    ("NotFoundException", Meaning::Gone),
    ("LimitExceeded", Meaning::Quota),
    ("QuotaExceeded", Meaning::Quota),
    ("Capacity", Meaning::Capacity),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What codes of RunInstances, TerminateInstances and DescribeInstances have to mean, and what a launch
    /// that is answered with them comes to.
    const EXPECTED: [(&str, Meaning, AcquireErrorKind); 33] = {
        use AcquireErrorKind as Kind;
        use Meaning as M;
        [
            ("InsufficientInstanceCapacity", M::Capacity, Kind::Capacity),
            (
                "Server.InsufficientInstanceCapacity",
                M::Capacity,
                Kind::Capacity,
            ),
            (
                "InsufficientFreeAddressesInSubnet",
                M::Capacity,
                Kind::Capacity,
            ),
            ("InsufficientHostCapacity", M::Capacity, Kind::Capacity),
            ("SpotMaxPriceTooLow", M::Capacity, Kind::Capacity),
            (
                "InsufficientSomethingNewCapacity",
                M::Capacity,
                Kind::Capacity,
            ),
            ("VcpuLimitExceeded", M::Quota, Kind::Quota),
            ("InstanceLimitExceeded", M::Quota, Kind::Quota),
            ("MaxSpotInstanceCountExceeded", M::Quota, Kind::Quota),
            ("VolumeLimitExceeded", M::Quota, Kind::Quota),
            ("SomethingNewLimitExceeded", M::Quota, Kind::Quota),
            ("RequestLimitExceeded", M::Throttled, Kind::Throttled),
            ("Client.RequestLimitExceeded", M::Throttled, Kind::Throttled),
            ("Throttling", M::Throttled, Kind::Throttled),
            ("InternalError", M::Transient, Kind::Throttled),
            ("Unavailable", M::Transient, Kind::Throttled),
            ("ServiceUnavailable", M::Transient, Kind::Throttled),
            ("InvalidParameterValue", M::Parameters, Kind::Broken),
            ("InvalidAMIID.Malformed", M::Parameters, Kind::Broken),
            ("VPCResourceNotSpecified", M::Parameters, Kind::Broken),
            ("UnauthorizedOperation", M::Unauthorised, Kind::Broken),
            ("AuthFailure", M::Unauthorised, Kind::Broken),
            ("PendingVerification", M::Unauthorised, Kind::Broken),
            ("OptInRequired", M::Unauthorised, Kind::Broken),
            ("Unsupported", M::Unsupported, Kind::Unsupported),
            ("UnsupportedOperation", M::Unsupported, Kind::Unsupported),
            ("InvalidInstanceID.NotFound", M::Gone, Kind::Broken),
            ("InvalidSubnetID.NotFound", M::Gone, Kind::Broken),
            ("InvalidKeyPair.Duplicate", M::Exists, Kind::Broken),
            ("IncorrectInstanceState", M::Busy, Kind::Broken),
            ("DependencyViolation", M::Busy, Kind::Broken),
            ("IdempotentParameterMismatch", M::Mismatch, Kind::Broken),
            ("NobodyKnowsThis", M::Unknown, Kind::Broken),
        ]
    };

    #[test]
    fn codes_mean_what_the_documentation_says() {
        for (code, meaning, kind) in EXPECTED {
            assert_eq!(Meaning::of(code), meaning, "{code}");
            assert_eq!(Meaning::of(code).of_acquire(), kind, "{code}");
        }
    }

    #[test]
    fn no_code_stands_twice_and_none_is_hidden_by_a_prefix() {
        let mut seen = BTreeSet::new();
        for (meaning, codes) in CODES {
            for code in codes {
                assert!(seen.insert(*code), "{code} stands twice");
                assert_eq!(Meaning::of(code), meaning, "{code}");
                assert_eq!(Meaning::of(&format!("Client.{code}")), meaning, "{code}");
            }
        }
    }

    #[test]
    fn a_listed_code_is_one_that_its_ending_does_not_explain() {
        // What contradicts its ending has to be listed; these do.
        for code in [
            "RequestLimitExceeded",
            "FilterLimitExceeded",
            "InvalidZone.NotFound",
        ] {
            assert_ne!(Meaning::of(code), Meaning::by_ending(code), "{code}");
        }
    }

    #[test]
    fn only_a_code_that_leaves_it_open_may_hide_a_machine() {
        let open = [Meaning::Transient, Meaning::Mismatch, Meaning::Unknown];
        for (meaning, _) in CODES {
            assert_eq!(
                meaning.may_have_worked(),
                open.contains(&meaning),
                "{meaning:?}"
            );
        }
    }
}
