//! All integration tests of EC2 machines, in one binary.

mod lifecycle;
mod moto;
mod ramp;
