//! Machines that are EC2 instances.
//!
//! | part | does |
//! |---|---|
//! | [`error`] | says what EC2's error codes mean for a run |
//! | [`bucket`] | lets calls wait until EC2 takes them |
//! | [`user_data`](mod@user_data) | puts the timer that ends a machine beside the plan's own user data |
//! | [`request`] | makes the call that launches a machine |

pub mod bucket;
pub mod error;
pub mod request;
pub mod user_data;
