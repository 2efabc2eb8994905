//! How much of a backlog a summarizer gets at once: whole turns, no open tool call, and no more
//! tokens than it can take.

use std::collections::{HashMap, VecDeque};

use crate::event::StoredEvent;

/// The part of a backlog that a job takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    /// How many events it has.
    pub(super) len: usize,
    /// Whether another job may take more right after it.
    pub(super) more: bool,
    /// Tool calls in it that nobody answers any more.
    pub(super) orphans: usize,
}

/// What a job can take at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) tokens: u64,
    pub(super) events: usize,
}

/// The longest part that ends with a turn and fits. If not even one turn fits, it may end within the
/// turn, and if nothing fits, it is as short as can be: a session must not wait for ever.
///
/// It never ends between a tool call and its answer. A call without one is waited for, unless it is
/// `given_up`. `complete` tells whether these are all the events there are.
pub(super) fn safe_prefix(
    events: &[StoredEvent],
    budget: Budget,
    complete: bool,
    given_up: impl Fn(&StoredEvent) -> bool,
) -> Prefix {
    let (closed, orphans) = closed_after(events, given_up);
    let mut tokens = 0_u64;
    let (mut turn, mut within, mut shortest) = (0, 0, 0);
    let mut longest = 0;
    for (at, (event, closed)) in events.iter().zip(&closed).enumerate() {
        tokens = tokens.saturating_add(u64::from(event.event.tokens()));
        if !closed {
            continue;
        }
        let len = at + 1;
        longest = len;
        if shortest == 0 {
            shortest = len;
        }
        if tokens <= budget.tokens && len <= budget.events {
            within = len;
            let next = events.get(len).map(|next| next.event.facts().user_turn);
            if next.unwrap_or(complete) {
                turn = len;
            }
        }
    }
    let fits = tokens <= budget.tokens && events.len() <= budget.events;
    let cut_short = !fits || !complete;
    let len = match (turn, within) {
        (0, within) if cut_short => {
            if within > 0 {
                within
            } else {
                shortest
            }
        }
        (turn, _) => turn,
    };
    let more = cut_short && len > 0 && (len < longest || !complete);
    Prefix { len, more, orphans: orphans.iter().filter(|at| **at < len).count() }
}

/// For each event, whether all calls up to it are answered by then; and the places of the calls that
/// are given up.
fn closed_after(
    events: &[StoredEvent],
    given_up: impl Fn(&StoredEvent) -> bool,
) -> (Vec<bool>, Vec<usize>) {
    let mut open: HashMap<&str, VecDeque<usize>> = HashMap::new();
    // Where more calls are open from, and where fewer.
    let mut steps = vec![0_i64; events.len() + 1];
    let mut step = |at: usize, by: i64| {
        if let Some(step) = steps.get_mut(at) {
            *step += by;
        }
    };
    for (at, event) in events.iter().enumerate() {
        for id in &event.event.facts().results {
            if let Some(call) = open.get_mut(id.as_str()).and_then(VecDeque::pop_front) {
                step(call, 1);
                step(at, -1);
            }
        }
        for id in &event.event.facts().calls {
            open.entry(id).or_default().push_back(at);
        }
    }
    let mut orphans = Vec::new();
    for call in open.into_values().flatten() {
        if events.get(call).is_some_and(&given_up) {
            orphans.push(call);
        } else {
            step(call, 1);
        }
    }
    let mut count = 0;
    let closed = steps.iter().take(events.len()).map(|step| {
        count += step;
        count == 0
    });
    (closed.collect(), orphans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Received};
    use crate::time::Time;

    /// `u`: a user's turn of 11 tokens; `a`: an answer of 11; `c1`: a call of one; `r1`: its result.
    fn events(script: &str) -> Vec<StoredEvent> {
        let event = |(at, word): (usize, &str)| {
            let id = word.get(1..).unwrap_or_default();
            let text = "x".repeat(40);
            let body = match word.as_bytes()[0] {
                b'u' => format!(r#"{{"role":"user","content":"{text}"}}"#),
                b'a' => format!(r#"{{"role":"assistant","content":"{text}"}}"#),
                b'c' => format!(
                    r#"{{"role":"assistant","tool_calls":[{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}}"#
                ),
                _ => format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"{text}"}}"#),
            };
            let received = Received { body, ..Received::default() };
            let event = Event::parse(received, Time::from_nanos(0), 100_000).unwrap();
            StoredEvent { sequence: at as u64 + 1, event }
        };
        script.split(' ').enumerate().map(event).collect()
    }

    fn within(tokens: u64) -> Budget {
        Budget { tokens, events: usize::MAX }
    }

    fn prefix(script: &str, tokens: u64) -> (usize, bool) {
        let prefix = safe_prefix(&events(script), within(tokens), true, |_| false);
        (prefix.len, prefix.more)
    }

    /// R65: whole turns, as many as fit.
    #[test]
    fn it_ends_with_a_turn() {
        assert_eq!(prefix("u a u a u a", 1_000), (6, false));
        assert_eq!(prefix("u a u a u a", 59), (4, true));
        assert_eq!(prefix("u a u a u a", 30), (2, true));
        assert_eq!(prefix("u a u", 1_000), (3, false));
    }

    /// R65: a turn that does not fit is cut, and what does not fit at all is taken alone.
    #[test]
    fn it_always_goes_on() {
        assert_eq!(prefix("u a a a u a", 25), (2, true));
        assert_eq!(prefix("u a", 5), (1, true));
        assert_eq!(prefix("u", 5), (1, false));
    }

    /// A limit in events is held like one in tokens.
    #[test]
    fn it_has_no_more_events_than_wanted() {
        let few = |script: &str, count| {
            let budget = Budget { tokens: 1_000, events: count };
            let prefix = safe_prefix(&events(script), budget, true, |_| false);
            (prefix.len, prefix.more)
        };
        assert_eq!(few("u a u a u", 5), (5, false));
        assert_eq!(few("u a u a u", 4), (4, true));
        assert_eq!(few("u a u a u", 3), (2, true));
        assert_eq!(few("u c1 r1 a", 2), (1, true));
        assert_eq!(few("c1 r1 a", 1), (2, true));
    }

    /// R56: a call and its answer stay together, and what has no answer yet is waited for.
    #[test]
    fn it_never_parts_a_call_from_its_answer() {
        assert_eq!(prefix("u c1 r1 a u a", 15), (1, true));
        assert_eq!(prefix("u c1 c2 r2 r1 a", 40), (5, true));
        assert_eq!(prefix("u a u c1", 1_000), (2, false));
        assert_eq!(prefix("u c1", 1_000), (0, false));
        // Ids come again.
        assert_eq!(prefix("u c1 r1 a u c1", 1_000), (4, false));
    }

    /// R57: a call that nobody answers any more does not hold the boundary for ever.
    #[test]
    fn an_orphan_is_given_up() {
        let backlog = events("u c1 u a");
        let given_up = |event: &StoredEvent| event.sequence <= 2;
        let prefix = safe_prefix(&backlog, within(1_000), true, given_up);
        assert_eq!(prefix, Prefix { len: 4, more: false, orphans: 1 });
    }

    #[test]
    fn part_of_a_backlog_ends_before_the_turn_that_may_go_on() {
        let prefix = safe_prefix(&events("u a u a"), within(1_000), false, |_| false);
        assert_eq!((prefix.len, prefix.more), (2, true));
        let prefix = safe_prefix(&events("u a a"), within(1_000), false, |_| false);
        assert_eq!((prefix.len, prefix.more), (3, true));
    }
}
