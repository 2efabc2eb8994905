use super::*;
use crate::faults::journal::{Acknowledged, id};

/// Two writers who have written in turns, ten events each, all acknowledged and stored.
fn good() -> (Journal, Stored) {
    let mut journal = Journal::default();
    let mut stored = Stored { session: 0, generation: 7, first: 1, ..Stored::default() };
    for sequence in 1..=20_u64 {
        let (writer, number) = (sequence as usize % 2, sequence.div_ceil(2));
        let generation = stored.generation;
        journal.acknowledged.push(Acknowledged {
            session: 0,
            writer,
            number,
            generation,
            sequence,
        });
        stored.events.push((sequence, id(writer, number)));
        stored.state.insert(writer, number);
    }
    (journal, stored)
}

/// What the checker finds after something was done to what is stored.
fn found(harm: impl FnOnce(&mut Stored)) -> Findings {
    let (journal, mut stored) = good();
    harm(&mut stored);
    check(&journal, &[stored])
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(found(|_| {}), Findings::default());
    // An append that was given up may be there, and one of a writer that nobody heard of may not.
    let given_up = found(|stored| {
        stored.events.push((21, id(0, 11)));
        stored.state.insert(0, 11);
    });
    assert_eq!(given_up, Findings::default());
}

/// The last event is gone, and the state as of before: what a lagging replica knows.
#[test]
fn a_loss_at_the_end_is_found() {
    let lost = found(|stored| {
        stored.events.pop();
        stored.state.insert(0, 9);
    });
    assert_eq!(lost, Findings { lost: 1, ..Findings::default() });
    assert!(lost.is_consistent());
}

#[test]
fn a_loss_in_the_middle_is_a_hole_as_well() {
    let lost = found(|stored| drop(stored.events.remove(4)));
    assert_eq!(lost, Findings { lost: 1, holes: 1, ..Findings::default() });
}

/// Another event took the place of one that was acknowledged: a loss, and no hole.
#[test]
fn a_loss_behind_another_event_is_found() {
    let lost = found(|stored| {
        stored.events[19].1 = id(1, 11);
        stored.state = BTreeMap::from([(0, 9), (1, 11)]);
    });
    assert_eq!(lost, Findings { lost: 1, ..Findings::default() });
}

#[test]
fn a_double_is_found() {
    let double = found(|stored| stored.events.push((21, id(0, 10))));
    assert_eq!(double, Findings { double: 1, moved: 1, ..Findings::default() });
}

#[test]
fn a_changed_order_is_found() {
    let swapped = found(|stored| {
        let third = stored.events[2].1.clone();
        stored.events[2].1 = std::mem::replace(&mut stored.events[4].1, third);
    });
    assert_eq!(swapped, Findings { disordered: 1, moved: 2, ..Findings::default() });
    let shuffled = found(|stored| stored.events.swap(2, 3));
    assert_eq!((shuffled.disordered, shuffled.holes), (1, 1));
}

#[test]
fn what_nobody_wrote_is_found() {
    let strange = found(|stored| stored.events.push((21, "x".to_owned())));
    assert_eq!(strange, Findings { strange: 1, ..Findings::default() });
}

#[test]
fn a_state_without_its_event_is_found() {
    let stale = found(|stored| *stored.state.entry(1).or_default() -= 1);
    assert_eq!(stale, Findings { stale: 1, ..Findings::default() });
}

/// What trimming and edits took is no loss, and no hole.
#[test]
fn trims_and_edits_are_allowed_for() {
    let trimmed = found(|stored| {
        stored.events.drain(..5);
        stored.first = 6;
    });
    assert_eq!(trimmed, Findings::default());
    let edited = found(|stored| {
        stored.events.remove(9);
        stored.removed.insert(10);
    });
    assert_eq!(edited, Findings::default());
}

#[test]
fn an_earlier_life_is_counted_apart() {
    let wiped = found(|stored| {
        *stored = Stored { session: 0, generation: 8, first: 1, ..Stored::default() };
    });
    assert_eq!(wiped, Findings { wiped: 20, ..Findings::default() });
    let (journal, _) = good();
    assert_eq!(check(&journal, &[]).lost, 20);
}
