//! Collects what a command writes to one stream: all of it to a file up to a limit, its beginning
//! and its end in memory.
//!
//! Memory is bounded whatever comes. A chunk is taken only once the chunk before it is with the
//! operating system, so a slow disk holds up the connection and not the heap.

use std::collections::VecDeque;
use std::fmt;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use dva_runtime::mask::MaskStream;
use dva_runtime::transport::{
    CAPTURE_LIMIT, ExecError, ExecErrorKind, FILE_LIMIT, StreamOutput, StreamPlan, TAIL_BYTES,
};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// The most bytes of a file that wait for the operating system.
const WRITE_BUFFER: usize = 256 << 10;

/// Collects one stream of one command.
pub(crate) struct Collector {
    mask: Option<MaskStream>,
    kept: Kept,
    sink: Option<Sink>,
}

impl Collector {
    /// Opens the file of `plan`, which is made where it is missing.
    ///
    /// # Errors
    /// [`ExecErrorKind::File`].
    pub(crate) fn open(plan: &StreamPlan) -> Result<Self, ExecError> {
        let sink = match &plan.file {
            Some(path) => Some(Sink::append_to(path)?),
            None => None,
        };
        Ok(Self {
            mask: plan.mask.as_ref().map(|mask| mask.stream()),
            kept: Kept::default(),
            sink,
        })
    }

    /// Puts at most `limit` bytes into `file`, whose path is `path`.
    pub(crate) fn into_file(file: File, path: &Path, limit: u64) -> Self {
        Self {
            mask: None,
            kept: Kept::default(),
            sink: Some(Sink::new(file, path, limit)),
        }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ExecErrorKind::File`].
    pub(crate) async fn take(&mut self, bytes: &[u8]) -> Result<(), ExecError> {
        match &mut self.mask {
            Some(mask) => {
                let mut masked = Vec::new();
                mask.push(bytes, &mut masked);
                self.keep(&masked).await
            }
            None => self.keep(bytes).await,
        }
    }

    async fn keep(&mut self, bytes: &[u8]) -> Result<(), ExecError> {
        self.kept.push(bytes);
        match &mut self.sink {
            Some(sink) => sink.append(bytes).await,
            None => Ok(()),
        }
    }

    /// Waits until the file has all of it.
    ///
    /// # Errors
    /// [`ExecErrorKind::File`].
    pub(crate) async fn finish(mut self) -> Result<StreamOutput, ExecError> {
        if let Some(mask) = self.mask.take() {
            let mut masked = Vec::new();
            mask.finish(&mut masked);
            self.keep(&masked).await?;
        }
        let filed = match self.sink {
            Some(sink) => sink.finish().await?,
            None => 0,
        };
        Ok(self.kept.finish(filed))
    }
}

/// The file of a stream.
struct Sink {
    file: File,
    path: PathBuf,
    limit: u64,
    written: u64,
}

impl Sink {
    fn append_to(path: &Path) -> Result<Self, ExecError> {
        // On this thread: handing it to another takes longer than the opening, twice a step.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| file_error("open", path, &error))?;
        Ok(Self::new(File::from_std(file), path, FILE_LIMIT))
    }

    fn new(mut file: File, path: &Path, limit: u64) -> Self {
        file.set_max_buf_size(WRITE_BUFFER);
        Self {
            file,
            path: path.to_owned(),
            limit,
            written: 0,
        }
    }

    async fn append(&mut self, bytes: &[u8]) -> Result<(), ExecError> {
        let room = usize::try_from(self.limit - self.written).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() {
            return Ok(());
        }
        self.file
            .write_all(bytes)
            .await
            .map_err(|error| file_error("write", &self.path, &error))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    async fn finish(mut self) -> Result<u64, ExecError> {
        self.file
            .flush()
            .await
            .map_err(|error| file_error("write", &self.path, &error))?;
        Ok(self.written)
    }
}

fn file_error(action: &str, path: &Path, error: &dyn fmt::Display) -> ExecError {
    ExecError {
        kind: ExecErrorKind::File,
        message: format!("{action} {}: {error}", path.display()),
    }
}

/// The beginning and the end of a stream.
#[derive(Default)]
struct Kept {
    total: u64,
    /// The first [`CAPTURE_LIMIT`] bytes.
    head: Vec<u8>,
    /// The last [`TAIL_BYTES`] of those that did not fit into `head`.
    rest: VecDeque<u8>,
}

impl Kept {
    fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = CAPTURE_LIMIT - self.head.len();
        let (head, rest) = bytes.split_at(bytes.len().min(room));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(TAIL_BYTES)..];
        let surplus = (self.rest.len() + rest.len()).saturating_sub(TAIL_BYTES);
        self.rest.drain(..surplus);
        self.rest.extend(rest);
    }

    fn finish(self, filed: u64) -> StreamOutput {
        let tail = if self.rest.is_empty() {
            Vec::new()
        } else {
            // Where little overflowed, the end of the stream begins within the head.
            let from_head = TAIL_BYTES - self.rest.len();
            let mut tail = self.head[self.head.len() - from_head..].to_vec();
            tail.extend(self.rest);
            tail
        };
        StreamOutput {
            total: self.total,
            head: self.head,
            tail,
            filed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dva_runtime::mask::Mask;
    use proptest::prelude::*;

    use super::*;

    /// A stream in which every stretch looks different.
    fn stream(length: usize) -> Vec<u8> {
        (0..length as u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    fn keep(stream: &[u8], chunk: usize) -> StreamOutput {
        let mut kept = Kept::default();
        for bytes in stream.chunks(chunk) {
            kept.push(bytes);
            assert!(kept.head.len() <= CAPTURE_LIMIT && kept.rest.len() <= TAIL_BYTES);
        }
        kept.finish(0)
    }

    fn check(stream: &[u8], output: &StreamOutput) {
        assert_eq!(output.total, stream.len() as u64);
        assert!(output.head == stream[..stream.len().min(CAPTURE_LIMIT)]);
        if stream.len() <= CAPTURE_LIMIT {
            assert!(output.tail.is_empty());
            assert_eq!(output.whole(), Some(stream));
        } else {
            assert!(output.tail == stream[stream.len() - TAIL_BYTES..]);
            assert_eq!(output.whole(), None);
        }
    }

    #[test]
    fn the_borders_of_head_and_tail_are_exact() {
        for length in [
            0,
            1,
            CAPTURE_LIMIT - 1,
            CAPTURE_LIMIT,
            CAPTURE_LIMIT + 1,
            CAPTURE_LIMIT + TAIL_BYTES - 1,
            CAPTURE_LIMIT + TAIL_BYTES,
            CAPTURE_LIMIT + TAIL_BYTES + 1,
        ] {
            let stream = stream(length);
            check(&stream, &keep(&stream, 32 << 10));
            check(&stream, &keep(&stream, usize::MAX));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn chunks_do_not_matter(length in 0..CAPTURE_LIMIT * 2, chunk in 1_000..300_000_usize) {
            let stream = stream(length);
            check(&stream, &keep(&stream, chunk));
        }
    }

    #[tokio::test]
    async fn a_file_is_appended_to_and_has_its_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        std::fs::write(&path, "before\n").expect("a file");
        let plan = StreamPlan {
            file: Some(path.clone()),
            ..StreamPlan::default()
        };
        let mut collector = Collector::open(&plan).expect("opens");
        let stream = stream(1 << 20);
        for _ in 0..17 {
            collector.take(&stream).await.expect("takes");
        }
        let output = collector.finish().await.expect("finishes");
        assert_eq!((output.total, output.filed), (17 << 20, FILE_LIMIT));
        let bytes = std::fs::read(&path).expect("reads");
        assert_eq!(bytes.len() as u64, 7 + FILE_LIMIT);
        assert!(bytes.starts_with(b"before\n") && bytes[7..].starts_with(&stream));
    }

    #[tokio::test]
    async fn a_secret_reaches_neither_file_nor_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let mask = Mask::of(["hunter-2"]).expect("a form");
        let plan = StreamPlan {
            file: Some(path.clone()),
            mask: Some(Arc::new(mask)),
        };
        let mut collector = Collector::open(&plan).expect("opens");
        for byte in b"a hunter-2, a hunter-" {
            collector.take(&[*byte]).await.expect("takes");
        }
        let output = collector.finish().await.expect("finishes");
        assert_eq!(output.whole(), Some(&b"a ***, a hunter-"[..]));
        assert_eq!(output.filed, output.total);
        assert_eq!(std::fs::read(&path).expect("reads"), output.head);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_opened_is_named() {
        let plan = StreamPlan {
            file: Some("/nonexistent/out".into()),
            ..StreamPlan::default()
        };
        let error = Collector::open(&plan).err().expect("refuses");
        assert_eq!(error.kind, ExecErrorKind::File);
        assert!(error.message.contains("/nonexistent/out"), "{error}");
    }
}
