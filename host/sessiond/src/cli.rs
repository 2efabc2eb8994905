//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps the sessions of AI agents, and runs your own logic on them as sandboxed WebAssembly plugins.
///
/// Without a configuration, `sessiond serve` keeps sessions in memory and listens on 127.0.0.1:7717.
/// Try it:
///
///   curl -X POST -H 'Content-Type: application/json' -d '{"id":"s1"}' \
///     http://127.0.0.1:7717/v1/apps/demo/users/me/sessions
#[derive(Debug, Parser)]
#[command(name = "sessiond", version, verbatim_doc_comment)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon until SIGTERM or Ctrl-C.
    Serve {
        /// The configuration. Without it: sessions in memory, on the loopback interface.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Check a configuration: connect, load and try everything, and print what every key came to.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Print what is stored, as NDJSON, byte for byte. No hook looks on: this is for the operator.
    Export(ExportArgs),
    /// Put sessions into the configured store: from a file of `sessiond export`, or from a Redis that
    /// trpc-agent-go has written.
    ///
    /// What is there already and equal is skipped, what differs is reported and left alone: after an
    /// interruption, run it again. The exit code is not 0 if anything could not be imported.
    Import(ImportArgs),
    /// Make tokens for `server.tokens_file`.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Write and try plugins, and reload those of a daemon that runs.
    #[command(subcommand)]
    Plugin(PluginCommand),
}

/// What to export.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The configuration that the daemon runs with. A Redis store is read directly; the embedded
    /// store is asked for through `server.admin_socket`.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Past the get hooks: what is stored, rather than what clients see. There is no other export
    /// yet.
    #[arg(long, required = true)]
    pub raw: bool,
    /// Only this app's sessions.
    #[arg(long)]
    pub app: Option<String>,
    /// Only this user's.
    #[arg(long)]
    pub user: Option<String>,
    /// Only this session.
    #[arg(long)]
    pub session: Option<String>,
}

/// What to import.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ImportArgs {
    /// A file that `sessiond export` has written; `-` is the standard input.
    pub file: Option<PathBuf>,
    /// Where to put it.
    #[command(flatten)]
    pub target: ImportTarget,
    /// Another source than a file.
    #[command(subcommand)]
    pub source: Option<ImportSource>,
}

/// Where else sessions may come from.
#[derive(Debug, Subcommand)]
pub enum ImportSource {
    /// Read a Redis that trpc-agent-go has written, in both of its layouts. Nothing is written there.
    Trpc(TrpcArgs),
}

/// Which sessions of trpc-agent-go to import.
#[derive(Debug, Args)]
pub struct TrpcArgs {
    /// The Redis to read: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `unix://PATH`.
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The key prefix that trpc-agent-go is configured with.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// Only this app's sessions.
    #[arg(long)]
    pub app: Option<String>,
    /// Only this user's.
    #[arg(long)]
    pub user: Option<String>,
    /// Where to put it.
    #[command(flatten)]
    pub target: ImportTarget,
}

/// Where to put what is imported, and how.
#[derive(Debug, Args)]
pub struct ImportTarget {
    /// The configuration that the daemon runs with. A Redis store is written directly; the embedded
    /// store is given a file through `server.admin_socket`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Past the append hooks: what is imported is stored as it is. This is for the operator.
    #[arg(long)]
    pub bypass_hooks: bool,
    /// Note here how far it is, and go on from there after an interruption.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Read and compare everything, and write nothing. No hook runs.
    #[arg(long)]
    pub dry_run: bool,
}

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print a new token, and the line for the tokens file. The token itself is kept nowhere.
    New(NewTokenArgs),
}

/// What a new token may do.
#[derive(Debug, Args)]
pub struct NewTokenArgs {
    /// Its name, which logs and plugins get to see.
    pub name: String,
    /// The apps: a name, or a pattern in which `*` stands for any text.
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    pub app: String,
    /// The users of these apps.
    #[arg(long, value_name = "PATTERN", default_value = "*")]
    pub user: String,
    /// What it may do there: `read`, `append`, or `admin`, which is for the whole daemon. May be given
    /// several times; without it: read and append.
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
}

/// What authors of plugins do.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make a new project that builds, with a hook to change.
    New {
        /// The language.
        #[arg(long, value_enum)]
        lang: Language,
        /// The name of the project, and of its folder.
        name: String,
    },
    /// Look at a component: what it exports and imports, whether it fits, and whether its hooks
    /// answer.
    Check {
        /// The component.
        file: PathBuf,
    },
    /// Run a component's hooks on recorded events, and show what they change.
    Test {
        /// The component.
        file: PathBuf,
        /// Events, one JSON object a line: events as clients append them, or append items.
        #[arg(long, value_name = "FILE")]
        events: PathBuf,
    },
    /// Measure what a component costs: its hooks on warm and on fresh instances, its memory, and its
    /// start.
    Bench {
        /// The component.
        file: PathBuf,
        /// Events, one JSON object a line. Each call gets all of them. Without: one message of 1 kB.
        #[arg(long, value_name = "FILE")]
        events: Option<PathBuf>,
        /// One JSON object, to make a table of several.
        #[arg(long)]
        json: bool,
    },
    /// List the plugins of a daemon that runs, through `server.admin_socket`.
    List {
        /// The configuration that the daemon runs with.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Have a daemon that runs take a plugin's file that has changed. The configuration is not read
    /// again. If the file is not fit, the plugin that was loaded before serves on.
    Reload {
        /// The plugin's name in the configuration.
        name: String,
        /// The configuration that the daemon runs with.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Remove all that a plugin keeps through wasi:keyvalue, of every app. Do it when the plugin is out
    /// of the configuration, or while it may lose what it knows.
    Purge {
        /// The plugin's name in the configuration.
        name: String,
        /// The configuration that the daemon runs with.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Compile components into the cache, so that the next start need not.
    Precompile(PrecompileArgs),
    /// Write the WIT package, to build plugins against.
    Wit {
        /// The folder. It is made if it is missing.
        dir: PathBuf,
    },
}

/// What to compile.
#[derive(Debug, Args)]
pub struct PrecompileArgs {
    /// The components. Without any: the plugins of the configuration.
    pub files: Vec<PathBuf>,
    /// The configuration that the daemon runs with. Without it, what holds by default.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Compile the standard input to the standard output: how the daemon compiles.
    #[arg(long, value_name = "ALLOCATION", hide = true, conflicts_with_all = ["files", "config"])]
    pub pipe: Option<String>,
}

/// A language that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust, with wit-bindgen.
    Rust,
    /// JavaScript, with componentize-qjs.
    Javascript,
    /// TypeScript, with componentize-qjs.
    Typescript,
    /// Python, with componentize-py.
    Python,
    /// C, with zig cc.
    C,
    /// C++23, with zig c++.
    Cpp,
    /// Go, with its own compiler.
    Go,
    /// Zig.
    Zig,
    /// Nim, with zig cc.
    Nim,
}
