//! The events of a session, in the order in which trpc-agent-go shows them.

use std::collections::HashSet;

use sessiond_core::dialect::Dialect;
use sessiond_core::event::{Event, Received, StoredEvent};
use sessiond_core::time::Time;

use super::{Finding, PAGE, Pairs, Trouble, TrpcSource, on};

/// Events as they come, numbered.
#[derive(Debug)]
pub(super) struct Events {
    key: String,
    max_size: usize,
    ids: HashSet<String>,
    pub(super) entries: Vec<StoredEvent>,
    pub(super) findings: Vec<Finding>,
}

impl Events {
    fn new(key: &str, max_size: usize) -> Self {
        let (ids, entries, findings) = Default::default();
        Self { key: key.to_owned(), max_size, ids, entries, findings }
    }

    pub(super) fn none() -> Self {
        Self::new("", 0)
    }

    fn lose(&mut self, id: &str, reason: impl std::fmt::Display) {
        self.findings.push(Finding::lost(format!("{} (event {id:?})", self.key), reason));
    }

    /// Takes an event in. `name` is by what it is known, should it have no id.
    fn add(&mut self, name: &str, text: Vec<u8>) {
        let Ok(body) = String::from_utf8(text) else {
            return self.lose(name, "it is not UTF-8");
        };
        let size = body.len();
        let parse = |id: Option<String>, body: String| {
            let (dialect, state_delta) = (Some(Dialect::Trpc), None);
            let received = Received { body, id, dialect, state_delta };
            Event::parse(received, Time::from_nanos(0), self.max_size)
        };
        let parsed = match parse(None, body.clone()) {
            Ok(event) if event.facts().id.is_none() => parse(Some(name.to_owned()), body),
            parsed => parsed,
        };
        let event = match parsed {
            Ok(event) => event,
            Err(error) => return self.lose(name, error),
        };
        if event.facts().partial {
            return self.lose(event.id(), "it is partial, and no whole event");
        }
        if event.body().len() != size {
            let at = format!("{} (event {:?})", self.key, event.id());
            let reason = "`temp:` state is never stored: left out";
            self.findings.push(Finding::changed(at, reason));
        }
        if !self.ids.insert(event.id().to_owned()) {
            return self.lose(event.id(), "an earlier event of the session has the same id");
        }
        let sequence = self.entries.len() as u64 + 1;
        self.entries.push(StoredEvent { sequence, event });
    }
}

impl TrpcSource {
    /// Layout hashidx: ids in a sorted set, events in a hash.
    pub(super) async fn hashidx_events(&self, index: &str, data: &str) -> Result<Events, Trouble> {
        let mut events = Events::new(data, self.config.max_event_size);
        let mut known = HashSet::new();
        let mut from = 0;
        loop {
            let ids = self.page(index, from).await?;
            if ids.is_empty() {
                break;
            }
            from += ids.len();
            let mut get = on("HMGET", data);
            get.arg(&ids);
            let texts: Vec<Option<Vec<u8>>> = self.read(&get, data).await?;
            for (id, text) in ids.into_iter().zip(texts) {
                let name = String::from_utf8_lossy(&id).into_owned();
                match text {
                    Some(text) => {
                        events.add(&name, text);
                        known.insert(id);
                    }
                    None => events.lose(&name, "it is in the index, but there is no such event"),
                }
            }
        }
        let stored: usize = self.read(&on("HLEN", data), data).await?;
        if stored != known.len() {
            self.without_index(data, &known, &mut events).await?;
        }
        Ok(events)
    }

    /// Events that trpc-agent-go itself no longer finds.
    async fn without_index(
        &self,
        data: &str,
        known: &HashSet<Vec<u8>>,
        events: &mut Events,
    ) -> Result<(), Trouble> {
        let mut cursor = 0;
        let mut lost = HashSet::new();
        loop {
            let mut scan = on("HSCAN", data);
            scan.arg(cursor).arg("COUNT").arg(PAGE);
            let (next, pairs): (u64, Pairs) = self.read(&scan, data).await?;
            lost.extend(pairs.into_iter().map(|(id, _)| id).filter(|id| !known.contains(id)));
            if next == 0 {
                break;
            }
            cursor = next;
        }
        for id in lost {
            events
                .lose(&String::from_utf8_lossy(&id), "it is not in the index, so it has no place");
        }
        Ok(())
    }

    /// Layout zset: events in a sorted set.
    pub(super) async fn zset_events(&self, key: &str) -> Result<Events, Trouble> {
        let mut events = Events::new(key, self.config.max_event_size);
        let mut from = 0;
        loop {
            let texts = self.page(key, from).await?;
            if texts.is_empty() {
                return Ok(events);
            }
            for text in texts {
                from += 1;
                events.add(&format!("trpc-{from}"), text);
            }
        }
    }
}
