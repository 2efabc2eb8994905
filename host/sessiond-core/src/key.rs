//! The names of a session: app, user and session, checked once, when they are made.

use std::fmt;

/// The longest name, in bytes of UTF-8.
pub const MAX_NAME: usize = 512;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A part of the key is the empty string.
    #[error("the {part} is empty: give it 1 to {MAX_NAME} bytes of UTF-8")]
    Empty {
        /// `app`, `user` or `session`.
        part: &'static str,
    },
    /// A part of the key is longer than [`MAX_NAME`].
    #[error("the {part} has {len} bytes: at most {MAX_NAME} are allowed")]
    TooLong {
        /// `app`, `user` or `session`.
        part: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A part of the key is `.` or `..`, which clients and proxies resolve as paths.
    #[error("the {part} must not be `.` or `..`: HTTP clients rewrite such paths")]
    Dots {
        /// `app`, `user` or `session`.
        part: &'static str,
    },
}

/// Checks the name of a track of a session.
///
/// # Errors
/// [`KeyError`], as for the names of a key.
pub fn check_track(name: &str) -> Result<(), KeyError> {
    check("track", name)
}

fn check(part: &'static str, name: &str) -> Result<(), KeyError> {
    match name {
        "" => Err(KeyError::Empty { part }),
        "." | ".." => Err(KeyError::Dots { part }),
        _ if name.len() > MAX_NAME => Err(KeyError::TooLong { part, len: name.len() }),
        _ => Ok(()),
    }
}

/// An app: the outermost name, and the owner of `app:` state.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppKey {
    app: String,
}

impl AppKey {
    /// Checks the name and makes a key of it.
    ///
    /// # Errors
    /// [`KeyError`], when the name is empty, too long, `.` or `..`.
    pub fn new(app: impl Into<String>) -> Result<Self, KeyError> {
        let app = app.into();
        check("app", &app)?;
        Ok(Self { app })
    }

    /// The app's name.
    pub fn app(&self) -> &str {
        &self.app
    }
}

/// A user of an app: the owner of `user:` state and of a list of sessions.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserKey {
    app: AppKey,
    user: String,
}

impl UserKey {
    /// Checks the names and makes a key of them.
    ///
    /// # Errors
    /// [`KeyError`], for the first name that is refused.
    pub fn new(app: impl Into<String>, user: impl Into<String>) -> Result<Self, KeyError> {
        AppKey::new(app)?.user(user)
    }

    /// The app that the user belongs to.
    pub fn app_key(&self) -> &AppKey {
        &self.app
    }

    /// The app's name.
    pub fn app(&self) -> &str {
        self.app.app()
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The key of one of the user's sessions.
    ///
    /// # Errors
    /// [`KeyError`], when the session's name is refused.
    pub fn session(&self, session: impl Into<String>) -> Result<SessionKey, KeyError> {
        let session = session.into();
        check("session", &session)?;
        Ok(SessionKey { user: self.clone(), session })
    }
}

impl AppKey {
    /// The key of one of the app's users.
    ///
    /// # Errors
    /// [`KeyError`], when the user's name is refused.
    pub fn user(self, user: impl Into<String>) -> Result<UserKey, KeyError> {
        let user = user.into();
        check("user", &user)?;
        Ok(UserKey { app: self, user })
    }
}

/// A session of a user of an app.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    user: UserKey,
    session: String,
}

impl SessionKey {
    /// Checks the names and makes a key of them.
    ///
    /// # Errors
    /// [`KeyError`], for the first name that is refused.
    pub fn new(
        app: impl Into<String>,
        user: impl Into<String>,
        session: impl Into<String>,
    ) -> Result<Self, KeyError> {
        UserKey::new(app, user)?.session(session)
    }

    /// The user that the session belongs to.
    pub fn user_key(&self) -> &UserKey {
        &self.user
    }

    /// The app that the session belongs to.
    pub fn app_key(&self) -> &AppKey {
        self.user.app_key()
    }

    /// The app's name.
    pub fn app(&self) -> &str {
        self.user.app()
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        self.user.user()
    }

    /// The session's name.
    pub fn session(&self) -> &str {
        &self.session
    }
}

/// Whom a call to a plugin is about: a session, or a user or an app whose state is touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A session.
    Session(SessionKey),
    /// A user's state.
    User(UserKey),
    /// An app's state.
    App(AppKey),
}

impl Subject {
    /// The made-up session with which plugins are tried at load. It is never stored.
    pub fn trial() -> Self {
        let name = || "trial".to_owned();
        let user = UserKey { app: AppKey { app: name() }, user: name() };
        Self::Session(SessionKey { user, session: name() })
    }

    /// The app's name.
    pub fn app(&self) -> &str {
        match self {
            Self::Session(key) => key.app(),
            Self::User(key) => key.app(),
            Self::App(key) => key.app(),
        }
    }

    /// The user's name, empty for an app.
    pub fn user(&self) -> &str {
        match self {
            Self::Session(key) => key.user(),
            Self::User(key) => key.user(),
            Self::App(_) => "",
        }
    }

    /// The session's name, empty for a user or an app.
    pub fn session(&self) -> &str {
        match self {
            Self::Session(key) => key.session(),
            Self::User(_) | Self::App(_) => "",
        }
    }
}

// Names come from clients, so they are quoted and escaped wherever they are shown.

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.app)
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.app(), self.user)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.user, self.session)
    }
}

impl fmt::Display for Subject {
    /// The names, quoted and escaped: for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(key) => write!(f, "{key:?}"),
            Self::User(key) => write!(f, "{key:?}"),
            Self::App(key) => write!(f, "{key:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_any_text_but_empty_dots_and_too_long() {
        assert!(SessionKey::new("a", "u", "s").is_ok());
        assert!(SessionKey::new("a:{}*?[]\\% \n\0", "😀", "...").is_ok());
        assert_eq!(SessionKey::new("", "u", "s"), Err(KeyError::Empty { part: "app" }));
        assert_eq!(SessionKey::new("a", "..", "s"), Err(KeyError::Dots { part: "user" }));
        assert!(SessionKey::new("a", "u", "x".repeat(MAX_NAME)).is_ok());
        assert_eq!(
            SessionKey::new("a", "u", "é".repeat(257)),
            Err(KeyError::TooLong { part: "session", len: 514 })
        );
    }
}
