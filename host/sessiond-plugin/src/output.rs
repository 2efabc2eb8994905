//! What guests write to the log and to their standard streams: data, to be escaped and capped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sessiond_core::key::Subject;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::limits::CallLimits;

/// The longest line, in bytes; the rest of it is cut.
const MAX_LINE: usize = 4 * 1024;
/// How much of the standard error, and of what was logged as an error, is kept for the report of a
/// failure, in bytes.
const TAIL: usize = 4 * 1024;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Where an instance's output goes. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    plugin: Arc<str>,
    /// Whether any of it is logged.
    shown: bool,
    request_id: Arc<str>,
    /// Whom the call is about.
    subject: Option<Subject>,
    /// What the call may still log, in bytes and lines; the rest is dropped and counted.
    room: usize,
    lines: usize,
    dropped: usize,
    /// The lines that were begun on the standard output and error.
    out: String,
    err: String,
    tail: String,
}

impl Output {
    /// Output that is logged, or that nobody sees.
    pub(crate) fn new(plugin: Arc<str>, shown: bool) -> Self {
        let inner = Inner {
            plugin,
            shown,
            request_id: "".into(),
            subject: None,
            room: 0,
            lines: 0,
            dropped: 0,
            out: String::new(),
            err: String::new(),
            tail: String::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call: its lines are marked with it, and have room of their own.
    pub(crate) fn begin(&self, request_id: Arc<str>, subject: Subject, limits: &CallLimits) {
        let mut inner = self.lock();
        inner.request_id = request_id;
        inner.subject = Some(subject);
        inner.room = limits.log_size;
        inner.lines = limits.log_lines;
        inner.tail.clear();
    }

    /// Ends a call, and returns the last that it wrote to its standard error.
    pub(crate) fn end(&self) -> String {
        let mut inner = self.lock();
        for stream in [Stream::Out, Stream::Err] {
            let rest = std::mem::take(inner.begun(stream));
            if !rest.is_empty() {
                inner.log(stream.level(), &rest);
            }
        }
        let dropped = std::mem::take(&mut inner.dropped);
        if dropped > 0 {
            let plugin = inner.plugin.to_string();
            metrics::counter!("sessiond_plugin_log_dropped_bytes_total", "plugin" => plugin.clone())
                .increment(dropped as u64);
            tracing::warn!(plugin, dropped, "the plugin logged too much; the rest was dropped");
        }
        std::mem::take(&mut inner.tail)
    }

    /// Writes a line to the daemon's log.
    pub(crate) fn log(&self, level: Level, message: &str) {
        let mut inner = self.lock();
        if level == Level::Error {
            // Where there is no standard error, this is where a panic is told.
            inner.remember(message);
            inner.remember("\n");
        }
        inner.log(level, message);
    }

    /// The standard output or error of an instance.
    pub(crate) fn stream(&self, stream: Stream) -> GuestStream {
        GuestStream { output: self.clone(), stream }
    }
}

impl Inner {
    fn log(&mut self, level: Level, message: &str) {
        if !self.shown {
            return;
        }
        let line = cut(message, MAX_LINE);
        if line.len() > self.room || self.lines == 0 {
            self.dropped += message.len();
            return;
        }
        self.room -= line.len();
        self.lines -= 1;
        self.dropped += message.len() - line.len();
        // `?` escapes control characters, so a guest cannot forge lines of the log.
        let (plugin, request_id) = (&*self.plugin, &*self.request_id);
        let session = self.subject.as_ref().map(tracing::field::display);
        match level {
            Level::Trace => {
                tracing::trace!(target: "guest", plugin, session, request_id, message = ?line)
            }
            Level::Debug => {
                tracing::debug!(target: "guest", plugin, session, request_id, message = ?line)
            }
            Level::Info => {
                tracing::info!(target: "guest", plugin, session, request_id, message = ?line)
            }
            Level::Warn => {
                tracing::warn!(target: "guest", plugin, session, request_id, message = ?line)
            }
            Level::Error => {
                tracing::error!(target: "guest", plugin, session, request_id, message = ?line)
            }
        }
    }

    fn begun(&mut self, stream: Stream) -> &mut String {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    /// Keeps the end of what a failure is reported with.
    fn remember(&mut self, text: &str) {
        self.tail.push_str(cut(text, TAIL));
        let over = self.tail.len().saturating_sub(TAIL);
        let from = (over..=self.tail.len()).find(|at| self.tail.is_char_boundary(*at));
        self.tail.drain(..from.unwrap_or(over));
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        if stream == Stream::Err {
            self.remember(&text);
        }
        let mut rest = &*text;
        while let Some((line, after)) = rest.split_once('\n') {
            let begun = std::mem::take(self.begun(stream));
            self.log(stream.level(), &(begun + line));
            rest = after;
        }
        let begun = self.begun(stream);
        let kept = cut(rest, MAX_LINE.saturating_sub(begun.len()));
        begun.push_str(kept);
        self.dropped += rest.len() - kept.len();
    }
}

/// The first `max` bytes of a text, or fewer, so that no character is cut.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// One of a guest's standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

impl Stream {
    fn level(self) -> Level {
        match self {
            Self::Out => Level::Info,
            Self::Err => Level::Warn,
        }
    }
}

/// A stream that takes whatever a guest writes, and never blocks nor ends (P45).
#[derive(Debug, Clone)]
pub(crate) struct GuestStream {
    output: Output,
    stream: Stream,
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.lock().write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_of_what_was_written() {
        let output = Output::new("p".into(), true);
        output.begin("r".into(), Subject::trial(), &CallLimits::default());
        let mut stream = output.stream(Stream::Err);
        for _ in 0..1000 {
            stream.write(Bytes::from_static("0123456789é".as_bytes())).unwrap();
        }
        stream.write(Bytes::from_static(b"the end\n")).unwrap();
        let tail = output.end();
        assert!(tail.ends_with("the end\n") && tail.len() <= TAIL, "{}", tail.len());
        assert_eq!(output.end(), "");
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("aé", 9), "aé");
    }
}
