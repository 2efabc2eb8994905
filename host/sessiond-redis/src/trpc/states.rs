//! The states of apps and users: hashes of bytes.

use std::collections::BTreeMap;

use sessiond_core::key::{AppKey, MAX_NAME, UserKey};
use sessiond_core::state::{Scope, StateMap, StateValue};

use super::{Content, Finding, Found, Trouble, TrpcSource, on};

type Fields = BTreeMap<Vec<u8>, Vec<u8>>;

impl TrpcSource {
    pub(super) async fn app_state(&self, key: &str, app: &str) -> Result<Found, Trouble> {
        let owner = AppKey::new(app);
        let owner = owner.map_err(|error| Trouble::Part(Finding::lost(key, error)))?;
        let fields = self.read(&on("HGETALL", key), key).await?;
        let mut findings = Vec::new();
        let state = values(key, fields, &mut findings);
        Ok(Found { content: Content::App(owner, state), findings })
    }

    /// A user may have state in both layouts. Then that of hashidx counts, as the newer one.
    pub(super) async fn user_state(
        &self,
        key: &str,
        app: &str,
        user: &str,
    ) -> Result<Found, Trouble> {
        let owner = UserKey::new(app, user);
        let owner = owner.map_err(|error| Trouble::Part(Finding::lost(key, error)))?;
        let (newer, older) =
            (self.names.hashidx_user_state(app, user), self.names.zset("userstate", app, user));
        if key == older && self.read::<bool>(&on("EXISTS", &newer), &newer).await? {
            // It is read where the newer one is found.
            return Ok(Found { content: Content::Nothing, findings: Vec::new() });
        }
        let mut findings = Vec::new();
        let mut state = StateMap::new();
        for key in [older, newer] {
            match self.read::<Fields>(&on("HGETALL", &key), &key).await {
                Ok(fields) => state.extend(values(&key, fields, &mut findings)),
                Err(Trouble::Part(finding)) => findings.push(finding),
                Err(error) => return Err(error),
            }
        }
        Ok(Found { content: Content::User(owner, state), findings })
    }
}

/// The values, byte for byte. trpc-agent-go keeps a null as no bytes, and so it comes along.
fn values(key: &str, fields: Fields, findings: &mut Vec<Finding>) -> StateMap {
    let mut state = StateMap::new();
    for (field, value) in fields {
        let at = || format!("{key} (state {:?})", String::from_utf8_lossy(&field));
        let name = match str::from_utf8(&field) {
            Ok(name) if name.is_empty() || name.len() > MAX_NAME - Scope::User.prefix().len() => {
                findings.push(Finding::lost(at(), "the key is empty or too long"));
                continue;
            }
            Ok(name) if Scope::of_key(name).0 != Scope::Session || name.starts_with("temp:") => {
                findings.push(Finding::lost(at(), "the key has the prefix of another scope"));
                continue;
            }
            Ok(name) => name.to_owned(),
            Err(_) => {
                findings.push(Finding::lost(at(), "the key is not UTF-8"));
                continue;
            }
        };
        state.insert(name, StateValue::from_bytes(value));
    }
    state
}
