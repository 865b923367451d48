//! All integration tests of the compiler, in one binary.
//!
//! What the language means is in `tests/spec/`; see [`spec`] for its form.

#![expect(
    clippy::disallowed_methods,
    reason = "tests read specifications and manifests, and hold commands to a real shell"
)]

mod beside;
mod codes;
mod describe;
mod layers;
mod modules;
mod packing;
mod quoting;
mod spec;
mod whole;
mod wrong;
