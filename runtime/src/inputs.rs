//! Inputs that are bound when a plan is run: values of an account or a site, such as a proxy. They are shown
//! wherever they are used; what must not be shown is one of [`crate::secrets`].

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::{ExecutionPlan, Value};

/// Values by name, for each region if need be.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    everywhere: BTreeMap<String, Value>,
    by_region: BTreeMap<(String, String), Value>,
}

impl Inputs {
    /// Binds `name` to `value` in all regions that are not named, in place of what it was bound to.
    pub fn bind(&mut self, name: impl Into<String>, value: Value) {
        self.everywhere.insert(name.into(), value);
    }

    /// Binds `name` to `value` on machines of `region`, in place of what it was bound to.
    pub fn bind_in(&mut self, region: impl Into<String>, name: impl Into<String>, value: Value) {
        self.by_region.insert((region.into(), name.into()), value);
    }

    /// The value of `name` on machines of `region`.
    #[must_use]
    pub fn value(&self, name: &str, region: &str) -> Option<&Value> {
        let own = self.by_region.get(&(region.to_owned(), name.to_owned()));
        own.or_else(|| self.everywhere.get(name))
    }
}

/// An input that has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnboundInput {
    /// Its name.
    pub name: String,
    /// The regions where it has none; empty where it has none anywhere.
    pub regions: Vec<String>,
}

/// The inputs of `plan` that `inputs` does not bind for all of its regions. A run with any of them is refused
/// before anything is launched.
#[must_use]
pub fn unbound_inputs(plan: &ExecutionPlan, inputs: &Inputs) -> Vec<UnboundInput> {
    let regions: BTreeSet<&str> = plan
        .machines
        .iter()
        .map(|machine| machine.region.as_str())
        .collect();
    let unbound = plan.inputs.iter().filter_map(|input| {
        let lacks = |region: &&str| {
            let value = inputs.value(&input.name, region);
            !value.is_some_and(|value| value.is_of(&input.r#type))
        };
        let lacking: Vec<String> = regions
            .iter()
            .copied()
            .filter(lacks)
            .map(str::to_owned)
            .collect();
        (!lacking.is_empty()).then(|| UnboundInput {
            name: input.name.clone(),
            regions: if lacking.len() == regions.len() {
                Vec::new()
            } else {
                lacking
            },
        })
    });
    unbound.collect()
}
