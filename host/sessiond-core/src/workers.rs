//! Work that no request waits for, or that several share.

pub(crate) mod group_commit;
pub mod lanes;
pub mod summary;
mod together;
