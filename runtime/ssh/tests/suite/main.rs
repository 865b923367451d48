//! The transport against the embedded server, against OpenSSH's, and against servers and networks
//! that misbehave.

mod against_both;
mod against_fakes;
mod against_own;
mod against_sshd;
mod dialers;
mod fake;
mod fixture;
mod hosts;
mod login;
mod proxy;
mod sshd;
