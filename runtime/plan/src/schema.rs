//! The JSON Schemas of the documents' bodies and of their header, generated from the types.
//!
//! They stand in `schema/`; a test holds them current and rewrites them under `DVA_BLESS=1`.

use schemars::{Schema, schema_for};

use crate::document::Header;
use crate::history::Observations;
use crate::plan::ExecutionPlan;
use crate::report::RunReport;
use crate::schedule::Schedule;

/// File names in `schema/`, each with the schema that belongs in it.
#[must_use]
pub fn schemas() -> [(&'static str, Schema); 5] {
    [
        ("header.schema.json", schema_for!(Header)),
        ("plan.schema.json", schema_for!(ExecutionPlan)),
        ("schedule.schema.json", schema_for!(Schedule)),
        ("report.schema.json", schema_for!(RunReport)),
        ("history.schema.json", schema_for!(Observations)),
    ]
}
