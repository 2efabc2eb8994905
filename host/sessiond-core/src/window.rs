//! Windows: which events of a history a read shows, so that a model can take them as they are.

use std::collections::{HashMap, VecDeque};

use crate::dialect::Facts;

/// How a read cuts the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Begin at a user's turn, and keep tool calls and their results together.
    Turn,
    /// Exactly the newest events.
    Exact,
}

impl Window {
    /// The name in requests and in the plugin contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Exact => "exact",
        }
    }

    /// The window of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Turn, Self::Exact].into_iter().find(|window| window.name() == name)
    }
}

/// Where a turn-safe window of events begins, when it holds a user's turn.
pub fn first_turn<'a>(events: impl IntoIterator<Item = &'a Facts>) -> Option<usize> {
    events.into_iter().position(|facts| facts.user_turn)
}

/// Which events to keep so that no tool result stands without its call.
///
/// Calls and results pair by id in order: a result answers the oldest open call of its id, since
/// real conversations use ids again. An event goes when a result in it has no call here; then the
/// calls go whose results went with it, so that no call is left without its answer either.
pub fn paired<'a>(events: impl IntoIterator<Item = &'a Facts>) -> Vec<bool> {
    let mut open: HashMap<&str, VecDeque<usize>> = HashMap::new();
    let mut partners: Vec<Vec<usize>> = Vec::new();
    let mut orphans = Vec::new();
    for (at, facts) in events.into_iter().enumerate() {
        let mut mine = Vec::new();
        for id in &facts.results {
            match open.get_mut(id.as_str()).and_then(VecDeque::pop_front) {
                Some(call) => mine.push(call),
                None => orphans.push(at),
            }
        }
        for id in &facts.calls {
            open.entry(id).or_default().push_back(at);
        }
        for &call in &mine {
            if let Some(partners) = partners.get_mut(call) {
                partners.push(at);
            }
        }
        partners.push(mine);
    }
    let mut kept = vec![true; partners.len()];
    while let Some(at) = orphans.pop() {
        if let Some(keep) = kept.get_mut(at).filter(|keep| **keep) {
            *keep = false;
            orphans.extend(partners.get(at).into_iter().flatten());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(calls: &[&str], results: &[&str]) -> Facts {
        let owned = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
        Facts { calls: owned(calls), results: owned(results), ..Facts::default() }
    }

    #[test]
    fn a_result_without_its_call_goes() {
        let events =
            [facts(&[], &["a"]), facts(&["b"], &[]), facts(&[], &["b"]), facts(&["c"], &[])];
        assert_eq!(paired(&events), [false, true, true, true]);
    }

    #[test]
    fn ids_used_again_pair_in_order() {
        let events = [
            facts(&["a"], &[]),
            facts(&[], &["a"]),
            facts(&["a"], &[]),
            facts(&[], &["a"]),
            facts(&[], &["a"]),
        ];
        assert_eq!(paired(&events), [true, true, true, true, false]);
    }

    #[test]
    fn an_event_of_several_results_goes_with_all_it_is_tied_to() {
        let events = [
            facts(&["b", "c"], &[]),
            facts(&[], &["a", "b"]),
            facts(&[], &["c"]),
            facts(&["d"], &[]),
        ];
        assert_eq!(paired(&events), [false, false, false, true]);
    }

    #[test]
    fn calls_and_results_of_one_event_do_not_pair_with_each_other() {
        let events = [facts(&["a"], &["a"])];
        assert_eq!(paired(&events), [false]);
    }
}
