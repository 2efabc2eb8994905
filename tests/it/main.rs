//! The tests of the whole: a real daemon, a real Redis, real components, a real client.
//!
//! One binary, since each would link for seconds. `scripts/test` builds what it needs.

mod access;
mod adk;
mod adk_credentials;
mod architecture;
mod async_persist;
mod bindings;
mod cli;
mod conformance;
mod contract;
mod diagnostics;
mod documents;
mod every_way;
mod faults;
mod grants;
mod guards;
mod guests;
mod hooks;
mod hostile;
mod http;
mod import;
mod keyvalue;
mod model_summary;
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
mod summary_jobs;
mod traces;
mod trust;
mod watch;
mod windows;
mod writers;
