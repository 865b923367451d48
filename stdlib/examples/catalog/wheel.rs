//! Reads files out of a Python package (a zip file), some of them compressed once more.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde::de::DeserializeOwned;
use zip::ZipArchive;

use crate::MakeError;

/// An opened package.
pub struct Wheel {
    archive: ZipArchive<File>,
}

impl Wheel {
    /// Opens the package at `path`.
    pub fn open(path: &Path) -> Result<Self, MakeError> {
        let unreadable = |why: String| MakeError::Package(path.display().to_string(), why);
        let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let archive = ZipArchive::new(file).map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { archive })
    }

    /// The names of the files in `folder`, in order.
    pub fn names_in(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .archive
            .file_names()
            .filter_map(|name| Some(name.ok()?.into_owned()))
            .filter(|name| name.starts_with(folder))
            .collect();
        names.sort();
        names
    }

    /// The bytes of the file `name`, unpacked where it ends in `.gz`.
    pub fn bytes(&mut self, name: &str) -> Result<Vec<u8>, MakeError> {
        let broken = |why: String| MakeError::Package(name.to_owned(), why);
        let mut file = self
            .archive
            .by_name(name)
            .map_err(|error| broken(error.to_string()))?;
        let mut bytes = Vec::new();
        let read = if name.ends_with(".gz") {
            GzDecoder::new(file).read_to_end(&mut bytes)
        } else {
            file.read_to_end(&mut bytes)
        };
        read.map_err(|error| broken(error.to_string()))?;
        Ok(bytes)
    }

    /// The file `name`, which is JSON.
    pub fn json<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, MakeError> {
        let bytes = self.bytes(name)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| MakeError::Package(name.to_owned(), error.to_string()))
    }
}
