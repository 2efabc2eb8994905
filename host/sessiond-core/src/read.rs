//! What a client asks to read, and how a hook may narrow it.

use crate::event::editor::EditError;
use crate::hook::Purpose;
use crate::time::Time;
use crate::window::Window;

/// How a read treats summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SummaryMode {
    /// It leaves them out.
    None,
    /// It has them beside the events.
    Include,
    /// The summary of the whole session stands for the events that it covers.
    Replace,
}

impl SummaryMode {
    /// The name in requests and in the plugin contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Include => "include",
            Self::Replace => "replace",
        }
    }

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Include, Self::Replace].into_iter().find(|mode| mode.name() == name)
    }
}

/// What to read of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// What the read is for.
    pub purpose: Purpose,
    /// At most this many events.
    pub limit: u32,
    /// Only events after this sequence.
    pub after_sequence: Option<u64>,
    /// Only events before this sequence.
    pub before_sequence: Option<u64>,
    /// Only events from the first one of this time or later on.
    pub after_time: Option<Time>,
    /// How the history is cut.
    pub window: Window,
    /// How summaries are treated.
    pub summary: SummaryMode,
}

impl ReadOptions {
    /// A read for this purpose, of so many of the newest events.
    pub fn new(purpose: Purpose, limit: u32) -> Self {
        Self {
            purpose,
            limit,
            after_sequence: None,
            before_sequence: None,
            after_time: None,
            window: Window::Exact,
            summary: SummaryMode::None,
        }
    }

    /// Lowers the limit.
    ///
    /// # Errors
    /// [`EditError::Invalid`], if it is higher than it was.
    pub fn narrow_limit(&mut self, limit: u32) -> Result<(), EditError> {
        narrow(limit <= self.limit, "the limit can only be lowered")?;
        self.limit = limit;
        Ok(())
    }

    /// Raises the sequence after which to read.
    ///
    /// # Errors
    /// [`EditError::Invalid`], if it is lower than it was.
    pub fn narrow_after(&mut self, sequence: u64) -> Result<(), EditError> {
        let narrower = self.after_sequence.is_none_or(|before| before <= sequence);
        narrow(narrower, "the first sequence can only be raised")?;
        self.after_sequence = Some(sequence);
        Ok(())
    }

    /// Lowers the sequence before which to read.
    ///
    /// # Errors
    /// [`EditError::Invalid`], if it is higher than it was.
    pub fn narrow_before(&mut self, sequence: u64) -> Result<(), EditError> {
        let narrower = self.before_sequence.is_none_or(|before| before >= sequence);
        narrow(narrower, "the last sequence can only be lowered")?;
        self.before_sequence = Some(sequence);
        Ok(())
    }

    /// Moves the time from which to read.
    ///
    /// # Errors
    /// [`EditError::Invalid`], if it is earlier than it was.
    pub fn narrow_time(&mut self, time: Time) -> Result<(), EditError> {
        let narrower = self.after_time.is_none_or(|before| before <= time);
        narrow(narrower, "the time can only be moved later")?;
        self.after_time = Some(time);
        Ok(())
    }
}

fn narrow(allowed: bool, message: &str) -> Result<(), EditError> {
    if allowed { Ok(()) } else { Err(EditError::invalid(message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_narrowed_and_never_widened() {
        let mut options = ReadOptions::new(Purpose::Session, 50);
        options.narrow_limit(10).unwrap();
        assert!(options.narrow_limit(11).is_err());
        options.narrow_after(5).unwrap();
        assert!(options.narrow_after(4).is_err());
        options.narrow_before(9).unwrap();
        assert!(options.narrow_before(10).is_err());
        options.narrow_time(Time::from_nanos(5)).unwrap();
        assert!(options.narrow_time(Time::from_nanos(4)).is_err());
    }
}
