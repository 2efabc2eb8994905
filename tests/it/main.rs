//! The tests of the whole: a real daemon, a real Redis, real components, a real client.
//!
//! One binary, since each would link for seconds. `scripts/test` builds what it needs.

mod access;
mod adk;
mod architecture;
mod cli;
mod conformance;
mod contract;
mod documents;
mod faults;
mod grants;
mod hooks;
mod hostile;
mod http;
mod import;
mod keyvalue;
mod models;
mod outgoing;
mod plugin_author;
mod plugin_cache;
mod plugin_reload;
mod property;
mod redis_store;
mod redis_topology;
mod replay;
mod replay_matrix;
mod shutdown;
mod summaries;
mod trust;
mod watch;
mod windows;
mod writers;
