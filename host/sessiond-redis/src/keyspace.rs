//! The names of keys in Redis. All are made here.
//!
//! Braces choose the slot: everything of one user of an app shares one, and so changes in one step;
//! an app's state has its own.

use sessiond_core::key::{AppKey, SessionKey, UserKey};

/// Makes the names of keys.
#[derive(Debug, Clone)]
pub(crate) struct Keyspace {
    /// What all begin with.
    root: String,
}

/// The keys of a user of an app.
#[derive(Debug, Clone)]
pub(crate) struct UserKeys {
    /// Hash: the user's state.
    pub(crate) state: String,
    /// Sorted set: sessions by the microsecond of their update.
    pub(crate) by_update: String,
    /// Sorted set: sessions by the millisecond of their end, if they have one.
    pub(crate) by_expiry: String,
    /// What the keys of the hashes of the user's sessions begin with.
    pub(crate) hashes: String,
}

/// The keys of a session.
#[derive(Debug, Clone)]
pub(crate) struct SessionKeys {
    /// Hash: what is known of it, its state, summaries and outbox.
    pub(crate) hash: String,
    /// List: its entries, without holes.
    pub(crate) entries: String,
    /// Hash: the ids of its latest entries, as `id_field.rs` writes them.
    pub(crate) ids: String,
    /// Hash: the ids of those before.
    pub(crate) older_ids: String,
    /// What the keys of its tracks, lists, begin with.
    tracks: String,
    /// Its name, as it stands in keys and in the sorted sets.
    pub(crate) name: String,
    /// Those of its user.
    pub(crate) user: UserKeys,
}

/// The keys of an app.
#[derive(Debug, Clone)]
pub(crate) struct AppKeys {
    /// Hash: the app's state.
    pub(crate) state: String,
    /// Set: marks of appends whose changes of it may not have been made yet.
    pub(crate) outboxes: String,
}

/// The keys of what a plugin keeps for an app.
#[derive(Debug, Clone)]
pub(crate) struct PluginKeys {
    /// Hash: the values.
    pub(crate) values: String,
    /// Sorted set: the names of the values by the millisecond of their end.
    pub(crate) ends: String,
}

/// The keys of the queue of summary jobs.
#[derive(Debug, Clone)]
pub(crate) struct JobKeys {
    /// Stream: the jobs that may be done.
    pub(crate) ready: String,
    /// Hash: the subjects of all that wait.
    pub(crate) names: String,
    /// Sorted set: the subjects of those that wait for their time.
    pub(crate) later: String,
}

/// How many channels there are.
pub(crate) const CHANNELS: u8 = 64;

impl SessionKeys {
    /// The number of the channel on which the scripts tell that the session was written.
    pub(crate) fn channel_number(&self) -> u8 {
        // SHA-1, as of scripts: all daemons on a Redis must come to the same.
        let digest = redis::Script::new(&self.hash).get_hash().to_owned();
        let first = digest.get(..2).and_then(|byte| u8::from_str_radix(byte, 16).ok());
        first.unwrap_or_default() % CHANNELS
    }

    /// That channel.
    pub(crate) fn channel(&self) -> String {
        // Neither the prefix nor what we put behind it has a brace.
        let root = self.hash.split('{').next().unwrap_or_default();
        channel_name(root, self.channel_number())
    }
}

fn channel_name(root: &str, number: u8) -> String {
    format!("{root}w:{number}")
}

impl PluginKeys {
    /// The ends of the values of a key, as [`Keyspace::plugin`] makes both.
    pub(crate) fn ends_of(values: &str) -> String {
        format!("{values}:y")
    }
}

impl Keyspace {
    /// Keys that begin with the prefix, which has no braces.
    pub(crate) fn new(prefix: &str) -> Self {
        let root = if prefix.is_empty() { "sd:".to_owned() } else { format!("{prefix}:sd:") };
        Self { root }
    }

    /// Hash: the version of the layout, and the key of the digests.
    pub(crate) fn schema(&self) -> String {
        format!("{}schema", self.root)
    }

    /// Set: apps with a set of outboxes.
    pub(crate) fn apps(&self) -> String {
        format!("{}apps", self.root)
    }

    /// No app and no user has these braces: their names are never empty.
    pub(crate) fn jobs(&self) -> JobKeys {
        let base = format!("{}{{:jobs}}:", self.root);
        JobKeys {
            ready: format!("{base}ready"),
            names: format!("{base}names"),
            later: format!("{base}later"),
        }
    }

    /// A channel: what it is about is that sessions of some hashes were written.
    pub(crate) fn channel(&self, number: u8) -> String {
        channel_name(&self.root, number)
    }

    pub(crate) fn app(&self, app: &AppKey) -> AppKeys {
        let base = format!("{}{{{}}}:", self.root, escape(app.app()));
        AppKeys { state: format!("{base}a"), outboxes: format!("{base}o") }
    }

    pub(crate) fn user(&self, user: &UserKey) -> UserKeys {
        let base = self.user_base(user);
        UserKeys {
            state: format!("{base}u"),
            by_update: format!("{base}x"),
            by_expiry: format!("{base}y"),
            hashes: format!("{base}h:"),
        }
    }

    pub(crate) fn session(&self, key: &SessionKey) -> SessionKeys {
        let base = self.user_base(key.user_key());
        let name = escape(key.session());
        SessionKeys {
            hash: format!("{base}h:{name}"),
            entries: format!("{base}e:{name}"),
            ids: format!("{base}i:{name}"),
            older_ids: format!("{base}j:{name}"),
            tracks: format!("{base}t:{name}:"),
            name,
            user: self.user(key.user_key()),
        }
    }

    pub(crate) fn plugin(&self, app: &AppKey, plugin: &str) -> PluginKeys {
        let values = format!("{}{{{}}}:p:{}", self.root, escape(app.app()), escape(plugin));
        PluginKeys { ends: PluginKeys::ends_of(&values), values }
    }

    /// The pattern that the values of a plugin match, whatever the app.
    pub(crate) fn plugin_pattern(&self, plugin: &str) -> String {
        format!("{}{{*}}:p:{}", escape_glob(&self.root), escape_glob(&escape(plugin)))
    }

    fn user_base(&self, user: &UserKey) -> String {
        format!("{}{{{}:{}}}:", self.root, escape(user.app()), escape(user.user()))
    }

    /// The pattern that the hashes of sessions match, of one user if both names are given.
    pub(crate) fn hash_pattern(&self, app: Option<&str>, user: Option<&str>) -> String {
        let name = |name: Option<&str>| name.map_or("*".to_owned(), |it| escape_glob(&escape(it)));
        format!("{}{{{}:{}}}:h:*", escape_glob(&self.root), name(app), name(user))
    }

    /// The session whose hash a key names. None for other keys.
    pub(crate) fn session_of(&self, hash: &str) -> Option<SessionKey> {
        let rest = hash.strip_prefix(&self.root)?.strip_prefix('{')?;
        let (owner, session) = rest.split_once("}:h:")?;
        let (app, user) = owner.split_once(':')?;
        SessionKey::new(unescape(app)?, unescape(user)?, unescape(session)?).ok()
    }
}

impl SessionKeys {
    /// List: a track, by its name as it stands in keys.
    pub(crate) fn track(&self, track: &str) -> String {
        format!("{}{track}", self.tracks)
    }

    /// A key of the same slot for what is not yet a part of the session.
    pub(crate) fn staging(&self, number: &str, what: &str) -> String {
        format!("{}:{number}:{what}", self.entries)
    }
}

/// The name of a track as it stands in keys: as [`escape`], and without white space.
pub(crate) fn escape_track(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in escape(name).chars() {
        match character {
            '\t'..='\r' | ' ' => escaped.push_str(&format!("%{:02X}", u32::from(character))),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The inverse of [`escape_track`]. None for what it does not make.
pub(crate) fn unescape_track(escaped: &str) -> Option<String> {
    let mut spaced = escaped.to_owned();
    for space in ['\t', '\n', '\u{b}', '\u{c}', '\r', ' '] {
        spaced = spaced.replace(&format!("%{:02X}", u32::from(space)), &space.to_string());
    }
    unescape(&spaced)
}

/// A key of the same slot that nobody reads: it is written, for a moment, to have the replicas asked
/// what they have.
pub(crate) fn waiting_mark(key: &[u8]) -> Vec<u8> {
    let tag = key.iter().position(|byte| *byte == b'}').and_then(|close| key.get(..=close));
    [tag.unwrap_or(key), b":w"].concat()
}

/// A name as it stands in keys: no part of a key can run into the next, nor close the braces.
pub(crate) fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '%' => escaped.push_str("%25"),
            ':' => escaped.push_str("%3A"),
            '{' => escaped.push_str("%7B"),
            '}' => escaped.push_str("%7D"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The inverse of [`escape`]. None for what it does not make.
pub(crate) fn unescape(escaped: &str) -> Option<String> {
    if escaped.contains([':', '{', '}']) {
        return None;
    }
    let mut parts = escaped.split('%');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        name.push(match code {
            "25" => '%',
            "3A" => ':',
            "7B" => '{',
            "7D" => '}',
            _ => return None,
        });
        name.push_str(rest);
    }
    Some(name)
}

/// Text that a pattern matches as it is.
pub(crate) fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const NASTY: [&str; 18] = [
        "a", "b", "a:b", "a%3Ab", "%", "%25", "{", "}", "{}", "}:h:", ":", "*", "?[x]\\", " \n\0",
        "😀", "...", "h", "%7D:h:",
    ];

    /// R54: no two sessions share a key, and a key tells its session.
    #[test]
    fn names_never_run_into_each_other() {
        let keyspace = Keyspace::new("p");
        let mut seen = HashMap::new();
        for app in NASTY {
            for user in NASTY {
                for session in NASTY {
                    let key = SessionKey::new(app, user, session).unwrap();
                    let keys = keyspace.session(&key);
                    assert_eq!(keyspace.session_of(&keys.hash).as_ref(), Some(&key));
                    let own = [&keys.hash, &keys.entries, &keys.ids, &keys.older_ids];
                    for name in own {
                        assert_eq!(seen.insert(name.clone(), key.clone()), None, "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn escaping_can_be_undone() {
        for name in NASTY.into_iter().chain(["a b\t\r\n%20", "%0"]) {
            assert_eq!(unescape(&escape(name)).as_deref(), Some(name));
            assert_eq!(unescape_track(&escape_track(name)).as_deref(), Some(name));
            assert!(!escape_track(name).contains(char::is_whitespace));
        }
        for bad in ["%", "%2", "%3a", "%41", ":", "a{", "%é"] {
            assert_eq!(unescape(bad), None, "{bad}");
        }
    }

    /// All keys of a user have the same text between the first brace and the next closing one, and
    /// that text is not empty: so Redis puts them into one slot.
    #[test]
    fn braces_hold_one_name_a_slot() {
        let tag = |key: &str| {
            let (_, rest) = key.split_once('{').unwrap();
            rest.split_once('}').unwrap().0.to_owned()
        };
        let keyspace = Keyspace::new("");
        for (app, user) in [("a", "u"), ("{", "}"), ("a:b", "}{"), ("%7B", ":")] {
            let keys = keyspace.session(&SessionKey::new(app, user, "}s").unwrap());
            let user = keys.user.clone();
            let wanted = tag(&keys.hash);
            assert!(!wanted.is_empty());
            for key in [keys.entries, keys.ids, keys.older_ids, user.state, user.by_update] {
                assert_eq!(tag(&key), wanted);
            }
            assert_eq!(tag(&user.by_expiry), wanted);
            let app = keyspace.app(&AppKey::new(app).unwrap());
            assert_eq!(tag(&app.state), tag(&app.outboxes));
            assert_ne!(tag(&app.state), wanted);
        }
    }

    #[test]
    fn patterns_match_names_as_they_are() {
        let keyspace = Keyspace::new("a*");
        assert_eq!(keyspace.hash_pattern(None, None), "a\\*:sd:{*:*}:h:*");
        assert_eq!(keyspace.hash_pattern(Some("x?"), Some("[")), "a\\*:sd:{x\\?:\\[}:h:*");
    }
}
