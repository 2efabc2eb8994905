//! Several appends to one session, written in as few steps as that takes.
//!
//! Each gets its own answer, the one that it would have got by itself: what one of them is refused
//! for does not touch the others.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::key::SessionKey;
use crate::store::{Appended, Condition, JournalMark, NewEntry, SessionStore, StoreError};

/// The most entries that one step writes, unless a single append has more.
const MAX_ENTRIES: usize = 512;
/// The most bytes of events that one step writes, unless a single append has more.
const MAX_BYTES: usize = 4 << 20;

/// An append that is ready to be written.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) condition: Condition,
    pub(crate) entries: Vec<NewEntry>,
    /// Where it stands in the journal, if it comes from there.
    pub(crate) mark: Option<JournalMark>,
}

impl Ready {
    fn bytes(&self) -> usize {
        let sizes = self.entries.iter().map(|entry| match entry {
            NewEntry::Event { event, .. } => event.size(),
            NewEntry::Dropped { .. } => 0,
        });
        sizes.sum()
    }
}

/// Writes appends in their order, and answers each. After one whose fate is not known, or for which
/// there is no room at present, nothing more is written, so that a later one is never stored without
/// it: those get the same answer.
pub(crate) async fn write<R: AsRef<Ready> + Sync>(
    store: &dyn SessionStore,
    key: &SessionKey,
    appends: &[R],
) -> Vec<Result<Appended, StoreError>> {
    let mut answers = Vec::with_capacity(appends.len());
    while let Some(rest) = appends.get(answers.len()..).filter(|rest| !rest.is_empty()) {
        let group = rest.get(..shared(rest)).unwrap_or(rest);
        let before = answers.len();
        write_group(store, key, group, &mut answers).await;
        if let Some(unsure) = answers.iter().skip(before).find_map(unsure_of) {
            let left = appends.len() - answers.len();
            answers.extend((0..left).map(|_| Err(unsure.again())));
        }
    }
    answers
}

/// How many of the first appends one step can write. What an `If-Match` must hold for is written by
/// itself.
fn shared<R: AsRef<Ready>>(appends: &[R]) -> usize {
    let mut appends = appends.iter().map(AsRef::as_ref);
    let Some(first) = appends.next() else { return 0 };
    let (mut count, mut entries, mut bytes) = (1, first.entries.len(), first.bytes());
    if first.condition.revision.is_some() {
        return count;
    }
    for next in appends {
        entries += next.entries.len();
        bytes += next.bytes();
        if next.condition != first.condition || entries > MAX_ENTRIES || bytes > MAX_BYTES {
            break;
        }
        count += 1;
    }
    count
}

/// Writes appends whose conditions are the same: together, and if that is refused, in halves. So one
/// that is refused costs the others a few steps, not one each.
async fn write_group<R: AsRef<Ready>>(
    store: &dyn SessionStore,
    key: &SessionKey,
    group: &[R],
    answers: &mut Vec<Result<Appended, StoreError>>,
) {
    let Some(condition) = group.first().map(|first| first.as_ref().condition) else { return };
    let mut left = vec![group];
    while let Some(part) = left.pop() {
        let entries: Vec<&[NewEntry]> =
            part.iter().map(|it| it.as_ref().entries.as_slice()).collect();
        let mark = part.iter().rev().find_map(|it| it.as_ref().mark);
        let written = store.append_together(key, condition, &entries, mark).await;
        let error = match written {
            Ok(appended) if appended.len() == part.len() => {
                answers.extend(appended.into_iter().map(Ok));
                continue;
            }
            Ok(_) => no_answer(),
            Err(error) => error,
        };
        let before = answers.len();
        if part.len() == 1 {
            answers.push(Err(error));
        } else if let Some(same) = Same::of(error) {
            answers.extend(part.iter().map(|_| Err(same.again())));
        } else {
            let (first, second) = part.split_at(part.len() / 2);
            left.extend([second, first]);
        }
        if answers.iter().skip(before).any(|answer| unsure_of(answer).is_some()) {
            return;
        }
    }
}

fn no_answer() -> StoreError {
    StoreError::Corrupt("the store gave no answer to an append".into())
}

fn unsure_of(answer: &Result<Appended, StoreError>) -> Option<Unsure> {
    match answer {
        Err(StoreError::Unavailable(_)) => Some(Unsure::Unavailable),
        Err(StoreError::NotReplicated { wanted, got }) => {
            Some(Unsure::NotReplicated { wanted: *wanted, got: *got })
        }
        Err(StoreError::Full(_)) => Some(Unsure::Full),
        _ => None,
    }
}

/// Why nothing is known of an append, or it may be stored later.
#[derive(Debug, Clone, Copy)]
enum Unsure {
    Unavailable,
    Full,
    NotReplicated { wanted: u32, got: u32 },
}

impl Unsure {
    fn again(self) -> StoreError {
        match self {
            Self::Unavailable => StoreError::Unavailable("an append before it failed".into()),
            Self::Full => StoreError::Full("there was no room for an append before it".into()),
            Self::NotReplicated { wanted, got } => StoreError::NotReplicated { wanted, got },
        }
    }
}

/// An error that is the same for all appends that were written together.
#[derive(Debug)]
enum Same {
    NotFound,
    OtherGeneration { current: u64 },
    NotReplicated { wanted: u32, got: u32 },
    Unavailable(Shared),
    Full(Shared),
    Corrupt(Shared),
}

impl Same {
    /// None: by itself, one of them may be answered otherwise.
    fn of(error: StoreError) -> Option<Self> {
        Some(match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::OtherGeneration { current } => Self::OtherGeneration { current },
            StoreError::NotReplicated { wanted, got } => Self::NotReplicated { wanted, got },
            StoreError::Unavailable(source) => Self::Unavailable(Shared(source.into())),
            StoreError::Full(source) => Self::Full(Shared(source.into())),
            StoreError::Corrupt(source) => Self::Corrupt(Shared(source.into())),
            _ => return None,
        })
    }

    fn again(&self) -> StoreError {
        match self {
            Self::NotFound => StoreError::NotFound,
            Self::OtherGeneration { current } => StoreError::OtherGeneration { current: *current },
            Self::NotReplicated { wanted, got } => {
                StoreError::NotReplicated { wanted: *wanted, got: *got }
            }
            Self::Unavailable(source) => StoreError::Unavailable(Box::new(source.clone())),
            Self::Full(source) => StoreError::Full(Box::new(source.clone())),
            Self::Corrupt(source) => StoreError::Corrupt(Box::new(source.clone())),
        }
    }
}

/// A cause that several errors have.
#[derive(Debug, Clone)]
struct Shared(Arc<dyn Error + Send + Sync>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
