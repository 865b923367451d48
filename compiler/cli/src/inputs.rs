//! Inputs: the values that a plan leaves to the configuration, for each region if need be.

use dva_plan::parse::{self, ExtraFields};
use dva_plan::plan::Input;
use dva_plan::{ExecutionPlan, ExitCode, Value};
use dva_runtime::inputs::{Inputs, UnboundInput, unbound_inputs};

use crate::config::{Config, REGIONS};
use crate::failure::Failure;

/// The inputs of `plan`. One that is not bound where the plan needs it refuses the run, and so does one of
/// another type than the plan's.
pub fn bind(config: &Config, plan: &ExecutionPlan) -> Result<Inputs, Failure> {
    let mut inputs = Inputs::default();
    for input in &plan.inputs {
        if let Some(found) = config.input.get(&input.name) {
            inputs.bind(&input.name, value(input, found, "input")?);
        }
        let regions = config.input.get(REGIONS).and_then(toml::Value::as_table);
        for (region, of_region) in regions.into_iter().flatten() {
            if let Some(found) = of_region.get(&input.name) {
                let section = format!("input.{REGIONS}.{region}");
                inputs.bind_in(region, &input.name, value(input, found, &section)?);
            }
        }
    }
    let unbound = unbound_inputs(plan, &inputs);
    let Some(first) = unbound.first() else {
        return Ok(inputs);
    };
    let section = match first.regions.first() {
        None => "input".to_owned(),
        Some(region) => format!("input.{REGIONS}.{region}"),
    };
    let names: Vec<_> = unbound.iter().map(named).collect();
    Err(Failure::new(
        ExitCode::Refused,
        format!(
            "The plan needs inputs that are not bound: {}. Nothing was started. Say in dva.toml what each \
             one is:\n  [{section}]\n  {} = …",
            names.join(", "),
            first.name,
        ),
    ))
}

fn named(input: &UnboundInput) -> String {
    if input.regions.is_empty() {
        input.name.clone()
    } else {
        format!("{} (in {})", input.name, input.regions.join(", "))
    }
}

/// What the configuration says of `input`, as a value of the type that the plan wants.
fn value(input: &Input, found: &toml::Value, section: &str) -> Result<Value, Failure> {
    let json = match found {
        toml::Value::Datetime(date) => serde_json::Value::String(date.to_string()),
        other => serde_json::to_value(other)
            .map_err(|error| Failure::new(ExitCode::Refused, error.to_string()))?,
    };
    parse::json(&json, &input.r#type, None, ExtraFields::Refused).map_err(|misfit| {
        Failure::new(
            ExitCode::Refused,
            format!("[{section}] {}: {misfit}.", input.name),
        )
    })
}
