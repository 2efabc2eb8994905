//! Who may do what: bearer tokens, kept as digests, with grants.
//!
//! Who is not granted an app or a user is told that nothing is there; who is granted too little is
//! told what is missing.

pub mod pattern;
pub mod token;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use self::pattern::Pattern;
use self::token::TokenDigest;
use crate::config::{ConfigError, ServerConfig, read_tokens};

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read sessions and state.
    Read,
    /// Write them.
    Append,
    /// Run the daemon.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Append, Self::Admin];

    /// Its name in tokens files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::Admin => "admin",
        }
    }

    /// The scope of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// Apps and users, and what may be done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Which apps.
    pub app: Pattern,
    /// Which users of them.
    pub user: Pattern,
    /// What.
    pub scopes: Vec<Scope>,
}

/// A token, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name, which logs and plugins get to see.
    pub name: String,
    /// What its text is recognized by.
    pub digest: TokenDigest,
    /// What it may do.
    pub grants: Vec<Grant>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// The daemon.
    Daemon,
    /// An app as a whole, with all of its users.
    App(&'a str),
    /// A user of an app.
    User(&'a str, &'a str),
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The token has nothing to do with the app or the user.
    Foreign,
    /// It may do other things there, but not this.
    Scope(Scope),
}

impl Token {
    /// Whether it may do all of this.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, target: Target<'_>, scopes: &[Scope]) -> Result<(), Refusal> {
        let grants = || self.grants.iter().filter(|grant| grant.covers(target));
        if grants().next().is_none() {
            return Err(Refusal::Foreign);
        }
        let granted = |scope: &Scope| grants().any(|grant| grant.scopes.contains(scope));
        match scopes.iter().find(|scope| !granted(scope)) {
            Some(missing) => Err(Refusal::Scope(*missing)),
            None => Ok(()),
        }
    }
}

impl Grant {
    fn covers(&self, target: Target<'_>) -> bool {
        match target {
            Target::Daemon => true,
            Target::App(app) => self.app.matches(app) && self.user.is_all(),
            Target::User(app, user) => self.app.matches(app) && self.user.matches(user),
        }
    }
}

/// Where tokens are.
#[derive(Debug, Clone, Default)]
pub enum TokenSource {
    /// There are none: whoever reaches the daemon may do everything but what is the operator's.
    #[default]
    None,
    /// In a file.
    File(PathBuf),
    /// In the configuration, by way of the environment.
    Text(String),
}

/// The tokens of a daemon.
#[derive(Debug)]
pub struct Access {
    source: TokenSource,
    tokens: RwLock<Option<Arc<Vec<Token>>>>,
}

impl Access {
    /// Reads the tokens.
    ///
    /// # Errors
    /// When they cannot be read, or something is wrong with them.
    pub fn load(server: &ServerConfig) -> Result<Self, ConfigError> {
        let source = server.tokens.clone();
        let tokens = RwLock::new(source.read()?);
        Ok(Self { source, tokens })
    }

    /// Reads them again.
    ///
    /// # Errors
    /// As for [`Access::load`]; those that were there before count on.
    pub fn reload(&self) -> Result<(), ConfigError> {
        let read = self.source.read()?;
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Whether everybody needs a token.
    pub fn is_guarded(&self) -> bool {
        self.tokens().is_some()
    }

    /// The token of a text. The comparison takes the same time for all that have the same length.
    pub fn find(&self, text: &str) -> Option<Token> {
        let digest = TokenDigest::of(text);
        let tokens = self.tokens()?;
        let mut found = None;
        for token in tokens.iter() {
            if token.digest.is(&digest) {
                found = Some(token);
            }
        }
        found.cloned()
    }

    /// Whether a token still counts, with the grants that it had.
    pub fn still_has(&self, token: &Token) -> bool {
        self.tokens().is_some_and(|tokens| tokens.contains(token))
    }

    fn tokens(&self) -> Option<Arc<Vec<Token>>> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl TokenSource {
    fn read(&self) -> Result<Option<Arc<Vec<Token>>>, ConfigError> {
        let tokens = match self {
            Self::None => return Ok(None),
            Self::File(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| {
                    ConfigError::whole(path, format!("the tokens cannot be read: {error}"))
                })?;
                read_tokens(path, &text)?
            }
            Self::Text(text) => read_tokens(Path::new("server.tokens"), text)?,
        };
        Ok(Some(Arc::new(tokens)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(app: &str, user: &str, scopes: &[Scope]) -> Grant {
        Grant { app: Pattern::new(app), user: Pattern::new(user), scopes: scopes.to_vec() }
    }

    /// R84
    #[test]
    fn a_token_does_what_its_grants_say() {
        use Scope::{Admin, Append, Read};
        let grants = vec![
            grant("shop", "ann", &[Read]),
            grant("shop", "a*", &[Append]),
            grant("desk*", "*", &[Read, Append]),
        ];
        let token = Token { name: "t".to_owned(), digest: TokenDigest::of("t"), grants };
        let user = |app, user, scopes: &[Scope]| token.check(Target::User(app, user), scopes);
        assert_eq!(user("shop", "ann", &[Read, Append]), Ok(()));
        assert_eq!(user("shop", "al", &[Append]), Ok(()));
        assert_eq!(user("shop", "al", &[Read, Append]), Err(Refusal::Scope(Read)));
        assert_eq!(user("shop", "bob", &[Read]), Err(Refusal::Foreign));
        assert_eq!(user("shopping", "ann", &[Read]), Err(Refusal::Foreign));
        assert_eq!(user("desk-2", "x", &[Append]), Ok(()));
        assert_eq!(token.check(Target::App("desk"), &[Append]), Ok(()));
        assert_eq!(token.check(Target::App("shop"), &[Read]), Err(Refusal::Foreign));
        assert_eq!(token.check(Target::Daemon, &[Admin]), Err(Refusal::Scope(Admin)));
        assert_eq!(token.check(Target::Daemon, &[]), Ok(()));
    }
}
