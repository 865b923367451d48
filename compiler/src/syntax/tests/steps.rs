//! Clauses of a test, its steps and what stands behind them.

use super::*;

#[test]
fn steps_have_exact_places() {
    let steps = [
        "reboot within 5min",
        "stop",
        "start",
        "attach late",
        "detach late",
        "detach late nowait",
        "detach late force within 1s",
        "wait 20s",
        "wait until not late.attached",
        "wait until run `true` every 1s within 5s",
        "upload \"a\" to \"b\"",
        "upload \"a\" to \"b\" executable within 1s",
        "collect \"b\"",
        "script \"./a.sh\" by \"x\"",
        "let n: int = script \"./a.sh\" find `x`",
        "run `a` retry 3 every 2s with _a = 1, B = c.d expect any",
    ];
    let text = format!(
        "test t {{ needs capability(kernel), x\n  {}\n }}",
        steps.join("  \n")
    );
    let module = good(&text);
    let source = Source::new("a.plan", text.as_str());
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let found: Vec<_> = test
        .body
        .iter()
        .filter_map(|clause| match clause {
            Clause::Step(step) => Some(source.slice(step.span)),
            _ => None,
        })
        .collect();
    assert_eq!(found, steps);
    assert!(matches!(&test.body[0], Clause::Needs(needs) if needs.len() == 2));
}

#[test]
fn clauses_and_modifiers_come_in_any_order() {
    let module = good(
        "test a { finally { run `c` } run `a` expect any within 5s run `b` find `x` within 1s \
         expect exit == 0 reads x, y writes z takes 1s within 2s }",
    );
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let modifiers: Vec<_> = test
        .body
        .iter()
        .filter_map(|clause| match clause {
            Clause::Step(step) => Some(step),
            _ => None,
        })
        .filter_map(|step| match &step.kind {
            StepKind::Run(_) => Some(step.modifiers.iter().map(|modifier| &modifier.kind)),
            _ => None,
        })
        .flatten()
        .map(|kind| match kind {
            ModifierKind::Within(_) => "within",
            ModifierKind::ExpectAny => "expect any",
            ModifierKind::Expect(_) => "expect",
            ModifierKind::Find(_) => "find",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        modifiers,
        ["expect any", "within", "find", "within", "expect"]
    );
    assert_eq!(test.body.len(), 7);
}

#[test]
fn a_result_has_a_type() {
    let text =
        "test a { let a: string = run `x` let b: size in KiB = run `x` let c: [[int]] = run `x` }";
    let module = good(text);
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    let types: Vec<_> = test
        .body
        .iter()
        .map(|clause| match clause {
            Clause::Step(ast::Step {
                kind: StepKind::Let { r#type, .. },
                ..
            }) => match &r#type.as_ref().expect("a type").kind {
                TypeExprKind::Named(name) => name.text.clone(),
                TypeExprKind::In(of) => format!("{} in {}", of.0.text, of.1.text),
                TypeExprKind::List(_) | TypeExprKind::Record(_) => {
                    text[r#type.as_ref().expect("a type").span.range()].to_owned()
                }
            },
            other => panic!("no let: {other:?}"),
        })
        .collect();
    assert_eq!(types, ["string", "size in KiB", "[[int]]"]);
}
