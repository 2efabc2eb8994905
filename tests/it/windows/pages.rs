//! Pages, put together.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof};
use serde_json::{Value, json};
use sessiond_core::store::embedded::EmbeddedStore;
use sessiond_core::store::{SessionStore, StoreRules};
use sessiond_redis::RedisConfig;
use sessiond_tests::redis_server::RedisServer;
use sessiond_tests::scenario::service::ServiceTarget;

use super::{ask, sequences};
use crate::property::Property;

/// What a writer does between two pages.
#[derive(Debug, Clone)]
enum Write {
    Events(usize),
    State,
}

fn writes() -> impl Strategy<Value = Write> {
    prop_oneof![3 => (0_usize..5).prop_map(Write::Events), 1 => proptest::prelude::Just(Write::State)]
}

impl Write {
    async fn make(&self, target: &ServiceTarget) {
        match self {
            Self::Events(0) => {}
            Self::Events(count) => {
                let items = vec![json!({"role": "user", "content": "x"}); *count];
                ask(target, json!({"do": "append", "session": "s", "items": items})).await;
            }
            Self::State => {
                ask(target, json!({"do": "set_state", "session": "s", "state": {"k": 1}})).await;
            }
        }
    }
}

/// A session whose pages are asked for, one way.
struct Reader<'a> {
    target: &'a ServiceTarget,
    /// The parameter that asks for a page, and the member that says where the next is.
    names: (&'static str, &'static str),
    at: Option<u64>,
    seen: Vec<u64>,
}

impl Reader<'_> {
    /// Reads a page. False: it was the last one.
    async fn page(&mut self, size: usize) -> bool {
        let mut step = json!({"do": "events", "session": "s", "limit": size});
        if let Some(at) = self.at {
            step[self.names.0] = at.into();
        }
        let page = ask(self.target, step).await;
        let shown = sequences(&page);
        let at = if self.names.0 == "after_seq" { self.seen.len() } else { 0 };
        self.seen.splice(at..at, shown);
        self.at = page[self.names.1].as_u64();
        self.at.is_some()
    }
}

async fn full(target: &ServiceTarget) -> Vec<u64> {
    let step = json!({"do": "get", "session": "s", "limit": 10_000, "window": "exact"});
    sequences(&ask(target, step).await)
}

async fn check(store: Arc<dyn SessionStore>, turns: &[(usize, Write)]) -> Result<(), String> {
    let target = ServiceTarget::new(store);
    ask(&target, json!({"do": "create", "session": "s"})).await;
    for (_, write) in turns {
        write.make(&target).await;
    }
    let before = full(&target).await;
    let names = [("after_seq", "next_after_seq"), ("before_seq", "next_before_seq")];
    let reader = |at, names| Reader { target: &target, names, at, seen: Vec::new() };
    let mut forward = reader(Some(0), names[0]);
    let mut backward = reader(None, names[1]);
    let (mut later, mut earlier) = (true, true);
    let mut sizes = turns.iter().map(|(size, _)| *size).cycle();
    let mut writes = turns.iter().map(|(_, write)| write);
    while later || earlier {
        let size = sizes.next().unwrap_or(1);
        if later {
            later = forward.page(size).await;
        }
        if earlier {
            earlier = backward.page(size).await;
        }
        // Whoever has read the last page before the next write has read all that there was.
        match writes.next() {
            Some(write) if later => write.make(&target).await,
            _ => {}
        }
    }
    let after = full(&target).await;
    let differs = |way, seen: &[u64], all: &[u64]| {
        if seen == all { Ok(()) } else { Err(format!("{way}: {seen:?} instead of {all:?}")) }
    };
    differs("forward", &forward.seen, &after)?;
    differs("backward", &backward.seen, &before)
}

/// R37: pages of any size put together are the whole, while writers append: forward with what was
/// written meanwhile, backward without.
#[test]
fn pages_put_together_are_the_whole() {
    let property = Property::new();
    let server = property.start(RedisServer::start());
    let case = std::sync::atomic::AtomicU32::new(0);
    let turns = vec((1_usize..8, writes()), 1..12);
    property.check(40, turns, async |turns| {
        let rules = StoreRules { event_limit: None, ..StoreRules::default() };
        check(Arc::new(EmbeddedStore::new(rules.clone())), &turns).await?;
        let key_prefix = format!("p{}", case.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let config = RedisConfig { key_prefix, ..RedisConfig::new(server.url()) };
        check(Arc::new(server.store_with(config, rules).await), &turns).await
    });
}

/// A page that ends exactly where the events end has no next one.
#[tokio::test]
async fn the_last_page_says_so() {
    let target = super::service().await;
    let items: Vec<Value> = vec![json!({"role": "user", "content": "x"}); 6];
    ask(&target, json!({"do": "append", "session": "s", "items": items})).await;
    for (from, limit, next) in [(0, 3, Some(3)), (3, 3, None), (0, 6, None), (6, 1, None)] {
        let step = json!({"do": "events", "session": "s", "after_seq": from, "limit": limit});
        assert_eq!(ask(&target, step).await["next_after_seq"].as_u64(), next, "{from} {limit}");
    }
}
