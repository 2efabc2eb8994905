//! Faults under load: real daemons and real servers are killed, cut and slowed down while writers
//! append over HTTP; afterwards every append that was acknowledged is accounted for.
//!
//! A [`Fault`] says what is broken. A round starts a site, puts a load on it, strikes, and
//! lets [`check`] compare the [`journal`] of what was acknowledged with what is stored. Tests run each
//! fault for some seconds; `scripts/soak` runs them for as long as one likes.

pub mod check;
pub mod deletion;
mod fault;
pub mod journal;
mod load;
pub mod queued;
mod round;
mod site;
pub mod soak;

pub use fault::{Expect, FAULTS, Fault, named};
pub use round::{Round, run};
