//! "Did you mean": the known word that is closest to one that is not known.

/// A sentence that offers the closest of `known`, or nothing where none is close.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(word, known).map(|close| format!("Did you mean `{close}`?"))
}

/// The closest of `known`: about a third of the letters may differ, a swap of neighbours counting once.
fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = ((length + 1) / 3).max(1);
    known
        .into_iter()
        // The distance is never less than this, and much dearer to calculate.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `` `a`, `b` and `c` ``, shortened behind the eighth.
#[must_use]
pub fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut quoted: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    let hidden = quoted.len().saturating_sub(8);
    if hidden > 0 {
        quoted.truncate(8);
        quoted.push(format!("{hidden} more"));
    }
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_close_words_are_offered() {
        let known = ["format", "mount", "memory"];
        assert_eq!(closest("fromat", known), Some("format"));
        assert_eq!(closest("mont", known), Some("mount"));
        assert_eq!(closest("reboot", known), None);
    }

    #[test]
    fn a_swap_counts_once() {
        assert_eq!(closest("lunix", ["linux", "fedora"]), Some("linux"));
        assert_eq!(closest("xsf", ["xfs", "ext4"]), Some("xfs"));
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a"]), "`a`");
        assert_eq!(listed(["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
