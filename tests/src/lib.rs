//! What the tests work with: real servers, a real daemon, a real client.
//!
//! Nothing here is part of the product. The daemon is run as a process, so that the tests see what
//! its users see.

pub mod append_cost;
pub mod client;
pub mod daemon;
pub mod demo;
pub mod faults;
pub mod proxy;
pub mod redis_cluster;
pub mod redis_cost;
pub mod redis_keys;
pub mod redis_sentinel;
pub mod redis_server;
pub mod replay;
pub mod scenario;
pub mod siege;
pub mod sse;
pub mod start_up;
pub mod throughput;
pub mod wait;
pub mod wat;
pub mod web;
