//! `chat-model`: asking a model that the operator configured, within a budget and a deadline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sessiond_core::hook::Purpose;
use wasmtime::component::Resource;

use crate::bindings::sessiond::plugin::chat_model::{self, Answer, Request};
use crate::budget::Reservation;
use crate::host::Host;
use crate::model::{ChatAnswer, ChatError, ChatMessage, ChatModel, ChatRequest};
use crate::output::{Level, cut};
use crate::rows::{Row, StaleHandle};

/// The most text of all requests of a call, in bytes.
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// The most messages of a request.
const MAX_MESSAGES: usize = 1_000;
/// The longest name of a role, in bytes.
const MAX_ROLE: usize = 64;
/// Of the time that is left, the share that stays for the guest after it, and the most of it.
const SHARE: u32 = 10;
const MAX_SHARE: Duration = Duration::from_millis(250);

/// The answer of a function that may refuse.
type Asked<T> = wasmtime::Result<Result<T, chat_model::ChatError>>;

fn asked<T>(result: Result<T, ChatError>) -> Asked<T> {
    let told = |error: ChatError| chat_model::ChatError {
        code: error.code().to_owned(),
        message: error.to_string(),
    };
    Ok(result.map_err(told))
}

impl Host {
    fn request(&mut self, it: &Resource<Request>) -> Result<&mut ChatRequest, StaleHandle> {
        match self.rows.get_mut(it.rep())? {
            Row::ChatRequest(request) => Ok(request),
            _ => Err(StaleHandle),
        }
    }

    fn answer(&self, it: &Resource<Answer>) -> Result<&ChatAnswer, StaleHandle> {
        match self.rows.get(it.rep())? {
            Row::ChatAnswer(answer) => Ok(answer),
            _ => Err(StaleHandle),
        }
    }

    fn add(
        &mut self,
        it: &Resource<Request>,
        message: ChatMessage,
    ) -> Result<Result<(), ChatError>, StaleHandle> {
        if message.role.is_empty() || message.role.len() > MAX_ROLE {
            let told = format!("a role has 1 to {MAX_ROLE} bytes");
            return Ok(Err(ChatError::Invalid(told)));
        }
        if self.request(it)?.messages.len() >= MAX_MESSAGES {
            let told = format!("a request has at most {MAX_MESSAGES} messages");
            return Ok(Err(ChatError::Invalid(told)));
        }
        if !self.rows.spend(message.text.len() + message.role.len(), MAX_TEXT) {
            let told = format!("the requests of a call have at most {MAX_TEXT} bytes of text");
            return Ok(Err(ChatError::Invalid(told)));
        }
        self.request(it)?.messages.push(message);
        Ok(Ok(()))
    }

    /// How long the host may wait for something: a little less than the guest has.
    pub(crate) fn patience(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.saturating_sub((left / SHARE).min(MAX_SHARE))
    }

    /// Whether the request may be sent, and what is put aside for it.
    fn prepare(&self, mut request: ChatRequest) -> Result<Prepared, ChatError> {
        if self.call.purpose == Purpose::Trial {
            let told = "this is a trial, in which no model is asked".to_owned();
            return Err(ChatError::Denied(told));
        }
        let granted = self.grants.models.as_ref();
        let Some((model, ledger)) = granted.and_then(|models| models.get(&request.model)) else {
            let name = cut(&request.model, 256);
            return Err(ChatError::Denied(format!(
                "the model {name:?} is not granted: add it to `grants.models` of the plugin"
            )));
        };
        if request.messages.is_empty() {
            return Err(ChatError::Invalid("the request has no message".to_owned()));
        }
        let most = model.max_tokens();
        let longest = request.max_tokens.map_or(most, |tokens| tokens.min(most));
        request.max_tokens = Some(longest);
        let cost = estimate(&request) + u64::from(longest);
        let reserved = ledger.reserve(&self.app, cost, Instant::now());
        let reserved = reserved.map_err(|over| ChatError::OverBudget(over.to_string()))?;
        let time = model.timeout().min(self.patience());
        Ok(Prepared { request, model: model.clone(), reserved, cost, time })
    }

    fn count(&self, model: &str, begin: Instant, answer: &Result<ChatAnswer, ChatError>) {
        let outcome = answer.as_ref().map_or_else(ChatError::code, |_| "ok");
        let plugin = self.plugin.to_string();
        // What a guest names is no label, unless it is the name of something.
        let granted = self.grants.models.as_ref().and_then(|models| models.get(model));
        let model = granted.map_or_else(|| "unknown".to_owned(), |_| model.to_owned());
        metrics::counter!("sessiond_model_calls_total", "plugin" => plugin.clone(), "model" => model.clone(), "outcome" => outcome)
            .increment(1);
        if let Ok(answer) = answer {
            metrics::counter!("sessiond_model_tokens_total", "plugin" => plugin.clone(), "model" => model.clone())
                .increment(spent(answer).unwrap_or(0));
        }
        metrics::histogram!("sessiond_model_call_seconds", "plugin" => plugin, "model" => model.clone())
            .record(begin.elapsed());
        if let Err(error) = answer {
            // As the plugin's own line: a guest that asks without end must not fill the log.
            let line = format!("no answer of the model {model:?}: {outcome}: {error}");
            self.output.log(Level::Warn, &line);
        }
    }
}

/// A request that is paid for.
struct Prepared {
    request: ChatRequest,
    model: Arc<dyn ChatModel>,
    reserved: Reservation,
    cost: u64,
    time: Duration,
}

impl Prepared {
    async fn send(self) -> Result<ChatAnswer, ChatError> {
        let Self { request, model, reserved, cost, time } = self;
        let answer = tokio::time::timeout(time, model.ask(&request)).await;
        let answer = answer.unwrap_or(Err(ChatError::TimeOut(time)));
        match &answer {
            Ok(answer) => reserved.settle(spent(answer).unwrap_or(cost)),
            Err(error) if error.is_free() => reserved.settle(0),
            // It stays spent: the model may have worked for it.
            Err(_) => {}
        }
        answer
    }
}

/// The tokens of a request, at four bytes each and a few for each message.
fn estimate(request: &ChatRequest) -> u64 {
    let of = |message: &ChatMessage| message.text.len().div_ceil(4) as u64 + 4;
    request.messages.iter().map(of).sum()
}

fn spent(answer: &ChatAnswer) -> Option<u64> {
    Some(u64::from(answer.input_tokens?) + u64::from(answer.output_tokens?))
}

impl chat_model::Host for Host {
    async fn send(&mut self, request: Resource<Request>) -> Asked<Resource<Answer>> {
        let Row::ChatRequest(request) = self.rows.take(request.rep())? else {
            return Err(StaleHandle.into());
        };
        let (model, begin) = (request.model.clone(), Instant::now());
        let answer = match self.prepare(request) {
            Ok(prepared) => prepared.send().await,
            Err(error) => Err(error),
        };
        self.count(&model, begin, &answer);
        asked(answer.map(|answer| self.rows.give(Row::ChatAnswer(answer))))
    }
}

impl chat_model::HostRequest for Host {
    fn new(&mut self, model: String) -> wasmtime::Result<Resource<Request>> {
        self.may_hold(1)?;
        // A name that is too long is none that is granted.
        let model = cut(&model, MAX_ROLE).to_owned();
        let request = ChatRequest { model, ..ChatRequest::default() };
        Ok(self.rows.give(Row::ChatRequest(request)))
    }

    fn add_message(&mut self, it: Resource<Request>, role: String, text: String) -> Asked<()> {
        asked(self.add(&it, ChatMessage { role, text })?)
    }

    fn set_max_tokens(&mut self, it: Resource<Request>, tokens: u32) -> Asked<()> {
        let request = self.request(&it)?;
        if tokens == 0 {
            return asked(Err(ChatError::Invalid("an answer has at least 1 token".to_owned())));
        }
        request.max_tokens = Some(tokens);
        asked(Ok(()))
    }

    fn set_temperature(&mut self, it: Resource<Request>, temperature: f64) -> Asked<()> {
        let request = self.request(&it)?;
        if !(0.0..=2.0).contains(&temperature) {
            let told = "the temperature is a number from 0 to 2".to_owned();
            return asked(Err(ChatError::Invalid(told)));
        }
        request.temperature = Some(temperature);
        asked(Ok(()))
    }

    fn drop(&mut self, it: Resource<Request>) -> wasmtime::Result<()> {
        // Unlike an event it is the guest's own, so nobody else wants the row.
        let _ = self.rows.take(it.rep());
        Ok(())
    }
}

impl chat_model::HostAnswer for Host {
    fn text(&mut self, it: Resource<Answer>) -> wasmtime::Result<String> {
        let text = self.answer(&it)?.text.clone();
        self.copied(text)
    }

    fn finish_reason(&mut self, it: Resource<Answer>) -> wasmtime::Result<String> {
        Ok(self.answer(&it)?.finish_reason.clone())
    }

    fn input_tokens(&mut self, it: Resource<Answer>) -> wasmtime::Result<u32> {
        Ok(self.answer(&it)?.input_tokens.unwrap_or(0))
    }

    fn output_tokens(&mut self, it: Resource<Answer>) -> wasmtime::Result<u32> {
        Ok(self.answer(&it)?.output_tokens.unwrap_or(0))
    }

    fn drop(&mut self, it: Resource<Answer>) -> wasmtime::Result<()> {
        let _ = self.rows.take(it.rep());
        Ok(())
    }
}
