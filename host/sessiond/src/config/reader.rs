//! Reads a TOML document key by key, and remembers what was read.
//!
//! Each key is asked for by name, with its default. So the reader knows which keys there are, and
//! refuses all others; it knows where each stands, and says so; and it can print what every key came
//! to. Problems are gathered, so that one run shows all of them.

mod value;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) use self::value::{Limit, Secret};
use super::{ConfigError, Problem};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// The line of the file, from 1; none for a default.
    pub line: Option<usize>,
    /// The key, dotted.
    pub key: String,
}

/// A document that is being read.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    path: PathBuf,
    text: &'t str,
    root: Spanned<DeTable<'t>>,
    problems: RefCell<Vec<Problem>>,
    /// What was lowered to a ceiling.
    lowered: RefCell<Vec<String>>,
    resolved: RefCell<Vec<(String, String)>>,
}

/// A table of it.
#[derive(Debug)]
pub(crate) struct Section<'d> {
    document: &'d Document<'d>,
    /// The dotted name, with the final dot; empty for the root.
    prefix: String,
    /// None: the document does not have it, and all its keys have their defaults.
    table: Option<&'d DeTable<'d>>,
    known: RefCell<Vec<String>>,
}

impl<'t> Document<'t> {
    /// Parses a document. `path` is for messages, and for paths relative to it.
    pub(crate) fn parse(path: &Path, text: &'t str) -> Result<Self, ConfigError> {
        let root = DeTable::parse(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            let message = format!("this is not TOML: {}", error.message());
            ConfigError::new(path, vec![Problem { line, key: String::new(), message }])
        })?;
        let (problems, lowered, resolved) = Default::default();
        Ok(Self { path: path.to_owned(), text, root, problems, lowered, resolved })
    }

    /// The outermost table.
    pub(crate) fn root(&self) -> Section<'_> {
        Section::new(self, String::new(), Some(self.root.get_ref()))
    }

    /// What was lowered to a ceiling, in words.
    pub(crate) fn lowered(&self) -> Vec<String> {
        self.lowered.borrow().clone()
    }

    /// Ends the reading: every key and what it came to, if there was no problem.
    pub(crate) fn finish(self) -> Result<Vec<(String, String)>, ConfigError> {
        let mut problems = self.problems.into_inner();
        if problems.is_empty() {
            return Ok(self.resolved.into_inner());
        }
        problems.sort_by_key(|problem| problem.line);
        Err(ConfigError::new(&self.path, problems))
    }

    /// Notes a problem with a value.
    pub(crate) fn problem<T>(&self, at: &Located<T>, message: impl Into<String>) {
        let problem = Problem { line: at.line, key: at.key.clone(), message: message.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// A path, relative to the document's folder.
    pub(crate) fn relative(&self, path: &str) -> PathBuf {
        self.path.parent().map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

impl<'d> Section<'d> {
    fn new(document: &'d Document<'d>, prefix: String, table: Option<&'d DeTable<'d>>) -> Self {
        Self { document, prefix, table, known: RefCell::default() }
    }

    /// The document that it is of.
    pub(crate) fn document(&self) -> &'d Document<'d> {
        self.document
    }

    /// Whether the document has it.
    pub(crate) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the document gives a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The dotted name of one of its keys.
    pub(crate) fn dotted(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn entry(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        let entries = self.table?.iter();
        entries.into_iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// The keys that the document gives it.
    pub(crate) fn keys(&self) -> Vec<String> {
        let names = self.table.into_iter().flat_map(DeTable::keys);
        names.map(|name| name.get_ref().to_string()).collect()
    }

    /// A value at the place of a key.
    pub(crate) fn located<T>(&self, key: &str, value: T) -> Located<T> {
        let entry = self.entry(key);
        let line = entry.map(|entry| line_of(self.document.text, entry.span().start));
        Located { value, line, key: self.dotted(key) }
    }

    /// Notes a problem with a key.
    pub(crate) fn problem(&self, key: &str, message: impl Into<String>) {
        self.document.problem(&self.located(key, ()), message);
    }

    fn note(&self, key: &str, shown: impl Into<String>) {
        self.known.borrow_mut().push(key.to_owned());
        self.document.resolved.borrow_mut().push((self.dotted(key), shown.into()));
    }

    /// A table inside it.
    pub(crate) fn section(&self, key: &str) -> Section<'d> {
        self.known.borrow_mut().push(key.to_owned());
        let table = match self.entry(key).map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => Some(table),
            Some(_) => {
                self.problem(key, "this is a table: write it as `[NAME]` with keys below");
                None
            }
            None => None,
        };
        Section::new(self.document, format!("{}{key}.", self.prefix), table)
    }

    /// The tables of a table, by name.
    pub(crate) fn sections(&self, key: &str) -> Vec<(String, Section<'d>)> {
        let outer = self.section(key);
        let names = outer.table.into_iter().flat_map(DeTable::keys);
        let names: Vec<String> = names.map(|name| name.get_ref().to_string()).collect();
        names.into_iter().map(|name| (name.clone(), outer.section(&name))).collect()
    }

    /// The tables of an array, each with its number from 1 as its name.
    pub(crate) fn tables(&self, key: &str) -> Vec<Section<'d>> {
        self.known.borrow_mut().push(key.to_owned());
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let items = entry.get_ref().as_array().into_iter().flatten();
        let tables: Option<Vec<_>> = items.map(|item| item.get_ref().as_table()).collect();
        if entry.get_ref().as_array().is_none() || tables.is_none() {
            self.problem(key, "write an array of tables: [{ ... }, { ... }]");
        }
        let named = tables.unwrap_or_default().into_iter().zip(1..);
        let section = |(table, number): (&'d DeTable<'d>, usize)| {
            Section::new(self.document, format!("{}{key}.{number}.", self.prefix), Some(table))
        };
        named.map(section).collect()
    }

    /// A key read by a rule, or its default. The rule's error names the fix.
    fn read<T>(
        &self,
        key: &str,
        default: T,
        show: impl Fn(&T) -> String,
        rule: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        let value = match self.entry(key).map(|entry| rule(entry.get_ref())) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(message)) => {
                self.problem(key, message);
                default
            }
        };
        self.note(key, show(&value));
        value
    }

    /// A string, which may come from the environment or a file.
    pub(crate) fn text(&self, key: &str) -> Option<Secret> {
        let document = self.document;
        self.read(
            key,
            None,
            |text| value::show_text(text.as_ref()),
            |entry| value::text(entry, |path| document.relative(path)).map(Some),
        )
    }

    /// A string that is never shown, wherever it comes from.
    pub(crate) fn secret(&self, key: &str) -> Option<Secret> {
        let document = self.document;
        self.read(
            key,
            None,
            |text| value::show_text(text.as_ref()),
            |entry| value::text(entry, |path| document.relative(path)).map(|it| Some(it.hide())),
        )
    }

    /// A URL, whose password is not shown.
    pub(crate) fn address(&self, key: &str) -> Option<Secret> {
        let document = self.document;
        self.read(
            key,
            None,
            |text| value::show_text(text.as_ref().map(Secret::without_password).as_ref()),
            |entry| value::text(entry, |path| document.relative(path)).map(Some),
        )
    }

    /// The path of a file, relative to the document's folder.
    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|path| self.document.relative(path.reveal()))
    }

    /// A string with a default, put in a form by a rule.
    pub(crate) fn parsed<T>(
        &self,
        key: &str,
        default: &str,
        rule: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let document = self.document;
        let text = self.read(
            key,
            Secret::plain(default),
            |text| text.show(),
            |entry| value::text(entry, |path| document.relative(path)),
        );
        match rule(text.reveal()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(key, message);
                None
            }
        }
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
        default: T,
        shown: &str,
    ) -> T {
        let show = |(word, _): &(String, T)| format!("{word:?}");
        let rule = |entry: &DeValue<'_>| {
            let word = entry.as_str().unwrap_or_default();
            let found = choices.iter().find(|(name, _)| *name == word);
            found.map(|(name, value)| ((*name).to_owned(), *value)).ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
                format!("write one of {}", names.join(", "))
            })
        };
        self.read(key, (shown.to_owned(), default), show, rule).1
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &str, default: bool) -> bool {
        self.read(key, default, ToString::to_string, |entry| {
            entry.as_bool().ok_or_else(|| "write true or false".to_owned())
        })
    }

    /// A number from 1 to `max`.
    pub(crate) fn count(&self, key: &str, default: u64, max: u64) -> u64 {
        self.read(key, default, ToString::to_string, |entry| value::count(entry, max, None))
    }

    /// A number from 0 to `max`.
    pub(crate) fn count_from_zero(&self, key: &str, default: u64, max: u64) -> u64 {
        self.read(key, default, ToString::to_string, |entry| value::from_zero(entry, max))
    }

    /// A number from 0 to `max`, without a default.
    pub(crate) fn number(&self, key: &str, max: u64) -> Option<u64> {
        let show = |number: &Option<u64>| {
            number.map_or_else(|| "# not set".to_owned(), |number| number.to_string())
        };
        self.read(key, None, show, |entry| value::from_zero(entry, max).map(Some))
    }

    /// A number from 1 to `max`, or a word for no limit.
    pub(crate) fn count_or(
        &self,
        key: &str,
        word: &str,
        default: Limit<u64>,
        max: u64,
    ) -> Limit<u64> {
        let show = |limit: &Limit<u64>| limit.show(word, ToString::to_string);
        self.read(key, default, show, |entry| match entry.as_str() {
            Some(text) if text == word => Ok(Limit::None),
            _ => value::count(entry, max, Some(word)).map(Limit::At),
        })
    }

    /// A number from 0 to 1.
    pub(crate) fn ratio(&self, key: &str, default: f64) -> f64 {
        self.read(key, default, |ratio| format!("{ratio:?}"), value::ratio)
    }

    /// A size in bytes, from 1 to `max`.
    pub(crate) fn size(&self, key: &str, default: &str, max: u64) -> usize {
        let fallback = value::size(default, max).unwrap_or(1);
        let show = |size: &u64| format!("{:?}", value::show_size(*size));
        let size = self.read(key, fallback, show, |entry| {
            let text = entry.as_str().ok_or("write a size as text, like \"64MiB\"")?;
            value::size(text, max)
        });
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    /// A value above zero, and never more than a ceiling: what is more is lowered, with a warning.
    fn within<T: Copy + PartialOrd>(
        &self,
        key: &str,
        (default, most): (T, T),
        show: impl Fn(&T) -> String,
        rule: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        let least = |value: T| if value > most { most } else { value };
        let lowered = Cell::new(false);
        let value = self.read(key, least(default), &show, |entry| {
            let value = rule(entry)?;
            lowered.set(value > most);
            Ok(least(value))
        });
        if lowered.get() {
            let (dotted, most) = (self.dotted(key), show(&most));
            self.document
                .lowered
                .borrow_mut()
                .push(format!("{dotted} is lowered to {most}: [plugin_limits] allows no more"));
        }
        value
    }

    /// A size in bytes, from 1, and never more than a ceiling.
    pub(crate) fn size_within(&self, key: &str, default: usize, most: usize) -> usize {
        let show = |size: &usize| format!("{:?}", value::show_size(*size as u64));
        self.within(key, (default, most), show, |entry| {
            let text = entry.as_str().ok_or("write a size as text, like \"64MiB\"")?;
            Ok(usize::try_from(value::size(text, u64::MAX)?).unwrap_or(usize::MAX))
        })
    }

    /// A number from 1, and never more than a ceiling.
    pub(crate) fn count_within(&self, key: &str, default: usize, most: usize) -> usize {
        self.within(key, (default, most), ToString::to_string, |entry| {
            let count = value::count(entry, 1_000_000_000, None)?;
            Ok(usize::try_from(count).unwrap_or(usize::MAX))
        })
    }

    /// A duration above zero, and never more than a ceiling.
    pub(crate) fn duration_within(&self, key: &str, default: Duration, most: Duration) -> Duration {
        let rule = |entry: &DeValue<'_>| value::duration(entry, None);
        self.within(key, (default, most), value::show_duration, rule)
    }

    /// A duration above zero.
    pub(crate) fn duration(&self, key: &str, default: Duration) -> Duration {
        self.read(key, default, value::show_duration, |entry| value::duration(entry, None))
    }

    /// A duration above zero, or "none".
    pub(crate) fn duration_or_none(&self, key: &str) -> Option<Duration> {
        self.duration_or(key, "none")
    }

    /// A duration above zero, or a word in place of it, which is the default.
    pub(crate) fn duration_or(&self, key: &str, word: &str) -> Option<Duration> {
        let show = |limit: &Limit<Duration>| limit.show(word, value::show_duration);
        let limit = self.read(key, Limit::None, show, |entry| match entry.as_str() {
            Some(text) if text == word => Ok(Limit::None),
            _ => value::duration(entry, Some(word)).map(Limit::At),
        });
        limit.into()
    }

    /// A list of strings, each with its place.
    pub(crate) fn names(&self, key: &str) -> Vec<Located<String>> {
        let show = |names: &Vec<(usize, String)>| {
            let names: Vec<_> = names.iter().map(|(_, name)| format!("{name:?}")).collect();
            format!("[{}]", names.join(", "))
        };
        let names = self.read(key, Vec::new(), show, value::names);
        let located = names.into_iter().map(|(offset, value)| {
            let line = Some(line_of(self.document.text, offset));
            Located { value, line, key: self.dotted(key) }
        });
        located.collect()
    }

    /// A string and its place.
    pub(crate) fn name(&self, key: &str) -> Option<Located<String>> {
        let text = self.text(key)?;
        Some(self.located(key, text.reveal().to_owned()))
    }

    /// Ends the reading of a table: a key that was not asked for is a problem.
    pub(crate) fn finish(self) {
        let known = self.known.borrow();
        for name in self.table.into_iter().flat_map(DeTable::keys) {
            let key = name.get_ref().as_ref();
            if known.iter().any(|known| known == key) {
                continue;
            }
            let message = format!("there is no such key here; there are {}", known.join(", "));
            let line = Some(line_of(self.document.text, name.span().start));
            let at = Located { value: (), line, key: self.dotted(key) };
            self.document.problem(&at, message);
        }
    }
}
