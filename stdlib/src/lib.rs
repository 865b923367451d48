//! The standard library of the language: the catalog of regions and machine types, what they offer and
//! what they cost, as data, and the lines that embed and index it.
//!
//! It knows nothing of the compiler and of how machines are started, and makes no bills. Modules
//! written in the language will stand beside the catalog.

pub mod catalog;

pub use catalog::Catalog;
pub use catalog::machine::{
    BootMode, Burstable, Ena, Gpus, Hypervisor, InstanceStorage, MachineType, Medium, Network,
    Share,
};
pub use catalog::price::{Market, OsClass, Price, Quality};
pub use catalog::rates::{Rate, Rates};
pub use catalog::region::{Region, Zone};
