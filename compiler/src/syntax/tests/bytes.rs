//! What a file may hold before it is read.

use super::*;

/// The only mistake that `bytes` are refused for.
fn refused(bytes: &[u8]) -> Diagnostic {
    let mut bag = Bag::default();
    assert!(decode("a.plan", bytes, &mut bag).is_none());
    let [diagnostic] = bag.into_sorted().try_into().expect("one mistake");
    diagnostic
}

#[test]
fn a_file_must_hold_something() {
    for text in ["", "  \r\n\t", "// a\n\n  /// b\n//! c", "\u{feff}"] {
        assert_eq!(refused(text.as_bytes()).code, Code::P0101, "{text:?}");
    }
}

#[test]
fn a_file_must_be_utf_8() {
    let diagnostic = refused(b"test a {\n  \xff }");
    assert_eq!(diagnostic.code, Code::P0102);
    assert!(diagnostic.help.contains("byte 11"), "{}", diagnostic.help);
    assert!(diagnostic.help.contains("line 2"), "{}", diagnostic.help);
    let utf16 = refused(b"\xff\xfet\0e\0");
    assert!(utf16.help.contains("UTF-16"), "{}", utf16.help);
}

#[test]
fn a_file_has_a_largest_size() {
    let mut bytes = vec![b' '; MAX_SOURCE_BYTES];
    assert_eq!(refused(&bytes).code, Code::P0101);
    bytes.push(b' ');
    assert_eq!(refused(&bytes).code, Code::P0103);
}

#[test]
fn a_byte_order_mark_is_dropped() {
    let mut bag = Bag::default();
    let source = decode("a.plan", "\u{feff}test a { }".as_bytes(), &mut bag).expect("it is text");
    assert_eq!(source.text(), "test a { }");
    assert_eq!(good(source.text()).items.len(), 1);
}

#[test]
fn control_characters_are_one_mistake_and_the_rest_is_read() {
    for control in ["\0", "\r", "\x1b", "\u{202e}", "\u{85}", "\u{feff}"] {
        let text = format!("test a {{ run `x {control} y` check {control} b }}");
        assert_only(&text, Code::P0109, control);
        let module = parse(&text, &mut Bag::default());
        assert!(matches!(module.items[0].kind, ItemKind::Test(_)));
    }
}
