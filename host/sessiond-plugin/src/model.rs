//! Language models, as a plugin's host sees them: who talks to them is not this crate's business.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant`, or what else the model knows.
    pub role: String,
    /// The text.
    pub text: String,
}

/// A question. It comes from a guest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// The model, by its name in the configuration.
    pub model: String,
    /// The conversation so far.
    pub messages: Vec<ChatMessage>,
    /// The longest answer, in tokens. None: as long as the model may.
    pub max_tokens: Option<u32>,
    /// How freely it chooses its words, from 0 to 2.
    pub temperature: Option<f64>,
}

/// What a model said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The text.
    pub text: String,
    /// Why it ended.
    pub finish_reason: String,
    /// The tokens of the request, if the model's server said.
    pub input_tokens: Option<u32>,
    /// The tokens of the answer, if it said.
    pub output_tokens: Option<u32>,
}

/// Why there is no answer. The texts reach guests, so they say nothing of addresses and keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// The model is not granted.
    #[error("{0}")]
    Denied(String),
    /// The request is not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// The plugin has asked enough.
    #[error("{0}")]
    OverBudget(String),
    /// The model cannot be reached, or is overloaded.
    #[error("{0}")]
    Unavailable(String),
    /// It did not answer in time.
    #[error("there was no answer within {0:?}")]
    TimeOut(Duration),
    /// Its server does not accept the request.
    #[error("{0}")]
    Refused(String),
    /// What it answered is no answer.
    #[error("{0}")]
    BadAnswer(&'static str),
}

impl ChatError {
    /// The code in the plugin contract, and in metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Invalid(_) => "invalid",
            Self::OverBudget(_) => "over-budget",
            Self::Unavailable(_) => "unavailable",
            Self::TimeOut(_) => "time-out",
            Self::Refused(_) => "refused",
            Self::BadAnswer(_) => "bad-answer",
        }
    }

    /// Whether the model certainly did no work for it.
    pub(crate) const fn is_free(&self) -> bool {
        !matches!(self, Self::TimeOut(_) | Self::BadAnswer(_))
    }
}

/// A model that answers.
#[async_trait]
pub trait ChatModel: Send + Sync + fmt::Debug {
    /// The longest answer, in tokens.
    fn max_tokens(&self) -> u32;

    /// The longest wait for an answer.
    fn timeout(&self) -> Duration;

    /// Asks. The caller ends the wait by dropping the future.
    ///
    /// # Errors
    /// [`ChatError`], when there is no answer.
    async fn ask(&self, request: &ChatRequest) -> Result<ChatAnswer, ChatError>;
}
