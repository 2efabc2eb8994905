//! Appends that were acknowledged, and that the store refused when they were written.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::lane::Queued;
use crate::error::Error;
use crate::event::Event;
use crate::key::SessionKey;
use crate::store::NewEntry;
use crate::time::Time;

/// An append that was refused.
#[derive(Debug)]
pub struct DeadLetter {
    /// When.
    pub at: Time,
    /// The session.
    pub key: SessionKey,
    /// The request that it came with.
    pub request_id: Arc<str>,
    /// The stable name of the error.
    pub code: &'static str,
    /// The error, in words.
    pub detail: String,
    /// The events, as the hooks left them.
    pub events: Vec<Arc<Event>>,
}

/// The latest of them.
#[derive(Debug)]
pub(super) struct DeadLetters {
    most: usize,
    letters: Mutex<(u64, VecDeque<Arc<DeadLetter>>)>,
}

impl DeadLetters {
    pub(super) fn new(most: usize) -> Self {
        Self { most, letters: Mutex::default() }
    }

    pub(super) fn add(&self, at: Time, queued: &Queued, error: &Error) {
        let code = error.code();
        metrics::counter!("sessiond_dead_letters_total", "code" => code).increment(1);
        let (session, request_id) = (&queued.key, &queued.call.request_id);
        tracing::error!(?session, %request_id, %error, "an append that was queued is refused");
        let events = queued.ready.entries.iter().filter_map(|entry| match entry {
            NewEntry::Event { event, .. } => Some(event.clone()),
            NewEntry::Dropped { .. } => None,
        });
        let letter = DeadLetter {
            at,
            key: queued.key.clone(),
            request_id: queued.call.request_id.clone(),
            code,
            detail: error.to_string(),
            events: events.collect(),
        };
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.0 += 1;
        if letters.1.len() >= self.most {
            letters.1.pop_front();
        }
        letters.1.push_back(Arc::new(letter));
    }

    pub(super) fn list(&self) -> (u64, Vec<Arc<DeadLetter>>) {
        let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        (letters.0, letters.1.iter().cloned().collect())
    }
}
