//! `sessiond plugin test FILE --events FILE`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use sessiond_core::event::editor::Access;
use sessiond_core::event::{Event, Received, StoredEvent};
use sessiond_core::hook::chain::{ChainError, HookChain, Screened};
use sessiond_core::hook::{AppendHook, CallContext, GetHook, Purpose, Summarizer as _};
use sessiond_core::key::{SessionKey, Subject};
use sessiond_core::read::ReadOptions;
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{SessionStore as _, StoreRules};
use sessiond_core::summary::{Backlog, SummaryJob};
use sessiond_core::time::{Clock as _, SystemClock};
use sessiond_core::view::{SessionView, ViewItem};
use sessiond_plugin::adapter::Hooks;
use sessiond_plugin::plugin::{Interface, Plugin};
use similar::TextDiff;

use super::MAX_EVENT_SIZE;
use crate::commands::print;
use crate::http::received_item;

pub(in crate::commands) async fn run(path: &Path, events: &Path) -> anyhow::Result<ExitCode> {
    let received = read_events(events)?;
    let plugin = super::load(path).await?;
    let bench = Bench::new(plugin).await?;
    bench.append(&received).await?;
    bench.get(&received).await?;
    bench.summarize(&received).await?;
    Ok(ExitCode::SUCCESS)
}

/// Events that somebody has recorded, one a line.
pub(super) fn read_events(path: &Path) -> anyhow::Result<Vec<Received>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let items = lines.map(|(at, line)| {
        received_item(line)
            .map_err(|problem| anyhow::anyhow!("{}:{}: {problem}", path.display(), at + 1))
    });
    let items: Vec<Received> = items.collect::<anyhow::Result<_>>()?;
    if items.is_empty() {
        bail!("{} has no events", path.display());
    }
    Ok(items)
}

/// A plugin, and a made-up session to try it on.
struct Bench {
    plugin: Arc<Plugin>,
    hooks: HookChain,
    subject: Subject,
    call: CallContext,
}

impl Bench {
    async fn new(plugin: Arc<Plugin>) -> anyhow::Result<Self> {
        let hooks = Arc::new(Hooks::from(plugin.clone()));
        let append = vec![hooks.clone() as Arc<dyn AppendHook>];
        let hooks = HookChain::new(append, vec![hooks as Arc<dyn GetHook>], MAX_EVENT_SIZE);
        let key = SessionKey::new("test", "test", "test")?;
        let subject = Subject::Session(key);
        let call = CallContext::new(Purpose::Append, "plugin-test");
        Ok(Self { plugin, hooks, subject, call })
    }

    /// Appends the events one at a time, and shows what became of each.
    async fn append(&self, received: &[Received]) -> anyhow::Result<()> {
        if !self.plugin.exports(Interface::BeforeAppend)
            && !self.plugin.exports(Interface::AfterAppend)
        {
            return Ok(());
        }
        for (at, received) in received.iter().enumerate() {
            let event = parse(at, received)?;
            let before = pretty(event.body());
            let title = format!("event {} (before-append)", at + 1);
            match self.hooks.before_append(&self.call, &self.subject, vec![event]).await {
                Ok(screened) => {
                    let after = screened.events.iter().map(|it| pretty(it.event.body()));
                    show(&title, &before, &after.collect::<String>())?;
                    self.observe(at, &screened).await;
                }
                Err(error) => print(&format!("{title}: {}\n", told(&error)))?,
            }
        }
        Ok(())
    }

    async fn observe(&self, at: usize, screened: &Screened) {
        let stored = screened.events.iter().map(|pending| StoredEvent {
            sequence: at as u64 + 1,
            event: Event::clone(&pending.event),
        });
        let stored: Vec<_> = stored.collect();
        self.hooks.after_append(&self.call, &self.subject, &stored).await;
    }

    /// Reads a session of all the events, and shows what the reply has of it.
    async fn get(&self, received: &[Received]) -> anyhow::Result<()> {
        if !self.plugin.exports(Interface::BeforeGet) && !self.plugin.exports(Interface::AfterGet) {
            return Ok(());
        }
        let call = self.call.with_purpose(Purpose::Session);
        let options = ReadOptions::new(Purpose::Session, 1_000);
        let narrowed = match self.hooks.before_get(&call, &self.subject, options.clone()).await {
            Ok(narrowed) => narrowed,
            Err(error) => return print(&format!("a read (before-get): {}\n", told(&error))),
        };
        show("a read (before-get)", &format!("{options:#?}\n"), &format!("{narrowed:#?}\n"))?;
        let view = view(&self.subject, &stored(received)?, Access::Edit).await?;
        let before = lines(&view);
        match self.hooks.after_get(&call, &self.subject, view).await {
            Ok(view) => show("a read (after-get)", &before, &lines(&view)),
            Err(error) => print(&format!("a read (after-get): {}\n", told(&error))),
        }
    }

    /// Sums all the events up.
    async fn summarize(&self, received: &[Received]) -> anyhow::Result<()> {
        if !self.plugin.exports(Interface::Summarizer) {
            return Ok(());
        }
        let call = self.call.with_purpose(Purpose::Summary);
        let events = stored(received)?;
        let job = SummaryJob {
            filter_key: String::new(),
            forced: true,
            previous: None,
            first_sequence: 1,
            last_sequence: events.len() as u64,
            backlog: Backlog::of(&events),
            unseen: None,
        };
        let hooks = Hooks::from(self.plugin.clone());
        let view = view(&self.subject, &events, Access::Read).await?;
        let due = hooks.should_summarize(&call, &self.subject, view.clone(), job.clone()).await;
        print(&match due {
            Ok(due) => format!("should-summarize: {due}\n"),
            Err(error) => format!("should-summarize: {error}\n"),
        })?;
        let draft = hooks.summarize(&call, &self.subject, view, job).await;
        print(&match draft {
            Ok(draft) => {
                format!("summarize:\n{}\ntopics: {}\n", draft.text, draft.topics.join(", "))
            }
            Err(error) => format!("summarize: {error}\n"),
        })
    }
}

/// A session as a hook gets it.
pub(super) async fn view(
    subject: &Subject,
    events: &[StoredEvent],
    access: Access,
) -> anyhow::Result<SessionView> {
    let store = EmbeddedStore::new(StoreRules::default());
    let key = SessionKey::new(subject.app(), subject.user(), subject.session())?;
    let header = store.create(&key, &[]).await?;
    Ok(SessionView::new(subject.clone(), header, access, events.to_vec(), MAX_EVENT_SIZE))
}

fn parse(at: usize, received: &Received) -> anyhow::Result<Event> {
    let event = Event::parse(received.clone(), SystemClock.now(), MAX_EVENT_SIZE);
    event.with_context(|| format!("event {}", at + 1))
}

/// The events of a made-up session.
pub(super) fn stored(received: &[Received]) -> anyhow::Result<Vec<StoredEvent>> {
    let events = received.iter().enumerate().map(|(at, received)| {
        Ok(StoredEvent { sequence: at as u64 + 1, event: parse(at, received)? })
    });
    events.collect()
}

fn pretty(body: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(body);
    let text = value.and_then(|value| serde_json::to_string_pretty(&value));
    text.unwrap_or_else(|_| body.to_owned()) + "\n"
}

fn lines(view: &SessionView) -> String {
    view.items().map(ViewItem::to_json).map(|event| event + "\n").collect()
}

/// Shows a change as a diff, or that there is none.
fn show(title: &str, before: &str, after: &str) -> anyhow::Result<()> {
    if before == after {
        return print(&format!("{title}: unchanged\n"));
    }
    if after.is_empty() {
        return print(&format!("{title}: dropped\n"));
    }
    let diff = TextDiff::from_lines(before, after);
    let diff = diff.unified_diff().context_radius(2).header("before", "after").to_string();
    print(&format!("{title}:\n{diff}"))
}

fn told(error: &ChainError) -> String {
    match error {
        ChainError::Rejected { rejection, .. } => {
            format!("rejected ({:?}): {:?}", rejection.kind, rejection.text)
        }
        ChainError::Failed { kind, source, .. } => format!("failed ({}): {source}", kind.name()),
    }
}
