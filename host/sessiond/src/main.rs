//! The program: reads the command line, does it, and says how it went.

use std::process::ExitCode;

use clap::Parser as _;
use sessiond::cli::Cli;

fn main() -> ExitCode {
    match sessiond::commands::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "this is what the user gets to read")]
            {
                eprintln!("sessiond: {error:#}");
            }
            // What sysexits.h calls a configuration error or another failure.
            ExitCode::from(if error.is::<sessiond::config::ConfigError>() { 78 } else { 1 })
        }
    }
}
