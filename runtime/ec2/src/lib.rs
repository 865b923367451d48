//! Machines that are EC2 instances.
//!
//! | part | does |
//! |---|---|
//! | [`provider`] | starts machines and ends them: [`Ec2Provider`] |
//! | [`config`] | says what machines are started with |
//! | [`request`] | makes the call that launches machines |
//! | [`user_data`](mod@user_data) | puts the timer that ends a machine beside the plan's own user data |
//! | [`doctor`] | looks at what a plan needs of an account, before anything is launched |
//! | [`policy`](mod@policy) | says what whoever runs a plan has to be allowed |
//! | [`left`] | finds what runs have left |
//! | [`bucket`] | lets calls wait until EC2 takes them |
//! | [`error`] | says what EC2's error codes mean for a run |
//!
//! # What is always ended
//!
//! Every machine carries the tags of its run and its token from the call on that launches it, ends for good when it is
//! shut down from within, and has a timer that shuts it down. A launch whose answer is lost is made again under its
//! client token, which makes it one launch; one that stays without an answer is looked for by its tags. What a run
//! makes beside its machines (volumes, a key pair, a security group in each region) carries the run's tag, and
//! [`Provider::end_run`](dva_runtime::provider::Provider::end_run) ends all that does, whichever process made it.

pub mod bucket;
pub mod config;
pub mod doctor;
pub mod error;
pub mod left;
pub mod policy;
pub mod provider;
pub mod request;
pub mod user_data;

mod account;
mod call;
mod console;
mod ending;
mod gather;
mod group;
mod image;
mod instance;
mod launch;
mod poll;
mod reach;
mod service;
mod site;
mod subnet;
mod together;
mod volume;

pub use call::CallError;
pub use config::{
    Account, Dial, Ec2Config, LoginKey, NetworkUse, Patience, Place, SourceRange, SourceRangeError,
    TimerUse,
};
pub use policy::policy;
pub use provider::{Ec2Provider, NoCredentials};
pub use service::own_address;
