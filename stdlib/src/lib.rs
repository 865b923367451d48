//! The standard library of the language: modules written in it, and the catalog of regions and machine
//! types, what they offer and what they cost, as data; and the lines that embed and index both.
//!
//! It knows nothing of the compiler and of how machines are started, and makes no bills.

pub mod catalog;
pub mod modules;

pub use catalog::Catalog;
pub use catalog::machine::{
    BootMode, Burstable, Ena, Gpus, Hypervisor, InstanceStorage, MachineType, Medium, Network,
    Share,
};
pub use catalog::price::{Market, OsClass, Price, Quality};
pub use catalog::rates::{Rate, Rates};
pub use catalog::region::{Region, Zone};
