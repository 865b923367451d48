//! The files that lie beside every source of the specification and of the pages.

use std::collections::BTreeMap;

use dva_compiler::files::{MAX_FILE_BYTES, ReadProblem, SourceLoader};

/// `./probe.sh`, `./copy/probe.sh` with the same content, `./my probe.sh` with another, `./full.bin` of
/// exactly the largest size, `./large.bin` of one byte more, a module `./lib/disks.plan` with a disk of its
/// own and a public one, one with an axis, tables, and a folder `./copy`.
pub struct Beside;

impl SourceLoader for Beside {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadProblem> {
        match path {
            "./probe.sh" | "./copy/probe.sh" => Ok(b"#!/bin/sh\nexit 0\n".to_vec()),
            "./my probe.sh" => Ok(b"#!/bin/sh\nexit 1\n".to_vec()),
            "./full.bin" => Ok(vec![0; MAX_FILE_BYTES]),
            "./large.bin" => Ok(vec![0; MAX_FILE_BYTES + 1]),
            "./packages.toml" => Ok(PACKAGES.into()),
            "./services.json" => Ok(SERVICES.into()),
            "./limits.toml" => Ok(LIMITS.into()),
            "./tuning.json" => Ok(TUNING.into()),
            "./minimum.json" => Ok(br#"{ "host": "2GiB" }"#.into()),
            "./builds/7.json" => Ok(BUILD.into()),
            "./wrong/value.toml" => Ok(b"rhel = ['a', 7]\nsles = 'b'\n'*' = []\n".into()),
            "./wrong/key.toml" => Ok(b"xfs = 1\next3 = 2\n".into()),
            "./wrong/image.toml" => Ok(b"'rhel 9..8' = ['a']\n'rhel 9 4' = ['b']\n".into()),
            "./wrong/overlap.toml" => {
                Ok(b"'rhel 9.2..9.5' = ['a']\n'rhel 9.4..9.6' = ['b']\n".into())
            }
            "./wrong/twice.json" => Ok(br#"{ "xfs": 1, "ext4": 2, "xfs": 3 }"#.into()),
            "./wrong/list.json" => Ok(b"[1, 2]".into()),
            "./wrong/syntax.toml" => Ok(b"xfs = 1\next4 =\n".into()),
            "./wrong/version.json" => Ok(br#"{ "xfs": 6.10 }"#.into()),
            "./wrong/fields.toml" => Ok(b"xfs = { share = '10%', sice = '1GiB' }\n".into()),
            "lib/disks.plan" => {
                Ok(b"disk data { size = 1GiB }\npub disk shared { size = 1GiB }\n".into())
            }
            "std/storage.plan" => Ok(b"pub let x = 1\n".into()),
            "lib/network.plan" => Ok(b"pub axis network { ipv4 { } }\n".into()),
            "./copy" => Err(ReadProblem::NotAFile),
            "./locked.sh" => Err(ReadProblem::Other("Permission denied".to_owned())),
            _ => Err(ReadProblem::Missing),
        }
    }
}

/// The files of a case of the specification, before those of [`Beside`], and any number of `many/mN.plan`.
pub struct With<'f>(pub &'f BTreeMap<String, String>);

impl SourceLoader for With<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadProblem> {
        match self.0.get(path.trim_start_matches("./")) {
            Some(text) => Ok(text.clone().into_bytes()),
            None if path.starts_with("many/m") => Ok(b"pub let x = 1\n".into()),
            None => Beside.read(path),
        }
    }
}

/// Lists by image, as [`Beside`] has them in `./packages.toml`.
const PACKAGES: &[u8] = b"
'rhel 9.4' = ['bash', 'chrony', 'kernel']
'rhel 9.*' = ['bash', 'kernel']
'fedora 40..41' = ['bash']
fedora = []
";

/// Lists by operating system.
const SERVICES: &[u8] = br#"{ "rhel": ["sshd", "chronyd"], "*": ["sshd"] }"#;

/// Records by the author's own axis, of every type that a table can have.
const LIMITS: &[u8] = b"
[xfs]
size = '10GiB'
wait = '90s'
cost = '$0.05'
share = '90%'
since = 2027-01-31
pattern = '^ID=(rhel|fedora)$'
kernel = '6.10'
arch = 'x86_64'
[ext4]
size = '1.5KiB'
wait = '5min'
cost = '$5.00'
share = '99.5%'
since = '2026-02-28'
pattern = '.'
kernel = 7
arch = 'arm64'
";

/// Numbers by texts of the author's own.
const TUNING: &[u8] = br#"{ "vm.swappiness": 30, "kernel.sysrq": 16 }"#;

/// Texts by region, as a pipeline writes them for build 7.
const BUILD: &[u8] = br#"{ "local": "ami-0123", "us-east-1": "ami-4567" }"#;
