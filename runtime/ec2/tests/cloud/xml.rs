//! What is read from and changed in EC2's answers, which are plain enough to be taken as text.

/// What stands in each `<name>…</name>`.
pub fn texts<'x>(xml: &'x str, name: &str) -> Vec<&'x str> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let pieces = xml.split(begin.as_str()).skip(1);
    pieces
        .filter_map(|piece| piece.split_once(end.as_str()))
        .map(|(text, _)| text)
        .collect()
}

/// What stands in the first `<name>…</name>`.
pub fn text<'x>(xml: &'x str, name: &str) -> Option<&'x str> {
    texts(xml, name).into_iter().next()
}

/// The parts of an answer, each of which begins with `<name>`.
pub fn parts<'x>(xml: &'x str, name: &str) -> Vec<&'x str> {
    let begin = format!("<{name}>");
    let starts: Vec<_> = xml.match_indices(&begin).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([xml.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &xml[*start..end])
        .collect()
}

/// The answer with other texts in every `<name>…</name>` behind an `<of>…</of>`: `text` is told what stands in both.
pub fn with(
    xml: &str,
    of: &str,
    name: &str,
    text: impl Fn(&str, &str) -> Option<String>,
) -> String {
    let Some((before, _)) = xml.split_once(&format!("<{of}>")) else {
        return xml.to_owned();
    };
    let mut whole = before.to_owned();
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    for part in parts(xml, of) {
        let which = self::text(part, of).unwrap_or_default();
        let mut pieces = part.split(begin.as_str());
        whole += pieces.next().unwrap_or_default();
        for piece in pieces {
            let (old, rest) = piece.split_once(end.as_str()).unwrap_or((piece, ""));
            let new = text(which, old).unwrap_or_else(|| old.to_owned());
            whole += &format!("{begin}{new}{end}{rest}");
        }
    }
    whole
}

/// An error document.
pub fn error(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
         <Message>The tests say so.</Message></Error></Errors><RequestID>0</RequestID></Response>"
    )
}
