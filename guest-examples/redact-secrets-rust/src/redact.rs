//! Finds secrets in text and puts a mark in the place of each.
//!
//! Nothing here knows of events or of the host, so all of it is tested with a plain `cargo test`.
//! A detector walks the text once and looks a bounded way ahead or back from where it stands. Who
//! may write an event may choose its text, and must not be able to choose quadratic time.

mod card;
mod email;
mod key;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Card,
    Key,
    Email,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Card, Kind::Key, Kind::Email];

    /// What stands in the place of a secret.
    pub fn mark(self) -> &'static str {
        match self {
            Kind::Card => "[card]",
            Kind::Key => "[key]",
            Kind::Email => "[email]",
        }
    }

    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Card => "a card number",
            Kind::Key => "an API key",
            Kind::Email => "an e-mail address",
        }
    }
}

/// A text without its secrets.
#[derive(Debug, PartialEq, Eq)]
pub struct Redacted {
    pub text: String,
    /// One entry for each mark in the text, in order.
    pub kinds: Vec<Kind>,
}

/// The text without its secrets. None if it has none.
pub fn redact(text: &str) -> Option<Redacted> {
    let mut spans = Vec::new();
    card::find(text, &mut spans);
    key::find(text, &mut spans);
    email::find(text, &mut spans);
    if spans.is_empty() {
        return None;
    }
    let mut redacted = Redacted { text: String::with_capacity(text.len()), kinds: Vec::new() };
    let mut copied = 0;
    for span in merge(spans) {
        redacted.text.push_str(&text[copied..span.start]);
        redacted.text.push_str(span.kind.mark());
        redacted.kinds.push(span.kind);
        copied = span.end;
    }
    redacted.text.push_str(&text[copied..]);
    Some(redacted)
}

/// What stands in the place of a JSON number. None if it is no card number.
///
/// It goes whole: half of a number is none.
pub fn redact_number(number: &str) -> Option<Redacted> {
    card::is_number(number)
        .then(|| Redacted { text: Kind::Card.mark().to_owned(), kinds: vec![Kind::Card] })
}

/// A secret, by its place in bytes.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    kind: Kind,
}

/// Makes one span of those that overlap. It is named after the one that begins first, and of two
/// that begin together after the longer one.
fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// Whether a word may begin at a place: no letter or digit stands before it, unless it belongs to
/// an escape. JSON inside of JSON and the addresses of web pages have `\nsk-...` and `%3Dsk-...`.
fn begins_word(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[..at];
    match before {
        [] => true,
        [.., last] if !last.is_ascii_alphanumeric() => true,
        [.., b'\\', b'n' | b'r' | b't'] => true,
        [.., b'%', a, b] => a.is_ascii_hexdigit() && b.is_ascii_hexdigit(),
        [.., b'\\', b'u', a, b, c, d] => [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
