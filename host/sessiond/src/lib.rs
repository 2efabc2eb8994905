//! The daemon and its command line: configuration, HTTP, telemetry, wiring, shutdown.
//!
//! [`cli`] says what there is; [`commands`] does it; [`app::App`] is the daemon itself. The rules of
//! sessions are in `sessiond-core`, and nothing here decides anything about them.

#![forbid(unsafe_code)]

pub mod access;
pub mod app;
pub mod cli;
pub mod commands;
pub mod compiler;
pub mod config;
pub mod door;
pub mod http;
pub mod plugins;
pub mod reload;
pub mod telemetry;
pub mod tls;

mod export;
mod import;
mod journal;
mod models;
mod outbound;
mod ports;
