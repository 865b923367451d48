//! How deep and how long a text may be.

use super::*;

#[test]
fn brackets_nest_to_a_limit() {
    let nested = |depth: usize| {
        format!(
            "test a {{ check {}b{} }}",
            "(".repeat(depth),
            ")".repeat(depth)
        )
    };
    let _ = good(&nested(63));
    assert_only(&nested(64), Code::P0106, "(");
    assert_only(&nested(100_000), Code::P0106, "(");
    let calls = format!(
        "test a {{ run `${{{}{}}}` }}",
        "f(".repeat(60),
        ")".repeat(60)
    );
    let _ = good(&calls);
    let calls = format!(
        "test a {{ run `${{{}{}}}` }}",
        "f(".repeat(9999),
        ")".repeat(9999)
    );
    assert_eq!(only(&calls).0, Code::P0110);
}

#[test]
fn what_nests_as_deep_as_it_may_fits_a_small_stack() {
    let text = format!(
        "test a {{ check {}b{} run `${{{}{}}}` let x: {}string{} = run `y` }}",
        "f([(".repeat(20),
        ")])".repeat(20),
        "f(".repeat(64),
        ")".repeat(64),
        "[".repeat(60),
        "]".repeat(60),
    );
    let reader = std::thread::Builder::new().stack_size(1 << 20);
    let module = reader.spawn(move || good(&text)).expect("a thread starts");
    assert_eq!(module.join().expect("it is read").items.len(), 1);
}

/// Steps in one another are read once each, wherever the mistake is.
#[test]
fn blocks_nest_to_a_limit() {
    let nested = |depth: usize, inner: &str| {
        let open: String = (0..depth)
            .map(|at| ["when a { ", "for b in c { "][at % 2])
            .collect();
        format!("test a {{ {open}{inner}{} }}", " }".repeat(depth))
    };
    let _ = good(&nested(63, "stop"));
    assert_only(&nested(63, "stpo"), Code::P0116, "stpo");
    assert_only(&nested(64, "stop"), Code::P0106, "{");
    let types = format!("let a: {}int{} = 1", "{ a: [".repeat(32), "] }".repeat(32));
    let _ = good(&types);
}

#[test]
fn operators_nest_to_a_limit() {
    let chain = |operators: usize| format!("test a {{ check b{} }}", " + b".repeat(operators));
    let _ = good(&chain(256));
    assert_eq!(only(&chain(257)).0, Code::P0106);
    let negated = format!("test a {{ check {} b }}", "not ".repeat(200_000));
    assert_eq!(only(&negated).0, Code::P0106);
    let wide = format!("test a {{ check b in [{}c] }}", "c + c, ".repeat(1000));
    let _ = good(&wide);
}

#[test]
fn a_long_file_takes_no_more_than_its_share() {
    let docs = "/// a\n".repeat(20_000);
    let text = format!("test a {{\n{docs}");
    assert_eq!(found(&text).len(), 20_001);
    let words = "x ".repeat(100_000);
    assert_eq!(found(&words).len(), 1);
    let marks = "}".repeat(100_000);
    assert_eq!(found(&marks).len(), 1);
    for mark in ["`", "\"", "{", "/", "'"] {
        let marks = format!("test a {{ {}", mark.repeat(1_000_000));
        assert_eq!(found(&marks).len(), 1, "{mark}");
    }
    let word = "x".repeat(1_000_000);
    assert_eq!(found(&word).len(), 1);
    let unclosed = "test a {\nlet b = 1\n".repeat(20_000);
    assert_eq!(found(&unclosed).len(), 20_000);
    let unclosed = format!("test a {{\n{}", "let b = (\n".repeat(20_000));
    assert_eq!(found(&unclosed).len(), 20_001);
    let bare = "use a let b = 1 pub input c: int\n".repeat(20_000);
    assert_eq!(good(&bare).items.len(), 60_000);
    let pubs = "pub ".repeat(20_000);
    assert_eq!(found(&pubs).len(), 1);
    let items = "test a { run }\n".repeat(2_000);
    assert_eq!(found(&items).len(), 2_000);
}
