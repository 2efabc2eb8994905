//! How far an import has come, in a file: the next run goes on from there.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::import::report::Report;

/// The version of the file.
const VERSION: u64 = 1;

/// A file that is written after each part, and removed at the end.
pub(super) struct Checkpoint {
    path: Option<PathBuf>,
    /// What is imported from, and how. A file of another import is refused.
    from: Value,
    /// In which run of the source a place holds.
    run: String,
}

impl Checkpoint {
    /// Opens the file. Returns the place to go on from, and the report so far.
    ///
    /// # Errors
    /// When it cannot be read, or is of another import.
    pub(super) fn open(
        path: Option<&Path>,
        from: Value,
        run: String,
    ) -> anyhow::Result<(Self, u64, Report)> {
        let this = Self { path: path.map(Path::to_owned), from, run };
        let Some(path) = path.filter(|path| path.exists()) else {
            return Ok((this, 0, Report::default()));
        };
        let read = || format!("cannot read the checkpoint {}", path.display());
        let text = std::fs::read_to_string(path).with_context(read)?;
        let found: Value = serde_json::from_str(&text).with_context(read)?;
        let is = |name: &str, value: &Value| found.get(name) == Some(value);
        if !is("sessiond_checkpoint", &VERSION.into()) || !is("from", &this.from) {
            anyhow::bail!(
                "the checkpoint {} is of another import: name another file, or remove it",
                path.display()
            );
        }
        if !is("run", &this.run.clone().into()) {
            // Places of an earlier run mean nothing now. What is there already is skipped.
            return Ok((this, 0, Report::default()));
        }
        let place = found.get("place").and_then(Value::as_u64).unwrap_or_default();
        let report = found.get("report").map(Report::from_json).unwrap_or_default();
        Ok((this, place, report))
    }

    /// Notes how far it is. A crash in between leaves the note before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn note(&self, place: u64, report: &Report) -> anyhow::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = json!({
            "sessiond_checkpoint": VERSION,
            "from": self.from,
            "run": self.run,
            "place": place,
            "report": report.to_json(),
        });
        let beside = path.with_extension("new");
        let wrote = std::fs::write(&beside, text.to_string());
        let moved = wrote.and_then(|()| std::fs::rename(&beside, path));
        moved.with_context(|| format!("cannot write the checkpoint {}", path.display()))
    }

    /// The import is complete: there is nothing to go on from.
    pub(super) fn remove(self) {
        if let Some(path) = &self.path {
            // Without a part there is none.
            let _ = std::fs::remove_file(path);
        }
    }
}
