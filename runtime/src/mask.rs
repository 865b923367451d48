//! Masking: no secret appears in anything that a run writes, in whichever common form it is printed.
//!
//! A [`Mask`] knows all forms of all secrets; a [`MaskStream`] takes them out of bytes as they come,
//! across the borders of chunks. Forms are: the value itself; Base64 in both alphabets, wherever in the
//! encoded bytes it begins; percent-encoded; quoted for a shell and for JSON. Of a value of several
//! lines each longer line is a form, too, and so is each line of its Base64.
//!
//! What it deliberately does not find: other encodings, such as hexadecimal or a digest, and pieces of
//! a secret. A short secret is masked wherever its characters stand together, whatever they mean there.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, Input, MatchKind};

mod forms;

pub use forms::forms;

/// What stands where a secret stood, first choice first: one that shares no character with any form, or
/// a form could come about of a mask and what is beside it.
const REPLACEMENTS: [&str; 4] = ["***", "###", "___", "•••"];

/// All forms of all secrets of a run.
pub struct Mask {
    finder: AhoCorasick,
    longest: usize,
    replacement: &'static str,
}

impl Mask {
    /// A mask for these values; `None` where there is nothing to hide. Empty values cannot be hidden.
    ///
    /// # Panics
    /// Where they have gigabytes together; [`crate::Secrets`] takes none of such a size.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let forms: BTreeSet<Vec<u8>> = values.into_iter().flat_map(forms).collect();
        let longest = forms.iter().map(Vec::len).max()?;
        let is_apart = |replacement: &&&str| {
            let mut bytes = replacement.bytes();
            !bytes.any(|byte| forms.iter().any(|form| form.contains(&byte)))
        };
        let replacement = REPLACEMENTS.iter().find(is_apart).copied();
        #[expect(
            clippy::expect_used,
            reason = "sizes are limited where secrets are bound"
        )]
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&forms)
            .expect("an automaton of less than 2³¹ states");
        Some(Self {
            finder,
            longest,
            replacement: replacement.unwrap_or(REPLACEMENTS[0]),
        })
    }

    /// `text` without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if !self.finder.is_match(text) {
            return text.to_owned();
        }
        let mut masked = String::with_capacity(text.len());
        let mut from = 0;
        // Forms are whole characters, so no border of a match cuts one.
        for found in self.finder.find_iter(text) {
            masked.push_str(&text[from..found.start()]);
            masked.push_str(self.replacement);
            from = found.end();
        }
        masked.push_str(&text[from..]);
        masked
    }

    /// The same for bytes that come in chunks.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> MaskStream {
        MaskStream {
            mask: Arc::clone(self),
            held: Vec::new(),
        }
    }

    /// The most bytes that a [`MaskStream`] holds back.
    #[must_use]
    pub fn holds_back(&self) -> usize {
        self.longest - 1
    }
}

/// Shows no secret.
impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").finish_non_exhaustive()
    }
}

/// Takes secrets out of a stream. What it gives does not depend on how the stream is cut into chunks.
pub struct MaskStream {
    mask: Arc<Mask>,
    /// The end of the stream so far, where a form may have begun: less than the longest one.
    held: Vec<u8>,
}

impl MaskStream {
    /// Takes the next bytes; what is certain by then goes to the end of `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        self.release(self.held.len().saturating_sub(self.mask.holds_back()), out);
    }

    /// The stream has ended; the rest goes to the end of `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.release(self.held.len(), out);
    }

    /// Gives what begins before `certain`: whichever form begins there is in `held` to its end.
    fn release(&mut self, certain: usize, out: &mut Vec<u8>) {
        let mut from = 0;
        while from < certain {
            let rest = Input::new(&self.held).range(from..);
            match self.mask.finder.find(rest) {
                Some(found) if found.start() < certain => {
                    out.extend_from_slice(&self.held[from..found.start()]);
                    out.extend_from_slice(self.mask.replacement.as_bytes());
                    from = found.end();
                }
                Some(_) | None => {
                    out.extend_from_slice(&self.held[from..certain]);
                    from = certain;
                }
            }
        }
        self.held.drain(..from);
    }
}

/// Shows no bytes: they may be a secret's.
impl fmt::Debug for MaskStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn mask(values: &[&str]) -> Arc<Mask> {
        Arc::new(Mask::of(values.iter().copied()).expect("something to hide"))
    }

    fn through(mask: &Arc<Mask>, stream: &[u8], chunk: usize) -> Vec<u8> {
        let (mut masked, mut masking) = (Vec::new(), mask.stream());
        for chunk in stream.chunks(chunk) {
            masking.push(chunk, &mut masked);
            assert!(masking.held.len() <= mask.holds_back());
        }
        masking.finish(&mut masked);
        masked
    }

    #[test]
    fn every_form_is_found_and_nothing_else_is_touched() {
        let secret = "p w'$\"\n/+é";
        let mask = mask(&[secret]);
        for form in forms(secret) {
            let text = format!("[{}]", String::from_utf8(form).expect("text"));
            assert_eq!(mask.text(&text), "[***]");
        }
        assert_eq!(mask.text("p w and nothing more"), "p w and nothing more");
    }

    #[test]
    fn a_secret_has_no_alignment_in_base64_to_hide_at() {
        let mask = mask(&["tok-12345"]);
        for before in ["", "x", "xy", "xyz"] {
            let url = format!("{before}tok-12345 and the rest");
            for text in [
                forms::base64(url.as_bytes()),
                forms::base64_url(url.as_bytes()),
            ] {
                let masked = mask.text(&text);
                assert!(masked.contains("***"), "{text}");
                // No more than the bits of one byte at either border are left of it.
                let around = text.len() - (masked.len() - 3);
                assert!(around >= 9 * 8 / 6 - 2, "{text} {masked}");
            }
        }
    }

    #[test]
    fn the_longest_form_goes_and_masks_make_none() {
        let overlapping = mask(&["secret", "secret-more", "a*b"]);
        assert_eq!(
            overlapping.text("secret-more, secret-mor, a*b"),
            "###, ###-mor, ###"
        );
        let joined = mask(&["abab", "x_y", "p#q"]);
        assert_eq!(joined.text("ababab x_y"), "***ab ***");
        assert!(Mask::of([""]).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
        /// Secrets of few letters in streams of the same letters, so that forms begin everywhere.
        #[test]
        fn no_form_appears_however_the_stream_is_cut(
            secrets in vec("[ab'=%\n ]{1,9}", 1..4),
            noise in vec("[ab'=%\n ]{0,6}", 0..24),
            picks in vec(any::<prop::sample::Index>(), 24),
            chunk in 1..40_usize,
        ) {
            let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let mask = mask(&secrets);
            let all: Vec<Vec<u8>> = secrets.iter().flat_map(|secret| forms(secret)).collect();
            let mut stream = Vec::new();
            for (noise, pick) in noise.iter().zip(&picks) {
                stream.extend_from_slice(noise.as_bytes());
                let form: &Vec<u8> = pick.get(all.as_slice());
                stream.extend_from_slice(form);
            }
            let masked = through(&mask, &stream, chunk);
            for form in &all {
                prop_assert!(!masked.windows(form.len()).any(|window| window == form.as_slice()));
            }
            prop_assert_eq!(&masked, &through(&mask, &stream, usize::MAX));
            let text = String::from_utf8(stream).expect("text");
            prop_assert_eq!(masked, mask.text(&text).into_bytes());
        }
    }
}
