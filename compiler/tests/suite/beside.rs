//! The files that lie beside every source of the specification and of the pages.

use dva_compiler::files::{MAX_FILE_BYTES, ReadProblem, SourceLoader};

/// `./probe.sh`, `./copy/probe.sh` with the same content, `./my probe.sh` with another, `./full.bin` of
/// exactly the largest size, `./large.bin` of one byte more, and a folder `./copy`.
pub struct Beside;

impl SourceLoader for Beside {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadProblem> {
        match path {
            "./probe.sh" | "./copy/probe.sh" => Ok(b"#!/bin/sh\nexit 0\n".to_vec()),
            "./my probe.sh" => Ok(b"#!/bin/sh\nexit 1\n".to_vec()),
            "./full.bin" => Ok(vec![0; MAX_FILE_BYTES]),
            "./large.bin" => Ok(vec![0; MAX_FILE_BYTES + 1]),
            "./copy" => Err(ReadProblem::NotAFile),
            "./locked.sh" => Err(ReadProblem::Other("Permission denied".to_owned())),
            _ => Err(ReadProblem::Missing),
        }
    }
}
