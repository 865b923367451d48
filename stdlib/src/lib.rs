//! The standard library of the language: the catalog of regions and machine types, as data, and the
//! few lines that embed and index it.
//!
//! It knows nothing of the compiler and of how machines are started. Prices and modules written in
//! the language will stand beside the catalog.

pub mod catalog;

pub use catalog::{Catalog, MachineType, Region};
