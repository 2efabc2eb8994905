//! What a session is, and how a request flows. Knows no Redis, no WebAssembly and no HTTP.
//!
//! A request comes to [`service::SessionService`], which passes it through the hooks of
//! [`hook::chain::HookChain`] and a [`store::SessionStore`]. The nouns are [`event::Event`],
//! [`state::StateValue`] and [`summary::Summary`]; the rules that hold for every store are written
//! once, in [`store::embedded`].

#![forbid(unsafe_code)]

pub mod service;

pub mod hook;
pub mod store;
pub mod workers;

pub mod dialect;
pub mod digest;
pub mod error;
pub mod event;
pub mod json;
pub mod key;
pub mod read;
pub mod state;
pub mod summary;
pub mod time;
pub mod view;
pub mod window;
