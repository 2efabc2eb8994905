//! The session store over Redis of version 6.2 or later, without modules: one server, a master that
//! Sentinels watch, or a Cluster.
//!
//! [`RedisStore`] answers as [`sessiond_core::store::embedded::EmbeddedStore`] does. A session's
//! keys share a slot with its user's, so every write is one script there, and every read one
//! transaction; only an app's state lives elsewhere, and reaches it through an outbox.

#![forbid(unsafe_code)]

mod access;
mod client;
mod cluster;
mod codec;
mod config;
mod directory;
mod error;
mod id_field;
mod keyspace;
mod link;
mod node;
mod outbox;
mod packed;
mod queue;
mod schema;
mod script;
mod sentinel;
mod server;
mod store;
mod transfer;
pub mod trpc;

pub use config::{Credentials, RedisConfig, TlsFiles, Topology};
pub use error::Error;
pub use queue::RedisQueue;
pub use store::RedisStore;
