//! The session store over Redis: one server of version 6.2 or later, without modules.
//!
//! [`RedisStore`] answers as [`sessiond_core::store::embedded::EmbeddedStore`] does. A session's
//! keys share a slot with its user's, so every write is one script there, and every read one
//! transaction; only an app's state lives elsewhere, and reaches it through an outbox.

mod client;
mod codec;
mod config;
mod error;
mod keyspace;
mod link;
mod outbox;
mod schema;
mod script;
mod server;
mod store;

pub use config::RedisConfig;
pub use error::Error;
pub use store::RedisStore;
