//! Hooks and summarizers as WebAssembly components.
//!
//! Three lifetimes, three types, never mixed: the [`engine::PluginEngine`] lives as long as the
//! process; a [`plugin::Plugin`] is a compiled component with its limits; an instance is one guest
//! with its memory. [`loader::PluginLoader`] makes plugins of files, and [`adapter::Hooks`] makes
//! hooks of plugins. Guests are trusted with nothing: what they return is checked by the core.

pub mod adapter;
pub mod bare;
pub mod breaker;
pub mod budget;
pub mod cache;
pub mod compile;
pub mod contract;
pub mod engine;
pub mod error;
pub mod grants;
pub mod limits;
pub mod loader;
pub mod model;
pub mod outgoing;
pub mod plugin;
pub mod signature;
pub mod slot;
pub mod wit;

mod alive;
mod artifact;
mod bindings;
mod host;
mod idle;
mod import;
mod instance;
mod measures;
mod offer;
mod output;
mod places;
mod pool;
mod rows;
mod trial;
