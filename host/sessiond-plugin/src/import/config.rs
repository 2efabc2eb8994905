//! `wasi:config/store`: a plugin's own table of the configuration.

use crate::bindings::wasi::config::store;
use crate::host::Host;

impl store::Host for Host {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        let settings = self.grants.config.as_ref();
        Ok(Ok(settings.and_then(|settings| settings.get(&key)).map(str::to_owned)))
    }

    fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        let settings = self.grants.config.iter().flat_map(|settings| settings.all());
        Ok(Ok(settings.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }
}
