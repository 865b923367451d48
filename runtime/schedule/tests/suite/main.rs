//! What the scheduler makes, what the checker refuses and what a life costs.

mod bills;
mod bills_properties;
mod exact;
mod generate;
mod mutations;
mod properties;
