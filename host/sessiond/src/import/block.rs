//! The lines of an export, put together to sessions again. `export.rs` writes them.

use std::time::Duration;

use sessiond_core::dialect::Dialect;
use sessiond_core::event::{Event, Received, StoredEvent};
use sessiond_core::json::{Index, Value, unquote};
use sessiond_core::key::{AppKey, SessionKey, UserKey};
use sessiond_core::state::{StateMap, StateValue};
use sessiond_core::store::whole::{Origin, SessionTtl, TrackEvent, Whole};
use sessiond_core::summary::Summary;
use sessiond_core::time::Time;

use super::Importer;
use crate::export::VERSION;

/// Reads lines, and gives the importer each session once all its lines are there.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    number: u64,
    /// The session that lines are read of. None: there is none, or it is of no use.
    current: Option<(String, SessionKey, Whole)>,
    begun: bool,
    ended: bool,
}

impl Lines {
    /// Takes a line in.
    ///
    /// # Errors
    /// When the file is none of `sessiond export`, or the store does not answer. A line that cannot
    /// be read goes into the report.
    pub(crate) async fn line(&mut self, importer: &mut Importer, line: &str) -> anyhow::Result<()> {
        self.number += 1;
        importer.report.looked_at += 1;
        let at = format!("line {}", self.number);
        let index = match Index::of(line) {
            Ok(index) => index,
            Err(_) if !self.begun => return Err(not_ours()),
            Err(error) => {
                importer.report.lose(&at, format!("it is not JSON: {error}"));
                return Ok(());
            }
        };
        let root = index.root(line);
        let kind = root.text("kind").unwrap_or_default();
        if !self.begun {
            return self.begin(root, &kind);
        }
        let done = match kind.as_str() {
            "session" => {
                self.flush(importer).await?;
                session(root).map(|(key, whole)| self.current = Some((at.clone(), key, whole)))
            }
            "app_state" => {
                self.flush(importer).await?;
                match app(root) {
                    Ok((key, state)) => return importer.app_state(&at, &key, state).await,
                    Err(reason) => Err(reason),
                }
            }
            "user_state" => {
                self.flush(importer).await?;
                match user(root) {
                    Ok((key, state)) => return importer.user_state(&at, &key, state).await,
                    Err(reason) => Err(reason),
                }
            }
            "gone" => {
                self.current = None;
                importer
                    .report
                    .change(&at, "a session was deleted while it was exported: left out");
                Ok(())
            }
            "end" => {
                self.flush(importer).await?;
                self.ended = true;
                Ok(())
            }
            _ => self.part(&kind, root, importer.max_event_size()),
        };
        if let Err(reason) = done {
            importer.report.lose(&at, reason);
        }
        Ok(())
    }

    /// The file is over.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn end(&mut self, importer: &mut Importer) -> anyhow::Result<()> {
        if !self.begun {
            return Err(not_ours());
        }
        if !self.ended {
            // Nobody knows what is missing of the last one.
            if let Some((at, key, _)) = self.current.take() {
                importer
                    .report
                    .lose(&at, format!("the file breaks off within the session {key:?}"));
            }
            let at = format!("line {}", self.number);
            importer.report.lose(&at, "the file breaks off: its last line is missing");
        }
        Ok(())
    }

    /// The number of lines so far. Between sessions a later run may go on from here.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Counts a line that an earlier run has taken in.
    pub(crate) fn pass(&mut self) {
        self.number += 1;
    }

    /// Whether a line begins something new, so that what came before it is complete.
    pub(crate) fn is_between(line: &str) -> bool {
        ["session", "app_state", "user_state", "end"]
            .iter()
            .any(|kind| line.starts_with(&format!("{{\"kind\":\"{kind}\"")))
    }

    fn begin(&mut self, root: Value<'_>, kind: &str) -> anyhow::Result<()> {
        if kind != "sessiond-export" {
            return Err(not_ours());
        }
        match number(root, "version") {
            Some(VERSION) => {}
            Some(other) => anyhow::bail!(
                "the file is of version {other}: this program reads version {VERSION} only"
            ),
            None => return Err(not_ours()),
        }
        self.begun = true;
        Ok(())
    }

    /// Gives the importer the session whose lines are all there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn flush(&mut self, importer: &mut Importer) -> anyhow::Result<()> {
        let Some((at, key, whole)) = self.current.take() else { return Ok(()) };
        importer.session(&format!("{at}, session {key:?}"), &key, whole.counted()).await
    }

    /// A line that belongs to a session.
    fn part(&mut self, kind: &str, root: Value<'_>, max_size: usize) -> Result<(), String> {
        let known = matches!(kind, "summary" | "track" | "event" | "state");
        if !known {
            return Err(format!("{kind:?} is no kind of line"));
        }
        let Some((_, _, whole)) = &mut self.current else {
            return Err("its session could not be read".to_owned());
        };
        match kind {
            "summary" => whole.summaries.push(summary(root)?),
            "track" => {
                let (name, entry) = track(root)?;
                match whole.tracks.last_mut().filter(|(last, _)| *last == name) {
                    Some((_, entries)) => entries.push(entry),
                    None => whole.tracks.push((name, vec![entry])),
                }
            }
            _ => {
                let entry = entry(root, max_size)?;
                let last = whole.places.last().map_or(0, |last| last.sequence);
                if entry.sequence <= last || entry.sequence > whole.last_sequence {
                    return Err(format!("the sequence {} is out of order", entry.sequence));
                }
                whole.places.push(entry.into());
            }
        }
        Ok(())
    }
}

fn not_ours() -> anyhow::Error {
    anyhow::anyhow!("this is no file of `sessiond export`: its first line says so there")
}

fn number(root: Value<'_>, name: &str) -> Option<u64> {
    root.get(name)?.raw().parse().ok()
}

fn need<T>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("{name:?} is missing, or not what it should be"))
}

fn string(root: Value<'_>, name: &str) -> Result<String, String> {
    need(root.get(name).and_then(|value| Some(value.as_str()?.into_owned())), name)
}

fn time(root: Value<'_>, name: &str) -> Result<Time, String> {
    need(Time::parse(&string(root, name)?), name)
}

/// JSON as it was: itself, or a string of it in the member `NAME_text`.
fn text(root: Value<'_>, name: &str) -> Option<String> {
    match root.get(&format!("{name}_text")) {
        Some(value) => Some(unquote(value.raw()).into_owned()),
        None => root.get(name).map(|value| value.raw().to_owned()),
    }
}

fn state(root: Value<'_>) -> Result<StateMap, String> {
    let mut state = StateMap::new();
    for (name, value) in need(root.get("state"), "state")?.entries() {
        let name = name.as_str().unwrap_or_default().into_owned();
        state.insert(name, StateValue::from_json(value));
    }
    for (name, value) in root.get("state_text").into_iter().flat_map(|it| it.entries()) {
        let name = name.as_str().unwrap_or_default().into_owned();
        state.insert(name, StateValue::Json(unquote(value.raw()).into_owned()));
    }
    Ok(state)
}

fn app(root: Value<'_>) -> Result<(AppKey, StateMap), String> {
    let key = AppKey::new(string(root, "app")?).map_err(|error| error.to_string())?;
    Ok((key, state(root)?))
}

fn user(root: Value<'_>) -> Result<(UserKey, StateMap), String> {
    let key = UserKey::new(string(root, "app")?, string(root, "user")?);
    Ok((key.map_err(|error| error.to_string())?, state(root)?))
}

fn session(root: Value<'_>) -> Result<(SessionKey, Whole), String> {
    let key = SessionKey::new(string(root, "app")?, string(root, "user")?, string(root, "id")?);
    let key = key.map_err(|error| error.to_string())?;
    let ttl = match (number(root, "ttl_ms"), root.text("ttl")) {
        (Some(millis), _) => SessionTtl::After(Duration::from_millis(millis)),
        (None, Some(ttl)) if ttl == "never" => SessionTtl::Never,
        _ => SessionTtl::Default,
    };
    let origin = match root.get("origin") {
        Some(origin) => Some(Origin {
            user: string(origin, "user")?,
            session: string(origin, "session")?,
            sequence: need(number(origin, "seq"), "seq")?,
        }),
        None => None,
    };
    let last_sequence = need(number(root, "last_seq"), "last_seq")?;
    let whole = Whole {
        created_at: time(root, "created_at")?,
        updated_at: time(root, "updated_at")?,
        ttl,
        origin,
        ..Whole::of_entries(Vec::new(), last_sequence, state(root)?, Vec::new())
    };
    Ok((key, whole))
}

fn summary(root: Value<'_>) -> Result<Summary, String> {
    let root = need(root.get("summary"), "summary")?;
    let unseen = root
        .get("unseen")
        .and_then(|range| Some((number(range, "first_seq")?, number(range, "last_seq")?)));
    let topics = root.get("topics").into_iter().flat_map(|topics| topics.items());
    Ok(Summary {
        filter_key: string(root, "filter_key")?,
        text: string(root, "text")?,
        topics: topics.filter_map(|topic| Some(topic.as_str()?.into_owned())).collect(),
        first_sequence: need(number(root, "first_seq"), "first_seq")?,
        last_sequence: need(number(root, "last_seq"), "last_seq")?,
        unseen,
        updated_at: time(root, "updated_at")?,
    })
}

fn track(root: Value<'_>) -> Result<(String, TrackEvent), String> {
    let entry = TrackEvent {
        sequence: need(number(root, "seq"), "seq")?,
        time: time(root, "time")?,
        body: need(text(root, "body"), "body")?,
    };
    Ok((string(root, "track")?, entry))
}

fn entry(root: Value<'_>, max_size: usize) -> Result<StoredEvent, String> {
    let sequence = need(number(root, "seq"), "seq")?;
    let (name, time) = (string(root, "dialect")?, time(root, "time")?);
    let ours = (name == Dialect::Sessiond.name()).then_some(Dialect::Sessiond);
    let received = Received {
        body: need(text(root, "event"), "event")?,
        id: Some(string(root, "id")?),
        dialect: Some(need(ours.or_else(|| Dialect::named(&name)), "dialect")?),
        state_delta: text(root, "state_delta"),
    };
    let event = Event::parse(received, time, max_size).map_err(|error| error.to_string())?;
    Ok(StoredEvent { sequence, event })
}
