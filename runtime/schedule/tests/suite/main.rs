//! What the scheduler makes and what the checker refuses.

mod exact;
mod generate;
mod mutations;
mod properties;
