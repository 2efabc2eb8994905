//! What goes into a guest and what comes out of it, counted against the limits of the call.

use crate::bindings::sessiond::plugin::types::{StringPart, TextPart};
use crate::host::Host;
use crate::limits::LimitError;

/// What each item of a list takes besides its text, in bytes.
const ITEM: usize = 16;

/// Something that is copied into a guest.
pub(super) trait Copied {
    /// What it takes, in bytes, give or take a few.
    fn bytes(&self) -> usize;
}

impl Copied for String {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Copied for u8 {
    fn bytes(&self) -> usize {
        1
    }
}

impl Copied for (String, String) {
    fn bytes(&self) -> usize {
        self.0.len() + self.1.len() + ITEM
    }
}

impl Copied for StringPart {
    fn bytes(&self) -> usize {
        self.text.len() + ITEM
    }
}

impl Copied for TextPart {
    fn bytes(&self) -> usize {
        self.text.len() + self.call_id.bytes() + self.tool.bytes() + ITEM
    }
}

impl<T: Copied> Copied for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, T::bytes)
    }
}

impl<T: Copied> Copied for Vec<T> {
    fn bytes(&self) -> usize {
        self.iter().map(T::bytes).sum()
    }
}

impl Host {
    /// Passes a value on to the guest, if the call may still have as much.
    pub(super) fn copied<T: Copied>(&mut self, value: T) -> wasmtime::Result<T> {
        self.spent.copy(value.bytes())?;
        Ok(value)
    }

    /// Counts what the guest sets or adds.
    pub(super) fn put(&mut self, text: &str) -> Result<(), LimitError> {
        self.spent.put(text.len())
    }

    /// Makes sure that the guest may have some handles more.
    pub(super) fn may_hold(&self, more: usize) -> Result<(), LimitError> {
        self.spent.hold(self.rows.live(), more)
    }
}
