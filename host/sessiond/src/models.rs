//! Models behind an API of OpenAI's shape, which most servers of models have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use serde_json::{Value, json};
use sessiond_plugin::model::{ChatAnswer, ChatError, ChatModel, ChatRequest};

use crate::config::ModelConfig;
use crate::outbound::{Connector, Unread, json_request};

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Opens the models of a configuration.
///
/// # Errors
/// When a key is no text for a header.
pub(crate) fn open_models(
    models: &[ModelConfig],
    connector: &Connector,
) -> anyhow::Result<BTreeMap<String, Arc<dyn ChatModel>>> {
    let open = |config: &ModelConfig| {
        let model = OpenAiModel::new(config, connector.clone())?;
        Ok((config.name.value.clone(), Arc::new(model) as Arc<dyn ChatModel>))
    };
    models.iter().map(open).collect()
}

/// A model behind `POST URL/chat/completions`.
#[derive(Debug)]
struct OpenAiModel {
    url: Uri,
    model: String,
    /// Marked as sensitive, so that it is never printed.
    authorization: Option<HeaderValue>,
    timeout: Duration,
    max_tokens: u32,
    connector: Connector,
}

impl OpenAiModel {
    fn new(config: &ModelConfig, connector: Connector) -> anyhow::Result<Self> {
        let authorization = config.api_key.as_ref().map(|key| {
            let header = HeaderValue::try_from(format!("Bearer {}", key.reveal()));
            header.map_err(|_| {
                let name = &config.name.value;
                anyhow::anyhow!("models.{name}.api_key: the key has characters that no key has")
            })
        });
        let mut authorization = authorization.transpose()?;
        if let Some(header) = &mut authorization {
            header.set_sensitive(true);
        }
        Ok(Self {
            url: format!("{}/chat/completions", config.url).parse()?,
            model: config.model.clone(),
            authorization,
            timeout: config.timeout,
            max_tokens: config.max_tokens,
            connector,
        })
    }

    fn request(&self, request: &ChatRequest) -> Result<Request<Full<Bytes>>, ChatError> {
        let messages = request.messages.iter();
        let messages: Vec<_> = messages
            .map(|message| json!({"role": message.role, "content": message.text}))
            .collect();
        let mut body = json!({"model": self.model, "messages": messages, "stream": false});
        if let Some(fields) = body.as_object_mut() {
            fields.extend(request.max_tokens.map(|it| ("max_tokens".to_owned(), it.into())));
            fields.extend(request.temperature.map(|it| ("temperature".to_owned(), it.into())));
        }
        let authorization = self.authorization.as_ref().map(|it| (AUTHORIZATION, it));
        let request = json_request(&self.url, authorization, body.to_string());
        request.map_err(|_| ChatError::Invalid("the request cannot be written".to_owned()))
    }
}

#[async_trait]
impl ChatModel for OpenAiModel {
    fn max_tokens(&self) -> u32 {
        self.max_tokens
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn ask(&self, request: &ChatRequest) -> Result<ChatAnswer, ChatError> {
        let name = &request.model;
        let answer = self.connector.post(&self.url, self.request(request)?, MAX_ANSWER).await;
        let (status, body) = match answer.map(|answer| (answer.status, answer.body)) {
            Ok((status, Ok(body))) => (status, body),
            Ok((_, Err(Unread::TooLarge))) => {
                return Err(ChatError::BadAnswer("the answer is too large"));
            }
            Ok((_, Err(Unread::Broken(error)))) | Err(error) => {
                tracing::warn!(model = name, %error, "a model cannot be reached");
                let told = format!("the model {name:?} cannot be reached");
                return Err(ChatError::Unavailable(told));
            }
        };
        // What the server says about a failure may quote the key, so nobody gets to read it.
        let told = |what| format!("the server of the model {name:?} {what}: HTTP {status}");
        match status {
            StatusCode::OK => parse(&body),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Err(ChatError::Unavailable(told("is overloaded")))
            }
            _ if status.is_server_error() => Err(ChatError::Unavailable(told("has failed"))),
            _ => Err(ChatError::Refused(told("refuses the request"))),
        }
    }
}

fn parse(body: &[u8]) -> Result<ChatAnswer, ChatError> {
    const BAD: ChatError =
        ChatError::BadAnswer("the answer is not of the shape of chat completions");
    let body: Value = serde_json::from_slice(body).map_err(|_| BAD)?;
    let choice = body.pointer("/choices/0").ok_or(BAD)?;
    let text = match choice.pointer("/message/content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) => String::new(),
        _ => return Err(BAD),
    };
    let reason = choice.pointer("/finish_reason").and_then(Value::as_str);
    let tokens = |name: &str| {
        let count = body.pointer(&format!("/usage/{name}"))?.as_u64()?;
        Some(u32::try_from(count).unwrap_or(u32::MAX))
    };
    Ok(ChatAnswer {
        text,
        finish_reason: reason.unwrap_or_default().to_owned(),
        input_tokens: tokens("prompt_tokens"),
        output_tokens: tokens("completion_tokens"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_nonsense_is_told() {
        let whole = br#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":3,"completion_tokens":99999999999}}"#;
        let answer = parse(whole).unwrap();
        assert_eq!((answer.text.as_str(), answer.finish_reason.as_str()), ("hi", "stop"));
        assert_eq!((answer.input_tokens, answer.output_tokens), (Some(3), Some(u32::MAX)));
        assert_eq!(parse(br#"{"choices":[{"message":{"content":null}}]}"#).unwrap().text, "");
        for bad in
            ["", "[]", "{}", r#"{"choices":[]}"#, r#"{"choices":[{"message":{"content":1}}]}"#]
        {
            assert_eq!(parse(bad.as_bytes()).unwrap_err().code(), "bad-answer", "{bad}");
        }
    }
}
