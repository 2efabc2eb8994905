//! The names of trpc-agent-go's keys, and what each tells. Names stand in them unescaped, so some
//! can be read in more than one way.

use super::{Finding, TrpcSource};
use crate::error::Error;
use crate::keyspace::escape_glob;

/// Where there is something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The record of a session, in layout hashidx: its key.
    Hashidx(String),
    /// The records of a user's sessions, in layout zset, from a cursor on.
    ZsetUser {
        /// The app and the user.
        user: (String, String),
        /// Where to go on; 0 is the beginning.
        cursor: u64,
    },
    /// A session of a user, in layout zset.
    Zset((String, String), String),
    /// The state of a user, in either layout.
    UserState {
        /// The key that was found.
        key: String,
        /// The app.
        app: String,
        /// The user.
        user: String,
    },
    /// The state of an app, which both layouts share.
    AppState {
        /// The key.
        key: String,
        /// The app.
        app: String,
    },
}

/// What a key is.
#[derive(Debug)]
pub(super) enum Sorted {
    Place(Place),
    Part(Part),
    Odd(Finding),
    Other,
}

/// A key with content of a session, whose record is elsewhere.
#[derive(Debug)]
pub(super) struct Part {
    key: String,
    /// The keys, and fields of hashes, one of which is the record, if there is one.
    records: Vec<(String, Option<String>)>,
}

/// Makes the names of keys.
#[derive(Debug)]
pub(super) struct Names {
    root: String,
}

/// Whom to read: an app and a user.
type Wanted<'a> = (Option<&'a str>, Option<&'a str>);

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { root: if prefix.is_empty() { String::new() } else { format!("{prefix}:") } }
    }

    pub(super) fn pattern(&self) -> String {
        format!("{}*", escape_glob(&self.root))
    }

    /// Whether a key that is no text looks like one of trpc-agent-go.
    pub(super) fn are_ours(&self, key: &[u8]) -> bool {
        let heads = ["hashidx:", "sess:{", "event:{", "sesssum:{", "userstate:{", "appstate:{"];
        let Some(rest) = key.strip_prefix(self.root.as_bytes()) else { return false };
        heads.iter().any(|head| rest.starts_with(head.as_bytes()))
    }

    /// A key of layout hashidx.
    pub(super) fn hashidx(&self, kind: &str, app: &str, user: &str, session: &str) -> String {
        format!("{}hashidx:{kind}:{app}:{{{user}}}:{session}", self.root)
    }

    pub(super) fn hashidx_user_state(&self, app: &str, user: &str) -> String {
        format!("{}hashidx:userstate:{app}:{{{user}}}", self.root)
    }

    /// A key of layout zset.
    pub(super) fn zset(&self, kind: &str, app: &str, rest: &str) -> String {
        format!("{}{kind}:{{{app}}}:{rest}", self.root)
    }

    /// Finds out what a key is, from its name.
    pub(super) fn sort(&self, key: &str, wanted: Wanted<'_>) -> Sorted {
        let Some(rest) = key.strip_prefix(&self.root) else { return Sorted::Other };
        if let Some(rest) = rest.strip_prefix("hashidx:") {
            return self.sort_hashidx(key, rest, wanted);
        }
        let Some((kind, rest)) = rest.split_once(":{") else { return Sorted::Other };
        match kind {
            "appstate" => match rest.strip_suffix('}') {
                Some(app) if wanted.1.is_some() || wanted.0.is_some_and(|it| it != app) => {
                    Sorted::Other
                }
                Some(app) => Sorted::Place(Place::AppState { key: key.into(), app: app.into() }),
                None => Sorted::Odd(Finding::lost(key, "its name has no end")),
            },
            "sess" => owner(key, &splits(rest, "}:"), wanted, |app, user| Place::ZsetUser {
                user: (app.to_owned(), user.to_owned()),
                cursor: 0,
            }),
            "userstate" => {
                owner(key, &splits(rest, "}:"), wanted, |app, user| user_state(key, app, user))
            }
            "event" | "track" => self.sort_zset_part(key, rest, wanted),
            _ => Sorted::Other,
        }
    }

    fn sort_hashidx(&self, key: &str, rest: &str, wanted: Wanted<'_>) -> Sorted {
        if let Some(rest) = rest.strip_prefix("meta:") {
            return match may_be(rest, wanted) {
                true => Sorted::Place(Place::Hashidx(key.to_owned())),
                false => Sorted::Other,
            };
        }
        if let Some(rest) = rest.strip_prefix("userstate:") {
            let Some(rest) = rest.strip_suffix('}') else {
                return Sorted::Odd(Finding::lost(key, "its name has no end"));
            };
            return owner(key, &splits(rest, ":{"), wanted, |app, user| user_state(key, app, user));
        }
        let meta = |rest: &str| (format!("{}hashidx:meta:{rest}", self.root), None);
        let whole = rest.strip_prefix("evtdata:").or_else(|| rest.strip_prefix("sesssum:"));
        let (rest, records) = if let Some(rest) = whole {
            (rest, vec![meta(rest)])
        } else if let Some(rest) = rest.strip_prefix("trkdata:") {
            (rest, splits(rest, ":").iter().map(|(session, _)| meta(session)).collect())
        } else {
            // Indexes, leases and lists: nothing that is not elsewhere too.
            return Sorted::Other;
        };
        match may_be(rest, wanted) {
            true => Sorted::Part(Part { key: key.to_owned(), records }),
            false => Sorted::Other,
        }
    }

    fn sort_zset_part(&self, key: &str, rest: &str, wanted: Wanted<'_>) -> Sorted {
        let mut records = Vec::new();
        for (app, rest) in splits(rest, "}:") {
            if wanted.0.is_some_and(|it| it != app) {
                continue;
            }
            for (user, session) in splits(rest, ":") {
                if wanted.1.is_none_or(|it| it == user) {
                    let hash = self.zset("sess", app, user);
                    records.push((hash.clone(), Some(session.to_owned())));
                    let ends = splits(session, ":").into_iter();
                    records.extend(ends.map(|(it, _)| (hash.clone(), Some(it.to_owned()))));
                }
            }
        }
        match records.is_empty() {
            true => Sorted::Other,
            false => Sorted::Part(Part { key: key.to_owned(), records }),
        }
    }
}

impl TrpcSource {
    /// Which parts have no session: it was deleted or has expired, and they were left.
    pub(super) async fn without_session(&self, parts: Vec<Part>) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        for part in parts {
            let mut found = false;
            for (key, field) in &part.records {
                let mut command = redis::cmd(if field.is_some() { "HEXISTS" } else { "EXISTS" });
                command.arg(key).arg(field);
                // A key of another type is reported where it is read.
                found |= self.send::<u64>(&command).await.or_else(|error| match error {
                    Error::Command(_) => Ok(1),
                    error => Err(error),
                })? > 0;
                if found {
                    break;
                }
            }
            if !found {
                let reason = "its session has no record: it was deleted, or has expired";
                findings.push(Finding::lost(part.key, reason));
            }
        }
        Ok(findings)
    }
}

fn user_state(key: &str, app: &str, user: &str) -> Place {
    Place::UserState { key: key.to_owned(), app: app.to_owned(), user: user.to_owned() }
}

/// The place of a user, if the name can be read in one way, or one of the ways is asked for.
fn owner(
    key: &str,
    ways: &[(&str, &str)],
    wanted: Wanted<'_>,
    place: impl Fn(&str, &str) -> Place,
) -> Sorted {
    let fits = |(app, user): &&(&str, &str)| {
        wanted.0.is_none_or(|it| it == *app) && wanted.1.is_none_or(|it| it == *user)
    };
    let fitting: Vec<_> = ways.iter().filter(fits).collect();
    match fitting.as_slice() {
        [(app, user)] => Sorted::Place(place(app, user)),
        [] if ways.is_empty() => Sorted::Odd(Finding::lost(key, "its name has no end")),
        [] => Sorted::Other,
        _ => {
            let ways: Vec<_> =
                fitting.iter().map(|(app, user)| format!("{app:?}/{user:?}")).collect();
            let ways = ways.join(" or ");
            let reason = format!("it may be of {ways}: import it with --app and --user");
            Sorted::Odd(Finding::lost(key, reason))
        }
    }
}

/// All ways to cut a text in two at a mark.
fn splits<'a>(text: &'a str, mark: &str) -> Vec<(&'a str, &'a str)> {
    let at = text.match_indices(mark);
    at.filter_map(|(at, mark)| Some((text.get(..at)?, text.get(at + mark.len()..)?))).collect()
}

/// Whether a name that begins with `APP:{USER}:` may be of those who are asked for.
fn may_be(rest: &str, wanted: Wanted<'_>) -> bool {
    match wanted {
        (None, None) => true,
        (Some(app), None) => rest.starts_with(&format!("{app}:{{")),
        (None, Some(user)) => rest.contains(&format!(":{{{user}}}:")),
        (Some(app), Some(user)) => rest.starts_with(&format!("{app}:{{{user}}}:")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wanted<'_> = (None, None);

    fn place(key: &str, wanted: Wanted<'_>) -> Option<Place> {
        match Names::new("").sort(key, wanted) {
            Sorted::Place(place) => Some(place),
            _ => None,
        }
    }

    #[test]
    fn a_name_that_can_be_read_in_two_ways_is_not_guessed() {
        let both = "sess:{a}:b}:c";
        assert!(matches!(Names::new("").sort(both, ALL), Sorted::Odd(_)));
        let user = ("a}:b".to_owned(), "c".to_owned());
        let named = Some(Place::ZsetUser { user, cursor: 0 });
        assert_eq!(place(both, (Some("a}:b"), Some("c"))), named);
        assert!(matches!(Names::new("").sort("hashidx:userstate:a:{b:{c}", ALL), Sorted::Odd(_)));
    }

    #[test]
    fn keys_of_others_are_left_alone() {
        for key in ["foo", "hashidx", "hashidx:stateinit:a:{u}:s:1", "x:sess:{a}:u", "sd:{a:u}:h:s"]
        {
            assert!(matches!(Names::new("").sort(key, ALL), Sorted::Other), "{key}");
        }
        assert!(matches!(Names::new("x").sort("x:sess:{a}:u", ALL), Sorted::Place(_)));
        assert!(matches!(Names::new("x").sort("sess:{a}:u", ALL), Sorted::Other));
    }

    #[test]
    fn only_who_is_asked_for() {
        assert!(place("sess:{a}:u", (Some("a"), None)).is_some());
        assert!(place("sess:{a}:u", (Some("b"), None)).is_none());
        assert!(place("hashidx:meta:a:{u}:s", (None, Some("u"))).is_some());
        assert!(place("hashidx:meta:a:{u}:s", (None, Some("v"))).is_none());
        assert!(place("appstate:{a}", (Some("a"), Some("u"))).is_none());
    }
}
