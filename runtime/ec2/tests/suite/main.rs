//! All integration tests of EC2 machines, in one binary.

mod ground;
mod lifecycle;
#[path = "../cloud/moto.rs"]
mod moto;
mod ramp;
