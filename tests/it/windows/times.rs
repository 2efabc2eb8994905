//! Events with times of their own, in any order.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use serde_json::{Value, json};
use sessiond_tests::scenario::service::ServiceTarget;

use super::{ask, sequences, service};
use crate::property::Property;

/// Appends an ADK event for each time, in seconds.
async fn say(target: &ServiceTarget, times: &[f64]) {
    let items = times.iter().enumerate().map(|(at, time)| {
        let content = json!({"role": "user", "parts": [{"text": "x"}]});
        json!({"id": format!("e{at}"), "author": "user", "timestamp": time, "content": content})
    });
    let items: Vec<Value> = items.collect();
    ask(target, json!({"do": "append", "session": "s", "items": items})).await;
}

/// Every way to read all events.
async fn readings(target: &ServiceTarget, page: usize) -> Vec<Vec<u64>> {
    let mut readings = Vec::new();
    for window in ["turn", "exact"] {
        let step = json!({"do": "get", "session": "s", "limit": 10_000, "window": window});
        readings.push(sequences(&ask(target, step).await));
    }
    let (mut pages, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let step = json!({"do": "events", "session": "s", "after_seq": from, "limit": page});
        let answer = ask(target, step).await;
        pages.extend(sequences(&answer));
        after = answer["next_after_seq"].as_u64();
    }
    readings.push(pages);
    readings
}

/// R15, R17: whatever the events' times are, every read is ascending by sequence; one by time begins at
/// the first event of that time or later among the newest.
#[test]
fn times_do_not_change_the_order() {
    // Whole seconds, so that some are equal; some go back.
    let time = prop_oneof![(0_u8..20).prop_map(f64::from), any::<u32>().prop_map(f64::from)];
    let inputs = (vec(time, 1..40), 1_usize..9, 0_u8..25, 1_usize..50);
    Property::new().check(200, inputs, async |(times, page, from, limit)| {
        let target = service().await;
        say(&target, &times).await;
        let all: Vec<u64> = (1..=times.len() as u64).collect();
        for shown in readings(&target, page).await {
            if shown != all {
                return Err(format!("{shown:?} instead of {all:?}"));
            }
        }
        let newest = all.len().saturating_sub(limit);
        let first = times[newest..].iter().position(|time| *time >= f64::from(from));
        let wanted = first.map_or(&[][..], |first| &all[newest + first..]);
        let step = json!({"do": "get", "session": "s", "limit": limit, "window": "exact",
            "after_time": format!("1970-01-01T00:00:{from:02}Z")});
        let shown = sequences(&ask(&target, step).await);
        if shown == wanted { Ok(()) } else { Err(format!("{shown:?} instead of {wanted:?}")) }
    });
}

/// R16: of 200 events of one time, every read shows all, in their order.
#[tokio::test]
async fn events_of_one_time_are_all_shown() {
    let target = service().await;
    say(&target, &[1_700_000_000.123; 200]).await;
    let all: Vec<u64> = (1..=200).collect();
    for page in [1, 7, 100, 200] {
        for shown in readings(&target, page).await {
            assert_eq!(shown, all);
        }
    }
    for limit in [1, 99, 200] {
        let step = json!({"do": "get", "session": "s", "limit": limit,
            "after_time": "2023-11-14T22:13:20.123Z"});
        assert_eq!(sequences(&ask(&target, step).await), all[200 - limit..]);
    }
}

/// R20: what was written last to a session has no say in what a read by time shows.
#[tokio::test]
async fn a_read_by_time_looks_at_events_only() {
    let target = service().await;
    // Long before the session was created, and long after it was updated.
    say(&target, &[5.0, 4_000_000_000.0, 10.0]).await;
    let read = async |time: &str| {
        let step = json!({"do": "get", "session": "s", "after_time": time, "window": "exact"});
        sequences(&ask(&target, step).await)
    };
    assert_eq!(read("1970-01-01T00:00:01Z").await, [1, 2, 3]);
    assert_eq!(read("2050-01-01T00:00:00Z").await, [2, 3]);
    ask(&target, json!({"do": "set_state", "session": "s", "state": {"k": 1}})).await;
    assert_eq!(read("1970-01-01T00:00:01Z").await, [1, 2, 3]);
    assert_eq!(read("2050-01-01T00:00:00Z").await, [2, 3]);
}
