//! Replays recorded conversations as sessions, and checks what became of them.
//!
//! The file has a conversation a line: `{"conversation": ID, "messages": [chat messages]}`. Each
//! becomes a session, each message an event, byte for byte as the file has it. Besides, sessions of
//! planted secrets are played in every dialect. What must be stored is worked out here, without the
//! plugins' own code: every e-mail address, and every planted secret, replaced, and no other byte
//! changed.

pub mod planted;
mod run;

pub use run::{Report, plugins, run};

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use sessiond_core::json::{Index, Kind};

use crate::client::{Client, Reply, encode};

/// How long a request is tried again when the daemon does not answer.
const RETRY: Duration = Duration::from_secs(120);
/// The app that the sessions are played in.
pub const APP: &str = "replay";
/// How many turns of a user a read shows, as `recent-turns` has it.
pub const RECENT_TURNS: usize = 4;

/// A conversation to play.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// The name of its session.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// Append items, as JSON text: id, dialect, event and maybe changes of state.
    pub items: Vec<Item>,
}

/// An append item.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// Its dialect.
    pub dialect: &'static str,
    /// The event, byte for byte.
    pub event: String,
    /// Changes of state beside it.
    pub state_delta: Option<String>,
    /// Whether it is a message of the user.
    pub user_turn: bool,
}

impl Item {
    /// The body of a request that appends it.
    pub fn body(&self) -> String {
        let state = self.state_delta.as_ref().map(|delta| format!(",\"state_delta\":{delta}"));
        let (id, dialect, event) = (&self.id, self.dialect, &self.event);
        let state = state.unwrap_or_default();
        format!("{{\"id\":{id:?},\"dialect\":{dialect:?},\"event\":{event}{state}}}")
    }
}

/// Reads a file of conversations.
///
/// # Errors
/// When it is not one.
pub fn read(path: &Path) -> anyhow::Result<Vec<Conversation>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path:?}"))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| conversation(line).with_context(|| format!("line {}", at + 1))).collect()
}

fn conversation(line: &str) -> anyhow::Result<Conversation> {
    let index = Index::of(line)?;
    let root = index.root(line);
    let id = root.text("conversation").context("there is no \"conversation\"")?;
    let messages = root.get("messages").filter(|it| it.kind() == Kind::Array);
    let messages = messages.context("there are no \"messages\"")?.items().enumerate();
    let items = messages.map(|(at, message)| Item {
        id: format!("{id}-{at}"),
        dialect: "chat",
        event: message.raw().to_owned(),
        state_delta: None,
        user_turn: message.text("role").as_deref() == Some("user"),
    });
    Ok(Conversation { user: format!("user-{}", id.len() % 7), items: items.collect(), id })
}

/// Where a session is.
pub fn path(conversation: &Conversation) -> String {
    let (user, id) = (encode(&conversation.user), encode(&conversation.id));
    format!("/v1/apps/{APP}/users/{user}/sessions/{id}")
}

/// Plays a conversation, an event a request. While the daemon does not answer, or answers 503, a
/// request is sent again with the same ids. `acknowledged` hears of each event once it is.
///
/// # Errors
/// When the daemon refuses.
pub async fn play(
    client: &Client,
    conversation: &Conversation,
    mut acknowledged: impl FnMut(&Item),
) -> anyhow::Result<()> {
    let user = encode(&conversation.user);
    let create = format!("/v1/apps/{APP}/users/{user}/sessions?if_exists=return");
    let body = format!("{{\"id\":{:?}}}", conversation.id);
    insist(client, &create, &body).await?;
    let events = format!("{}/events", path(conversation));
    for item in &conversation.items {
        insist(client, &events, &item.body()).await?;
        acknowledged(item);
    }
    Ok(())
}

async fn insist(client: &Client, path: &str, body: &str) -> anyhow::Result<Reply> {
    let begin = std::time::Instant::now();
    loop {
        match client.send("POST", path, &[], body).await {
            Ok(reply) if reply.status.is_success() => return Ok(reply),
            Ok(reply) if reply.status.as_u16() != 503 => {
                bail!("POST {path}: {} {}", reply.status, reply.text)
            }
            Ok(_) | Err(_) if begin.elapsed() < RETRY => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(reply) => bail!("POST {path}: {} for too long", reply.status),
            Err(error) => return Err(error),
        }
    }
}

/// Plays conversations, `at_once` at a time.
///
/// # Errors
/// The first that there is.
pub async fn play_all(
    client: &Client,
    conversations: &[Conversation],
    at_once: usize,
    mut played: impl FnMut(&Conversation),
) -> anyhow::Result<()> {
    let mut running = tokio::task::JoinSet::new();
    let mut waiting = conversations.iter();
    loop {
        while running.len() < at_once
            && let Some(next) = waiting.next().cloned()
        {
            let client = client.clone();
            running.spawn(async move { play(&client, &next, |_| {}).await.map(|()| next) });
        }
        match running.join_next().await {
            Some(done) => played(&done??),
            None => return Ok(()),
        }
    }
}

/// Checks an export of all sessions against what must be stored: every event, in order, once, and
/// byte for byte.
///
/// # Errors
/// What is wrong, with the session and the event.
pub fn check_stored(export: &str, expected: &[Conversation]) -> anyhow::Result<()> {
    let stored = stored(export)?;
    for conversation in expected {
        let key = (conversation.user.clone(), conversation.id.clone());
        let entries = stored.get(&key).with_context(|| format!("{key:?} is not stored"))?;
        let (found, wanted) = (entries.len(), conversation.items.len());
        ensure!(found == wanted, "{key:?} has {found} events instead of {wanted}");
        for ((at, item), entry) in conversation.items.iter().enumerate().zip(entries) {
            let context = || format!("{key:?}, event {}", at + 1);
            ensure!(entry.id == item.id, "{}: {} instead of {}", context(), entry.id, item.id);
            ensure!(entry.seq == at as u64 + 1, "{}: sequence {}", context(), entry.seq);
            let (found, wanted) = (&entry.event, &item.event);
            ensure!(found == wanted, "{}: stored\n{found}\ninstead of\n{wanted}", context());
            let (found, wanted) = (&entry.state_delta, &item.state_delta);
            ensure!(found == wanted, "{}: state {found:?} instead of {wanted:?}", context());
        }
    }
    Ok(())
}

struct Entry {
    seq: u64,
    id: String,
    event: String,
    state_delta: Option<String>,
}

/// The events of an export, by user and session.
fn stored(export: &str) -> anyhow::Result<BTreeMap<(String, String), Vec<Entry>>> {
    let mut sessions: BTreeMap<_, Vec<Entry>> = BTreeMap::new();
    let mut current = None;
    for line in export.lines() {
        let index = Index::of(line)?;
        let root = index.root(line);
        match root.text("kind").as_deref() {
            Some("session") => {
                let names = root.text("user").zip(root.text("id"));
                let key = names.context("a session without names")?;
                sessions.entry(key.clone()).or_default();
                current = Some(key);
            }
            Some("event") => {
                let raw = |name: &str| match root.text(&format!("{name}_text")) {
                    Some(text) => Some(text),
                    None => root.get(name).map(|value| value.raw().to_owned()),
                };
                let entry = Entry {
                    seq: root.get("seq").and_then(|seq| seq.raw().parse().ok()).unwrap_or(0),
                    id: root.text("id").unwrap_or_default(),
                    event: raw("event").unwrap_or_default(),
                    state_delta: raw("state_delta"),
                };
                let key = current.clone().context("an event without a session")?;
                sessions.entry(key).or_default().push(entry);
            }
            _ => {}
        }
    }
    Ok(sessions)
}

/// Checks that a read shows the newest [`RECENT_TURNS`] turns of the user, and nothing else.
///
/// # Errors
/// What is wrong.
pub async fn check_read(client: &Client, conversation: &Conversation) -> anyhow::Result<()> {
    let reply = client.get(&path(conversation)).await;
    ensure!(reply.status.is_success(), "{}: {}", conversation.id, reply.text);
    let turns: Vec<usize> = (1..)
        .zip(&conversation.items)
        .filter(|(_, item)| item.user_turn)
        .map(|(sequence, _)| sequence)
        .collect();
    let first = match turns.len().checked_sub(RECENT_TURNS) {
        Some(skip) => turns[skip],
        None => turns.first().copied().unwrap_or(1),
    };
    let wanted: Vec<u64> = (first as u64..=conversation.items.len() as u64).collect();
    let json = reply.json();
    let events = json["events"].as_array().cloned().unwrap_or_default();
    let found: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    ensure!(found == wanted, "{}: a read shows {found:?} instead of {wanted:?}", conversation.id);
    Ok(())
}

/// Whether a session must get a summary.
pub fn needs_summary(conversation: &Conversation) -> bool {
    let turns = conversation.items.iter().filter(|item| item.user_turn).count();
    conversation.items.len() > 20 && turns >= 4
}

/// The summary of a session, if it has one with a boundary that is good.
///
/// # Errors
/// When it has one whose boundary is not.
pub async fn summary(
    client: &Client,
    conversation: &Conversation,
) -> anyhow::Result<Option<Value>> {
    let reply = client.get(&format!("{}/summaries", path(conversation))).await;
    ensure!(reply.status.is_success(), "{}: {}", conversation.id, reply.text);
    let json = reply.json();
    let Some(summary) = json["summaries"].get(0) else { return Ok(None) };
    let last = summary["last_seq"].as_u64().unwrap_or(0);
    let whole = summary["first_seq"] == 1 && last > 20 && last <= conversation.items.len() as u64;
    let text = summary["text"].as_str().unwrap_or_default();
    ensure!(whole && !text.is_empty(), "{}: {summary}", conversation.id);
    Ok(Some(summary.clone()))
}

/// What must be stored of recorded conversations: the same, without addresses, without the card that
/// the samples use, and without what looks like their key.
pub fn expected(conversations: &[Conversation]) -> Vec<Conversation> {
    let mut expected = conversations.to_vec();
    for item in expected.iter_mut().flat_map(|conversation| &mut conversation.items) {
        let event = without_mail(&item.event);
        let event = event.replace(planted::CARD, "[card]").replace(planted::SPACED_CARD, "[card]");
        item.event = without_keys(&event);
    }
    expected
}

fn without_keys(text: &str) -> String {
    let mut parts = text.split("sk-demo");
    let mut done = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        done.push_str("[key]");
        done.push_str(part.trim_start_matches(|char: char| char.is_ascii_alphanumeric()));
    }
    done
}

/// Text with every e-mail address replaced, however deep it stands in strings.
fn without_mail(text: &str) -> String {
    let of_name = |char: &char| char.is_ascii_alphanumeric() || "._%+-".contains(*char);
    let mut left = text;
    let mut done = String::with_capacity(text.len());
    while let Some(at) = left.find('@') {
        let (before, after) = (&left[..at], &left[at + 1..]);
        let name: usize = before.chars().rev().take_while(of_name).map(char::len_utf8).sum();
        let of_host = |char: &char| char.is_ascii_alphanumeric() || ".-".contains(*char);
        let host: String = after.chars().take_while(of_host).collect();
        let host = host.trim_end_matches(['.', '-']);
        if name == 0 || !host.contains('.') {
            done.push_str(&left[..=at]);
            left = after;
            continue;
        }
        done.push_str(&before[..before.len() - name]);
        done.push_str("[email]");
        left = &after[host.len()..];
    }
    done.push_str(left);
    done
}
