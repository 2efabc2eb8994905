//! What a guest may import, one file an interface or a resource.

mod call;
mod event;
mod log;
mod options;
mod session;
mod summary;

use sessiond_core::event::editor::EditError;

use crate::bindings::sessiond::plugin::types;
use crate::host::Host;

impl types::Host for Host {}

impl From<EditError> for types::EditError {
    fn from(error: EditError) -> Self {
        Self { code: error.code().to_owned(), message: error.to_string() }
    }
}

/// The answer of a mutator: what the guest gets, inside what would trap it.
type Edited<T> = wasmtime::Result<Result<T, types::EditError>>;

fn edited<T>(result: Result<T, EditError>) -> Edited<T> {
    Ok(result.map_err(Into::into))
}
