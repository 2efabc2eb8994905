//! How far an import is: a bar on a terminal, a line now and then otherwise.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::import::report::Report;

/// How often a line is written where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);

/// Tells on the standard error how far it is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    last: Instant,
    total: u64,
}

impl Progress {
    /// Of about so many keys or bytes.
    pub(super) fn start(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(total));
        let style = ProgressStyle::with_template("{bar:30} {percent}% {msg} ({eta} left)");
        if let (Some(bar), Ok(style)) = (&bar, style) {
            bar.set_style(style);
        }
        Self { bar, last: Instant::now(), total }
    }

    /// Tells how far it is, and what was found since.
    pub(super) fn show(&mut self, at: u64, report: &mut Report) {
        for line in report.take_fresh() {
            self.line(&line);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(at.min(self.total));
            bar.set_message(report.progress());
        } else if self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            self.line(&format!("{at} of about {}: {}", self.total, report.progress()));
        }
    }

    /// The last word.
    pub(super) fn end(mut self, at: u64, report: &mut Report) {
        self.show(at, report);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.line(&format!("done: {}", report.progress()));
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            // Who has closed it does not want to know.
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }
}
