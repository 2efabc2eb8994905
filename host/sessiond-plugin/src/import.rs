//! What a guest may import, one file an interface or a resource.

mod call;
mod chat;
mod config;
mod copied;
mod event;
pub(crate) mod http;
mod keyvalue;
mod log;
mod logging;
mod options;
mod session;
mod summary;

use sessiond_core::event::editor::EditError;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::sessiond::plugin::{chat_model, types};
use crate::bindings::wasi;
use crate::host::Host;

/// Offers what a plugin needs a grant for. What it has no grant for it cannot import: the loader
/// holds its imports against its grants.
pub(crate) fn link_granted(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    chat_model::add_to_linker::<_, HasSelf<_>>(linker, |host| host)?;
    wasi::config::store::add_to_linker::<_, HasSelf<_>>(linker, |host| host)?;
    wasi::keyvalue::store::add_to_linker::<_, HasSelf<_>>(linker, |host| host)?;
    wasi::logging::logging::add_to_linker::<_, HasSelf<_>>(linker, |host| host)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    Ok(())
}

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
