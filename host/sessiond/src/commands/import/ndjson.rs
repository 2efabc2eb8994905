//! `sessiond import FILE`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::checkpoint::Checkpoint;
use super::progress::Progress;
use crate::cli::ImportTarget;
use crate::commands::socket;
use crate::config::StoreConfig;
use crate::import::Importer;
use crate::import::block::Lines;

/// The longest line, in bytes. The longest that an export writes holds all state of a session.
const MAX_LINE: u64 = 1 << 30;
/// After how many lines it is noted how far it is.
const PART: u64 = 1_000;

pub(super) async fn run(file: &Path, target: &ImportTarget) -> anyhow::Result<ExitCode> {
    let (config, path) = super::config_of(target)?;
    let name = file.display().to_string();
    if matches!(config.store, StoreConfig::Embedded) {
        let Some(admin) = &config.server.admin_socket else {
            anyhow::bail!(socket::NO_SOCKET);
        };
        if target.checkpoint.is_some() {
            anyhow::bail!(
                "a checkpoint is for a store in Redis: run it again without, what is there is skipped"
            );
        }
        let flags = format!("bypass_hooks={}&dry_run={}", target.bypass_hooks, target.dry_run);
        let report = socket::import(admin, &flags, file).await?;
        return super::conclude(&report, &name, target.dry_run);
    }
    let service = super::service_of(config, &path).await?;
    let mut importer = Importer::new(service, super::screening_of(target), target.dry_run);
    let (reader, size) = open(file).await?;
    // A file has no runs, but another one may have got its name.
    let from = serde_json::json!({ "file": name, "size": size, "dry_run": target.dry_run });
    let checkpoint = target.checkpoint.as_deref();
    if checkpoint.is_some() && name == "-" {
        anyhow::bail!("a checkpoint needs a file: the standard input cannot be gone back to");
    }
    let (checkpoint, skip, report) = Checkpoint::open(checkpoint, from, String::new())?;
    importer.report = report;
    read_all(reader, size, skip, &mut importer, &checkpoint).await?;
    checkpoint.remove();
    super::conclude(&importer.report, &name, target.dry_run)
}

async fn open(file: &Path) -> anyhow::Result<(Box<dyn AsyncBufRead + Unpin + Send>, u64)> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(tokio::io::stdin())), 0));
    }
    let opened = tokio::fs::File::open(file).await;
    let opened = opened.with_context(|| format!("cannot read {}", file.display()))?;
    let size = opened.metadata().await?.len();
    Ok((Box::new(BufReader::with_capacity(1 << 16, opened)), size))
}

/// Reads all lines. The first `skip` of them were imported before, but the very first says what the
/// file is.
async fn read_all(
    mut reader: Box<dyn AsyncBufRead + Unpin + Send>,
    size: u64,
    skip: u64,
    importer: &mut Importer,
    checkpoint: &Checkpoint,
) -> anyhow::Result<()> {
    let (mut lines, mut progress) = (Lines::default(), Progress::start(size));
    let (mut at, mut noted) = (0, skip);
    let mut line = String::new();
    loop {
        line.clear();
        let read = (&mut reader).take(MAX_LINE).read_line(&mut line).await;
        let read = read.context("the file cannot be read as text")? as u64;
        if read == 0 {
            break;
        }
        at += read;
        if lines.number() > 0 && lines.number() < skip {
            lines.pass();
            continue;
        }
        if lines.number() >= noted + PART && Lines::is_between(&line) {
            lines.flush(importer).await?;
            noted = lines.number();
            checkpoint.note(noted, &importer.report)?;
        }
        lines.line(importer, line.trim_end_matches(['\n', '\r'])).await?;
        progress.show(at, &mut importer.report);
    }
    lines.end(importer).await?;
    progress.end(at, &mut importer.report);
    Ok(())
}
