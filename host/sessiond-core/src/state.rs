//! State: values by key, in three scopes, and the changes that events make to it.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json::{Index, Kind, Value, quote};

/// The prefix of keys that belong to the app.
const APP: &str = "app:";
/// The prefix of keys that belong to the user.
const USER: &str = "user:";
/// The prefix of keys that live in the client only and are never stored.
const TEMP: &str = "temp:";
/// The member by which bytes that are not JSON appear in JSON.
const BYTES: &str = "$bytes";

/// Whose state a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One session's.
    Session,
    /// All sessions of a user.
    User,
    /// All sessions of an app.
    App,
}

impl Scope {
    /// The scope of a key as events carry it, and the key without the prefix.
    pub fn of_key(key: &str) -> (Self, &str) {
        if let Some(key) = key.strip_prefix(APP) {
            (Self::App, key)
        } else if let Some(key) = key.strip_prefix(USER) {
            (Self::User, key)
        } else {
            (Self::Session, key)
        }
    }

    /// The prefix of this scope's keys in events.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "",
            Self::User => USER,
            Self::App => APP,
        }
    }

    /// The scope of that name in the plugin contract.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "session" => Some(Self::Session),
            "user" => Some(Self::User),
            "app" => Some(Self::App),
            _ => None,
        }
    }
}

/// Whether a key is never stored.
pub(crate) fn is_temporary(key: &str) -> bool {
    key.starts_with(TEMP)
}

/// A value of state. A key that is absent has none; a key set to nothing has [`StateValue::Null`].
#[derive(Clone, PartialEq, Eq)]
pub enum StateValue {
    /// Present, and nothing.
    Null,
    /// JSON text, as the client wrote it.
    Json(String),
    /// Bytes that are not JSON.
    Bytes(Vec<u8>),
}

impl StateValue {
    /// From a JSON value of a request or an event.
    pub fn from_json(value: Value<'_>) -> Self {
        if value.is_null() {
            return Self::Null;
        }
        if let Some(bytes) = Self::bytes_member(value) {
            return Self::from_bytes(bytes);
        }
        Self::Json(value.raw().to_owned())
    }

    fn bytes_member(value: Value<'_>) -> Option<Vec<u8>> {
        let bytes = value.get(BYTES)?.as_str()?;
        (value.entries().count() == 1).then(|| STANDARD.decode(bytes.as_bytes()).ok()).flatten()
    }

    /// From bytes as trpc-agent-go keeps them.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if Index::of(&text).is_ok() => Self::Json(text),
            Ok(text) => Self::Bytes(text.into_bytes()),
            Err(error) => Self::Bytes(error.into_bytes()),
        }
    }

    /// The JSON text that clients and guests get.
    pub fn to_json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Json(text) => text.clone(),
            Self::Bytes(bytes) => format!("{{\"{BYTES}\":\"{}\"}}", STANDARD.encode(bytes)),
        }
    }

    /// The base64 literal, or null, that a trpc event carries.
    pub(crate) fn to_base64(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Json(text) => quote(&STANDARD.encode(text)),
            Self::Bytes(bytes) => quote(&STANDARD.encode(bytes)),
        }
    }

    /// The bytes under which a store keeps it: one that tells the kind, and the value.
    pub fn to_stored(&self) -> Vec<u8> {
        let (kind, value): (u8, &[u8]) = match self {
            Self::Null => (b'n', b""),
            Self::Json(text) => (b'j', text.as_bytes()),
            Self::Bytes(bytes) => (b'b', bytes),
        };
        let mut stored = Vec::with_capacity(value.len() + 1);
        stored.push(kind);
        stored.extend_from_slice(value);
        stored
    }

    /// The inverse of [`StateValue::to_stored`]. None for bytes that it did not make.
    pub fn from_stored(stored: &[u8]) -> Option<Self> {
        let (kind, value) = stored.split_first()?;
        match kind {
            b'n' => Some(Self::Null),
            b'j' => String::from_utf8(value.to_vec()).ok().map(Self::Json),
            b'b' => Some(Self::Bytes(value.to_vec())),
            _ => None,
        }
    }
}

impl fmt::Debug for StateValue {
    /// State may be secret, so only its size shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Json(text) => write!(f, "Json({} bytes)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
        }
    }
}

/// The state of one scope, by key without prefix.
pub type StateMap = BTreeMap<String, StateValue>;

/// State as one reply shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopedState {
    /// The session's own.
    pub session: StateMap,
    /// The user's.
    pub user: StateMap,
    /// The app's.
    pub app: StateMap,
}

impl ScopedState {
    /// The state of a scope.
    pub fn scope(&self, scope: Scope) -> &StateMap {
        match scope {
            Scope::Session => &self.session,
            Scope::User => &self.user,
            Scope::App => &self.app,
        }
    }

    /// The state of a scope, to change.
    pub fn scope_mut(&mut self, scope: Scope) -> &mut StateMap {
        match scope {
            Scope::Session => &mut self.session,
            Scope::User => &mut self.user,
            Scope::App => &mut self.app,
        }
    }

    /// All scopes in one, with the prefixes of events.
    pub fn merged(&self) -> StateMap {
        let scopes = [Scope::Session, Scope::User, Scope::App];
        let prefixed = scopes.into_iter().flat_map(|scope| {
            let entries = self.scope(scope).iter();
            entries.map(move |(key, value)| (format!("{}{key}", scope.prefix()), value.clone()))
        });
        prefixed.collect()
    }
}

/// What happens to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateChange {
    /// It gets a value.
    Set(StateValue),
    /// It goes.
    Remove,
}

/// Changes of state by key, with the prefixes of scopes, in order. Of two for one key the last
/// counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateDelta(Vec<(String, StateChange)>);

impl StateDelta {
    /// Changes that set values.
    pub fn set(values: impl IntoIterator<Item = (String, StateValue)>) -> Self {
        Self(values.into_iter().map(|(key, value)| (key, StateChange::Set(value))).collect())
    }

    /// A change that removes a key.
    pub fn remove(key: String) -> Self {
        Self(vec![(key, StateChange::Remove)])
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, key: String, change: StateChange) {
        self.0.push((key, change));
    }

    /// The changes, with keys as events carry them.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &StateChange)> {
        self.0.iter().map(|(key, change)| (key.as_str(), change))
    }

    /// The changes of one scope, with keys without prefix.
    pub fn of(&self, scope: Scope) -> impl Iterator<Item = (&str, &StateChange)> {
        self.changes().filter_map(move |(key, change)| {
            let (of, key) = Scope::of_key(key);
            (of == scope).then_some((key, change))
        })
    }

    /// Makes the changes of one scope to its state.
    pub fn apply(&self, scope: Scope, state: &mut StateMap) {
        for (key, change) in self.of(scope) {
            match change {
                StateChange::Set(value) => {
                    state.insert(key.to_owned(), value.clone());
                }
                StateChange::Remove => {
                    state.remove(key);
                }
            }
        }
    }

    /// The body of an entry that carries these changes and nothing else.
    pub fn to_body(&self) -> String {
        let set: Vec<_> = self
            .changes()
            .filter_map(|(key, change)| match change {
                StateChange::Set(value) => Some(format!("{}:{}", quote(key), value.to_json())),
                StateChange::Remove => None,
            })
            .collect();
        let removed: Vec<_> = self
            .changes()
            .filter(|(_, change)| **change == StateChange::Remove)
            .map(|(key, _)| quote(key))
            .collect();
        let mut body = format!("{{\"state_delta\":{{{}}}", set.join(","));
        if !removed.is_empty() {
            body.push_str(&format!(",\"state_removed\":[{}]", removed.join(",")));
        }
        body.push('}');
        body
    }
}

/// Why changes of state were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The changes are not an object of keys and values.
    #[error("the state is not a JSON object of keys and values")]
    NotObject,
    /// A key has no name.
    #[error("the state key {0:?} is empty: name it")]
    EmptyKey(String),
    /// A key is too long.
    #[error("a state key has {0} bytes: at most {max} are allowed", max = crate::key::MAX_NAME)]
    LongKey(usize),
    /// A value of a dialect whose values are base64 is not.
    #[error("the state value of {0:?} is not base64: this dialect carries bytes")]
    NotBase64(String),
    /// A key belongs to another scope than the request.
    #[error("the state key {0:?} belongs to another scope: use the path of that scope")]
    OtherScope(String),
}

/// Checks the key of a change.
///
/// # Errors
/// [`StateError`], when it is empty, with or without its prefix, or too long.
pub fn check_key(key: &str) -> Result<(), StateError> {
    if Scope::of_key(key).1.is_empty() {
        Err(StateError::EmptyKey(key.to_owned()))
    } else if key.len() > crate::key::MAX_NAME {
        Err(StateError::LongKey(key.len()))
    } else {
        Ok(())
    }
}

/// Reads an object of keys and values, base64 or JSON.
pub(crate) fn read_delta(object: Value<'_>, base64: bool) -> Result<StateDelta, StateError> {
    if object.kind() != Kind::Object {
        return Err(StateError::NotObject);
    }
    let mut delta = StateDelta::default();
    for (name, value) in object.entries() {
        let key = name.as_str().unwrap_or_default().into_owned();
        check_key(&key)?;
        let value = if base64 && !value.is_null() {
            let text = value.as_str().ok_or_else(|| StateError::NotBase64(key.clone()))?;
            let bytes = STANDARD.decode(text.as_bytes());
            StateValue::from_bytes(bytes.map_err(|_| StateError::NotBase64(key.clone()))?)
        } else {
            StateValue::from_json(value)
        };
        delta.push(key, StateChange::Set(value));
    }
    Ok(delta)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> StateValue {
        let index = Index::of(json).unwrap();
        StateValue::from_json(index.root(json))
    }

    /// R80: nothing, JSON null in bytes, empty, text, bytes and odd JSON are told apart and stable.
    #[test]
    fn values_are_told_apart_and_survive_the_store() {
        let odd = r#"{"a":1,"a":2.50,"big":123456789012345678901}"#;
        let values = [
            StateValue::Null,
            StateValue::from_bytes(b"null".to_vec()),
            StateValue::from_bytes(Vec::new()),
            StateValue::from_bytes(b"plain".to_vec()),
            StateValue::from_bytes(vec![0xff, 0]),
            value(odd),
        ];
        for (at, one) in values.iter().enumerate() {
            assert_eq!(StateValue::from_stored(&one.to_stored()).as_ref(), Some(one));
            assert!(values.iter().skip(at + 1).all(|other| other != one));
        }
        assert_eq!(value(odd).to_json(), odd);
        assert_eq!(value(r#"{"$bytes":"/wA="}"#), StateValue::Bytes(vec![0xff, 0]));
        assert_eq!(value(r#"{"$bytes":"no base64!"}"#).to_json(), r#"{"$bytes":"no base64!"}"#);
    }

    #[test]
    fn prefixes_choose_the_scope() {
        let delta = StateDelta::set(
            ["k", "user:k", "app:k"].map(|key| (key.to_owned(), StateValue::Json("1".to_owned()))),
        );
        let mut state = ScopedState::default();
        for scope in [Scope::Session, Scope::User, Scope::App] {
            delta.apply(scope, state.scope_mut(scope));
        }
        assert_eq!(state.merged().into_keys().collect::<Vec<_>>(), ["app:k", "k", "user:k"]);
        assert_eq!(check_key("user:"), Err(StateError::EmptyKey("user:".to_owned())));
    }
}
