//! Where the parts of the tree stand.

use super::*;

#[test]
fn places_are_exact() {
    let text = "// ü\ntest a after b.c , d {\n  within 1min  // x\n  run `y` within 2s  expect exit == 0 \n  \
                let t : size in KiB = run `z`  \n  check ( a ) + f ( b , c )  \n}\n\
                matrix m { image = each a , b.c  exclude  x == y  }\n";
    let module = good(text);
    let source = Source::new("a.plan", text);
    let slice = |span| source.slice(span);
    let ItemKind::Test(test) = &module.items[0].kind else {
        panic!("no test");
    };
    assert_eq!(slice(test.name.span), "a");
    assert_eq!(slice(test.after[0].test.span), "b.c");
    assert_eq!(slice(test.after[0].test.path.segments[1].span), "c");
    let mut places = Vec::new();
    for clause in &test.body {
        match clause {
            Clause::Within(keyword, limit) => {
                places.extend([slice(*keyword), slice(limit.span)]);
            }
            Clause::Step(step) => {
                places.push(slice(step.span));
                places.extend(step.modifiers.iter().map(|modifier| slice(modifier.span)));
                if let StepKind::Let { r#type, .. } = &step.kind {
                    places.push(slice(r#type.as_ref().expect("a type").span));
                }
                if let StepKind::Check(value) = &step.kind {
                    places.push(slice(value.span));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        places,
        [
            "within",
            "1min",
            "run `y` within 2s  expect exit == 0",
            "within 2s",
            "expect exit == 0",
            "let t : size in KiB = run `z`",
            "size in KiB",
            "check ( a ) + f ( b , c )",
            "( a ) + f ( b , c )",
        ]
    );
    let ItemKind::Matrix(matrix) = &module.items[1].kind else {
        panic!("no matrix");
    };
    assert_eq!(slice(matrix.axes[0].span), "image = each a , b.c");
    assert_eq!(slice(matrix.excludes[0].span), "x == y");
}

/// The places that a dump of a tree shows, with the text at each, in the order of the dump.
fn spans_of(text: &str, dump: &str) -> Vec<String> {
    let spans = Regex::new(r"Span \{ start: (\d+), end: (\d+) \}").expect("a pattern");
    let place = |capture: &str| capture.parse::<usize>().expect("a number");
    spans
        .captures_iter(dump)
        .map(|span| text[place(&span[1])..place(&span[2])].to_owned())
        .collect()
}

/// Every place in the tree of the one item of `text`.
fn item_places(text: &str) -> Vec<String> {
    let module = good(text);
    assert_eq!(module.items.len(), 1, "{text}");
    spans_of(text, &format!("{:?}", module.items[0]))
}

/// Every part of every item, in the order of the tree's fields. Blanks and comments stand wherever they
/// may, so that none of them is taken into a place.
#[test]
fn each_part_of_an_item_has_its_place() {
    for (text, places) in [
        (
            "  use  std.services  { running , stopped  as down , } ",
            "use  std.services  { running , stopped  as down , }·std·services·std.services·running·stopped·down",
        ),
        (
            "use  \"./a.plan\"  // x\n",
            "use  \"./a.plan\"·\"./a.plan\"",
        ),
        (
            "pub  let a  =  b.c  // x",
            "pub·pub  let a  =  b.c·a·b.c·b·c·b.c",
        ),
        (
            "let a : [ int ]  = 1 \n",
            "let a : [ int ]  = 1·a·[ int ]·int·int·1",
        ),
        (
            "input a : string  = \"b\" ",
            "input a : string  = \"b\"·a·string·string·\"b\"",
        ),
        (
            "input a : { b : size  in KiB , }  at  run  // x",
            "input a : { b : size  in KiB , }  at  run·a·{ b : size  in KiB , }·b·size  in KiB·size·KiB·at  run",
        ),
        (
            "table a : b  -> [ c ]  = \"d/${ e }\" ",
            "table a : b  -> [ c ]  = \"d/${ e }\"·a·b·[ c ]·c·c·\"d/${ e }\"·${ e }·e·e·e",
        ),
        (
            "fact a : b  | c  = b  \n",
            "fact a : b  | c  = b·a·b·c·b·b·b",
        ),
        (
            "image a  like b.c  { d  = e }",
            "image a  like b.c  { d  = e }·a·b·c·b.c·d·e·e·e",
        ),
        (
            "disk a { b  >= 1GiB  }",
            "disk a { b  >= 1GiB  }·a·b·>=·1GiB",
        ),
        ("state a  // x", "state a·a"),
        (
            "state a  per  account  // x",
            "state a  per  account·a·per  account",
        ),
        (
            "state a  per  account  limit  4  {  b = c  }",
            "state a  per  account  limit  4  {  b = c  }·a·per  account  limit  4·4·b·c·c·c",
        ),
        (
            "boot a { b = file( \"c\" ) }",
            "boot a { b = file( \"c\" ) }·a·b·file( \"c\" )·file·file·\"c\"",
        ),
        (
            "axis a { b  { c  = d } }",
            "axis a { b  { c  = d } }·a·b·c·d·d·d",
        ),
        (
            "matrix a { b  = any c  where d  exclude e  }",
            "matrix a { b  = any c  where d  exclude e  }·a·b·c·c·d·d·d·b  = any c  where d·e·e·e",
        ),
    ] {
        let places: Vec<_> = places.split('·').collect();
        assert_eq!(item_places(text), places, "{text}");
    }
}

#[test]
fn each_clause_of_a_plan_has_its_place() {
    for (clause, places) in [
        ("matrix b , c.d  ", "b·b·c·d·c.d"),
        (
            "tests all  , b  , c.*  , d ( e )  where f  except g.*  , all  ",
            "all·b·b·b·c·c·d ( e )·d·d·e·e·e·f·f·f·g·g·all",
        ),
        ("again b  after c ( d )  ", "b·b·b·c ( d )·c·c·d·d·d"),
        (
            "on b  { tests c  again d  after e }  ",
            "b·b·c·c·c·d·d·d·e·e·e",
        ),
        ("limit  b  <= 1  , c  <= 2  ", "limit·b·1·c·2"),
        ("market  b  else c  ", "market·b·c"),
        (
            "waive  b  where c  because  \"d\"  until  2027-01-31  ",
            "waive  b  where c  because  \"d\"  until  2027-01-31·b·b·b·c·c·c·\"d\"·2027-01-31",
        ),
        (
            "waive  b  because  \"d\"  ",
            "waive  b  because  \"d\"·b·b·b·\"d\"",
        ),
        ("gate  b  before c.d  ", "gate·b·b·c·d·c.d"),
        ("setup  { stop  start }  ", "setup·stop·start"),
    ] {
        let text = format!("plan a {{ {clause} }}");
        let mut expected = vec![text.as_str(), "a"];
        expected.extend(places.split('·'));
        assert_eq!(item_places(&text), expected, "{text}");
    }
}

#[test]
fn each_part_of_a_test_has_its_place() {
    for (head, places) in [
        ("( b : c  , d : [ e ]  , )  ", "b·c·c·d·[ e ]·e·e"),
        (
            "after  b  regardless  , c ( d )  ",
            "b·b·b·regardless·c ( d )·c·c·d·d·d",
        ),
        ("per  b  , c  after  d  ", "d·d·d·b·c"),
        ("after  d  per  b  ", "d·d·d·b"),
    ] {
        let text = format!("test a {head} {{ }}");
        let mut expected = vec![text.as_str(), "a"];
        expected.extend(places.split('·'));
        assert_eq!(item_places(&text), expected, "{text}");
    }
    for (clause, places) in [
        ("reads b  , c.d  ", "b·b·c·d·c.d"),
        ("borrows b  ", "b·b"),
        ("needs boot  b  , c  >= 1  ", "b·b·c  >= 1·>=·c·c·c·1"),
        ("tags b  , c  ", "b·c"),
        ("retry  2  ", "retry·2"),
        ("when  b  ", "when·b·b·b"),
        ("last  once  ", "last·once"),
        ("takes  1s  within  2s ", "takes·1s·within·2s"),
        ("finally  { stop  }  ", "finally·stop"),
    ] {
        let text = format!("test a {{ {clause} }}");
        let mut expected = vec![text.as_str(), "a"];
        expected.extend(places.split('·'));
        assert_eq!(item_places(&text), expected, "{text}");
    }
}

#[test]
fn each_part_of_a_step_has_its_place() {
    for (step, places) in [
        ("let b  = c  ", "let b  = c·b·c·c·c"),
        (
            "let b : d  = c [ e ]  else  skip  \"f\"  ",
            "let b : d  = c [ e ]  else  skip  \"f\"·b·d·d·c [ e ]·c·c·e·e·e·\"f\"",
        ),
        (
            "let b  = run `c`  json  ",
            "let b  = run `c`  json·b·`c`·c·json",
        ),
        (
            "let b : { c : d }  = run `e`  ",
            "let b : { c : d }  = run `e`·b·{ c : d }·c·d·d·`e`·e",
        ),
        (
            "assume  b  because  \"c\"  ",
            "assume  b  because  \"c\"·b·b·b·\"c\"",
        ),
        (
            "note  \"b ${c + d} e\"  ",
            "note  \"b ${c + d} e\"·\"b ${c + d} e\"·${c + d}·c + d·+·c·c·c·d·d·d",
        ),
        (
            "when  b  { stop  }  else  { start  }  ",
            "when  b  { stop  }  else  { start  }·b·b·b·stop·start",
        ),
        ("when  b  { }  ", "when  b  { }·b·b·b"),
        (
            "for  b  in c  { stop  }  ",
            "for  b  in c  { stop  }·b·c·c·c·stop",
        ),
        (
            "console  contains  `b`  within 1s  ",
            "console  contains  `b`  within 1s·`b`·b·within 1s·1s",
        ),
        (
            "check [ b : 1  , c-d : 2 ]  == e ( f  = 3 )  ",
            "check [ b : 1  , c-d : 2 ]  == e ( f  = 3 )·[ b : 1  , c-d : 2 ]  == e ( f  = 3 )·==·[ b : 1  , c-d : 2 ]·b·1·c-d·2·e ( f  = 3 )·e·e·f·3",
        ),
        (
            "check b has  none c  ",
            "check b has  none c·b has  none c·has  none·b·b·b·c·c·c",
        ),
        (
            "check 8.*  in 2027-01-31..15-SP6  ",
            "check 8.*  in 2027-01-31..15-SP6·8.*  in 2027-01-31..15-SP6·in·8.*·2027-01-31..15-SP6·..·2027-01-31·15-SP6",
        ),
    ] {
        let text = format!("test a {{ {step} }}");
        let mut expected = vec![text.as_str(), "a"];
        expected.extend(places.split('·'));
        assert_eq!(item_places(&text), expected, "{text}");
    }
}

/// A text with a mistake keeps the place of all of it.
#[test]
fn a_broken_text_keeps_its_place() {
    for (text, mistake) in [
        ("\"b ${c\"", "${"),
        ("\"b \\q ${c}\"", "\\q"),
        ("\"${ c d }\"", " c d "),
        ("\"b ${ }\"", "${ }"),
    ] {
        let file = format!("test a {{ note {text} }}");
        assert_eq!(only(&file).1, mistake);
        let module = parse(&file, &mut Bag::default());
        let places = spans_of(&file, &format!("{:?}", module.items[0]));
        assert_eq!(places[2..4], [format!("note {text}"), text.to_owned()]);
    }
}
