//! `dva graph`: the tests and what they come after, for people and for Graphviz.

use dva_plan::plan::{Shape, TestIx};
use dva_plan::{ExecutionPlan, ExitCode};
use petgraph::dot::{Config, Dot, RankDir};
use petgraph::graphmap::DiGraphMap;

use crate::args::{GraphArguments, Notation};
use crate::failure::Failure;
use crate::input;
use crate::output;

/// What an edge means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The first must have passed.
    After,
    /// The first must have ended.
    Order,
}

/// Draws the union of the plan's shapes.
pub fn run(arguments: &GraphArguments) -> Result<ExitCode, Failure> {
    let plan = input::plan(&arguments.input)?.plan.body;
    let graph = union(plan.shapes.iter());
    let text = match arguments.notation {
        Notation::Mermaid => mermaid(&plan, &graph),
        Notation::Dot => dot(&plan, &graph),
    };
    output::print(text)?;
    Ok(ExitCode::Ok)
}

/// One graph of all shapes; where two disagree on an edge, `after` is the stronger word.
fn union<'a>(shapes: impl Iterator<Item = &'a Shape>) -> DiGraphMap<TestIx, Meaning> {
    let mut graph = DiGraphMap::new();
    for shape in shapes {
        for test in &shape.tests {
            graph.add_node(*test);
        }
        for edge in &shape.after {
            graph.add_edge(edge.after, edge.test, Meaning::After);
        }
        for edge in &shape.order {
            if !graph.contains_edge(edge.after, edge.test) {
                graph.add_edge(edge.after, edge.test, Meaning::Order);
            }
        }
    }
    graph
}

fn mermaid(plan: &ExecutionPlan, graph: &DiGraphMap<TestIx, Meaning>) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for test in graph.nodes() {
        // Mermaid has no escapes but entities.
        let id = plan.tests[test].id.as_str().replace('#', "#35;");
        let id = id.replace('"', "#quot;");
        text.push_str(&format!("  t{}[\"{id}\"]\n", test.0));
    }
    for (from, to, meaning) in graph.all_edges() {
        let arrow = match meaning {
            Meaning::After => "-->",
            Meaning::Order => "-.->",
        };
        text.push_str(&format!("  t{} {arrow} t{}\n", from.0, to.0));
    }
    text
}

fn dot(plan: &ExecutionPlan, graph: &DiGraphMap<TestIx, Meaning>) -> String {
    let options = [
        Config::EdgeNoLabel,
        Config::NodeNoLabel,
        Config::RankDir(RankDir::LR),
    ];
    let edge = |_, (_, _, meaning): (TestIx, TestIx, &Meaning)| match meaning {
        Meaning::After => String::new(),
        Meaning::Order => "style = dashed".to_owned(),
    };
    let node = |_, (test, _): (TestIx, _)| format!("label = {:?}", plan.tests[test].id.as_str());
    format!(
        "{:?}\n",
        Dot::with_attr_getters(graph, &options, &edge, &node)
    )
}
