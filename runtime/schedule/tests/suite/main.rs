//! What the scheduler makes, what the checker refuses and what lives cost.

mod bills;
mod bills_properties;
mod certificate;
mod cost;
mod exact;
mod floor;
mod follow;
mod generate;
mod history;
mod limit;
mod machines;
mod mutations;
mod oracle;
mod parts;
mod properties;
mod quotas;
mod small;
mod spent;
