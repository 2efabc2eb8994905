//! Edits of JSON text that leave every other byte alone.
//!
//! A [`JsonText`] is a text and a list of *places* in it: string literals, member names, numbers,
//! whole values, and literals inside strings that themselves hold JSON. An edit splices new text
//! into one place and moves the others, so numbers given out before an edit stay valid after it.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Index, Kind, Span, Value, escape_text, pieces, quote, unescape};

/// How deep JSON inside strings is opened.
const MAX_OPENED: usize = 4;

/// What stands at a place, and so how it is read and written.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// A string literal, escaped `depth` times over (0: not inside another string).
    String { depth: usize },
    /// The name of a member, escaped likewise.
    Name { depth: usize },
    /// A number, inside `depth` strings.
    Number { depth: usize },
    /// A whole JSON value, read and written as JSON text.
    Value,
    /// A string literal that holds base64 of a text, which has places of its own.
    Base64(Box<JsonText>),
    /// All of a text that is not JSON (the inside of a base64 literal).
    Plain,
}

#[derive(Debug, Clone)]
struct Place {
    span: Span,
    form: Form,
    /// False once an edit around it has replaced it.
    live: bool,
}

/// Which of the places of a text: its number, and the number of one inside a base64 literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlaceId {
    outer: usize,
    inner: Option<usize>,
}

/// What a place holds, for whoever lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    String,
    Name,
    Number,
}

/// Why an edit was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The place is gone, or never was.
    NoPlace,
    /// The place holds a JSON value, and the new text is not one.
    NotJson,
    /// The text would grow past the limit.
    TooLarge,
}

/// A text with places.
#[derive(Debug, Clone)]
pub(crate) struct JsonText {
    text: String,
    places: Vec<Place>,
}

impl JsonText {
    pub(crate) fn new(text: String) -> Self {
        Self { text, places: Vec::new() }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds a place that the caller found: a string literal or another value.
    pub(crate) fn mark(&mut self, span: Span, form: Form) -> PlaceId {
        self.places.push(Place { span, form, live: true });
        PlaceId { outer: self.places.len() - 1, inner: None }
    }

    /// Adds every string, member name and number, in order. Values that begin at one of `closed`
    /// are left out whole; strings that begin at one of `encoded` are decoded from base64.
    pub(crate) fn mark_all(
        &mut self,
        closed: &[usize],
        encoded: &[usize],
    ) -> Vec<(Class, PlaceId)> {
        let Ok(index) = Index::of(&self.text) else {
            let span = Span { start: 0, end: self.text.len() };
            return vec![(Class::String, self.mark(span, Form::Plain))];
        };
        // The index belongs to the text, which gets places but stays as it is.
        let text = std::mem::take(&mut self.text);
        let marked = self.mark_below(index.root(&text), closed, encoded);
        self.text = text;
        marked
    }

    /// As [`mark_all`](Self::mark_all), for who has the root of this very text already.
    pub(crate) fn mark_below(
        &mut self,
        root: Value<'_>,
        closed: &[usize],
        encoded: &[usize],
    ) -> Vec<(Class, PlaceId)> {
        let mut found = Vec::new();
        let level = Level { depth: 0, origin: None };
        let sorted = |offsets: &[usize]| {
            let mut offsets = offsets.to_vec();
            offsets.sort_unstable();
            offsets
        };
        let (closed, encoded) = (sorted(closed), sorted(encoded));
        collect(root, &level, &closed, &encoded, &mut found);
        let mut marked = Vec::with_capacity(found.len());
        for (class, span, form) in found {
            let inside = match &form {
                Form::Base64(inner) => inner.classes(),
                _ => Vec::new(),
            };
            let base64 = matches!(form, Form::Base64(_));
            let place = self.mark(span, form);
            if base64 {
                marked.extend(inside.into_iter().map(|(class, inner)| {
                    (class, PlaceId { outer: place.outer, inner: Some(inner) })
                }));
            } else {
                marked.push((class, place));
            }
        }
        marked
    }

    fn classes(&self) -> Vec<(Class, usize)> {
        let class = |form: &Form| match form {
            Form::Name { .. } => Class::Name,
            Form::Number { .. } => Class::Number,
            _ => Class::String,
        };
        self.places.iter().enumerate().map(|(at, place)| (class(&place.form), at)).collect()
    }

    /// What a place says now; nothing once it is gone.
    pub(crate) fn read(&self, id: PlaceId) -> Option<String> {
        let place = self.places.get(id.outer).filter(|place| place.live)?;
        let raw = self.text.get(place.span.start..place.span.end)?;
        Some(match &place.form {
            Form::String { depth } | Form::Name { depth } => {
                let mut text = raw.to_owned();
                for _ in 0..*depth {
                    text = unescape(&text).into_owned();
                }
                super::unquote(&text).into_owned()
            }
            Form::Number { .. } | Form::Value | Form::Plain => raw.to_owned(),
            Form::Base64(inner) => inner.read(PlaceId { outer: id.inner?, inner: None })?,
        })
    }

    /// How many members there are that have the name of another one of their object.
    pub(crate) fn doubled_names(&self) -> usize {
        Index::of(&self.text).map_or(0, |index| doubled_names(index.root(&self.text), 0))
    }

    /// Puts new text in a place. `room` is the number of bytes by which the text may grow.
    pub(crate) fn write(&mut self, id: PlaceId, new: &str, room: usize) -> Result<(), Refused> {
        let place = self.places.get(id.outer).filter(|place| place.live).ok_or(Refused::NoPlace)?;
        let (raw, inner) = match &place.form {
            Form::String { depth } | Form::Name { depth } => (literal(new, *depth), None),
            Form::Number { depth } => {
                let number = Index::of(new).is_ok_and(|it| it.root(new).kind() == Kind::Number);
                (if number { new.trim().to_owned() } else { literal(new, *depth) }, None)
            }
            Form::Value => {
                Index::of(new).map_err(|_| Refused::NotJson)?;
                (new.to_owned(), None)
            }
            Form::Plain => (new.to_owned(), None),
            Form::Base64(inner) => {
                let mut inner = inner.clone();
                let at = id.inner.ok_or(Refused::NoPlace)?;
                inner.write(PlaceId { outer: at, inner: None }, new, usize::MAX)?;
                (quote(&STANDARD.encode(&inner.text)), Some(inner))
            }
        };
        let span = place.span;
        if raw.len() > (span.end - span.start).saturating_add(room) {
            return Err(Refused::TooLarge);
        }
        self.splice(span, &raw);
        if let (Some(inner), Some(place)) = (inner, self.places.get_mut(id.outer)) {
            place.form = Form::Base64(inner);
        }
        Ok(())
    }

    /// Replaces a span, and moves or ends the places that it touches.
    fn splice(&mut self, edit: Span, raw: &str) {
        // Not `replace_range`, which moves byte by byte.
        let (before, after) = (self.text.get(..edit.start), self.text.get(edit.end..));
        self.text = [before.unwrap_or_default(), raw, after.unwrap_or_default()].concat();
        let moved = |at: usize| at + raw.len() - (edit.end - edit.start);
        for place in &mut self.places {
            let span = &mut place.span;
            if span.start >= edit.end {
                *span = Span { start: moved(span.start), end: moved(span.end) };
            } else if span.start <= edit.start && span.end >= edit.end {
                span.end = moved(span.end);
            } else if span.end > edit.start {
                place.live = false;
            }
        }
    }
}

/// A JSON string literal, escaped `depth` times over for the strings that it stands in.
fn literal(text: &str, depth: usize) -> String {
    (0..depth).fold(quote(text), |literal, _| escape_text(&literal).into_owned())
}

/// A text inside strings: how deep, and where in the outermost text each of its bytes comes from.
struct Level {
    depth: usize,
    /// None for the outermost text itself.
    origin: Option<Vec<u32>>,
}

impl Level {
    fn at(&self, offset: usize) -> usize {
        match &self.origin {
            None => offset,
            Some(origin) => origin.get(offset).map_or(usize::MAX, |&at| at as usize),
        }
    }

    fn span(&self, span: Span) -> Span {
        Span { start: self.at(span.start), end: self.at(span.end) }
    }

    /// The text that a string literal at `span` stands for, with the origin of each of its bytes.
    fn open(&self, literal: &str, span: Span) -> Option<(String, Level)> {
        let inner = literal.get(1..literal.len().checked_sub(1)?)?;
        let holds_json =
            inner.trim_start_matches([' ', '\\', 'n', 'r', 't']).starts_with(['{', '[']);
        if self.depth == MAX_OPENED || !holds_json {
            return None;
        }
        let mut text = String::with_capacity(inner.len());
        let mut origin = Vec::with_capacity(inner.len() + 1);
        let base = span.start + 1;
        for piece in pieces(inner) {
            let before = text.len();
            match piece.char {
                Some(char) => text.push(char),
                None => text.push_str(inner.get(piece.span.start..piece.span.end)?),
            }
            let escaped = piece.char.is_some();
            origin.extend((0..text.len() - before).map(|byte| {
                self.at(base + piece.span.start + if escaped { 0 } else { byte }) as u32
            }));
        }
        origin.push(self.at(base + inner.len()) as u32);
        Some((text, Level { depth: self.depth + 1, origin: Some(origin) }))
    }
}

/// Notes all places from a value down. `closed` and `encoded` are in order.
fn collect(
    value: Value<'_>,
    level: &Level,
    closed: &[usize],
    encoded: &[usize],
    found: &mut Vec<(Class, Span, Form)>,
) {
    let mut closed_until = 0;
    for node in value.descendants() {
        let span = node.span();
        let depth = level.depth;
        if span.start < closed_until {
            continue;
        }
        if closed.binary_search(&span.start).is_ok() {
            closed_until = span.end;
            continue;
        }
        let (class, form) = match node.kind() {
            Kind::Name => (Class::Name, Form::Name { depth }),
            Kind::Number => (Class::Number, Form::Number { depth }),
            Kind::String => {
                if let Some((text, inner)) = level.open(node.raw(), span)
                    && let Ok(index) = Index::of(&text)
                {
                    collect(index.root(&text), &inner, &[], &[], found);
                    continue;
                }
                let decoded =
                    encoded.binary_search(&span.start).is_ok().then(|| decode(node)).flatten();
                (Class::String, decoded.unwrap_or(Form::String { depth }))
            }
            Kind::Object | Kind::Array | Kind::Bool | Kind::Null => continue,
        };
        found.push((class, level.span(span), form));
    }
}

fn doubled_names(value: Value<'_>, depth: usize) -> usize {
    let level = Level { depth, origin: None };
    let doubled = value.descendants().map(|node| match node.kind() {
        Kind::Object => {
            let mut seen = HashSet::new();
            node.entries().filter(|(name, _)| !seen.insert(name.as_str())).count()
        }
        Kind::String => match level.open(node.raw(), node.span()) {
            Some((text, inner)) => {
                Index::of(&text).map_or(0, |index| doubled_names(index.root(&text), inner.depth))
            }
            None => 0,
        },
        _ => 0,
    });
    doubled.sum()
}

/// The text inside a base64 literal, with all its places. Bytes that are no text stay closed.
fn decode(node: Value<'_>) -> Option<Form> {
    let bytes = STANDARD.decode(node.as_str()?.as_bytes()).ok()?;
    let mut inner = JsonText::new(String::from_utf8(bytes).ok()?);
    inner.mark_all(&[], &[]);
    Some(Form::Base64(Box::new(inner)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> (JsonText, Vec<(Class, PlaceId)>) {
        let mut text = JsonText::new(text.to_owned());
        let places = text.mark_all(&[], &[]);
        (text, places)
    }

    fn read_all(text: &JsonText, places: &[(Class, PlaceId)], class: Class) -> Vec<String> {
        let of_class = places.iter().filter(|(of, _)| *of == class);
        of_class.filter_map(|(_, id)| text.read(*id)).collect()
    }

    #[test]
    fn lists_strings_names_and_numbers_inside_strings_too() {
        let (text, places) = marked(
            r#"{"a":"x","args":"{\"card\": \"4111\", \"n\":[7,\"{\\\"deep\\\":\\\"\\u00e9\\\"}\"]}","no":"{not json}"}"#,
        );
        assert_eq!(read_all(&text, &places, Class::String), ["x", "4111", "é", "{not json}"]);
        assert_eq!(read_all(&text, &places, Class::Name), ["a", "args", "card", "n", "deep", "no"]);
        assert_eq!(read_all(&text, &places, Class::Number), ["7"]);
    }

    #[test]
    fn an_edit_leaves_every_other_byte_alone() {
        let original = r#"{ "a" : "\u0041\/x", "args":"{\"card\": \"41\u0031\", \"k\":\"\\u00e9\",\"n\": 1.50}" , "z":1E2 }"#;
        let (mut text, places) = marked(original);
        let id = |text: &JsonText, of: &str| {
            places.iter().find(|(_, id)| text.read(*id).as_deref() == Some(of)).unwrap().1
        };
        text.write(id(&text, "411"), "say \"hi\"\n", 1000).unwrap();
        text.write(id(&text, "1.50"), "[n]", 1000).unwrap();
        text.write(id(&text, "1E2"), "2.0", 1000).unwrap();
        text.write(id(&text, "k"), "key", 1000).unwrap();
        assert_eq!(
            text.as_str(),
            r#"{ "a" : "\u0041\/x", "args":"{\"card\": \"say \\\"hi\\\"\\n\", \"key\":\"\\u00e9\",\"n\": \"[n]\"}" , "z":2.0 }"#
        );
        assert_eq!(read_all(&text, &places, Class::String), ["A/x", "say \"hi\"\n", "é"]);
        let value: serde_json::Value = serde_json::from_str(text.as_str()).unwrap();
        let args: serde_json::Value =
            serde_json::from_str(value["args"].as_str().unwrap()).unwrap();
        assert_eq!(args["card"], "say \"hi\"\n");
        assert_eq!(args["n"], "[n]");
    }

    #[test]
    fn numbers_stay_when_a_string_becomes_json_and_end_when_their_place_goes() {
        let (mut text, places) = marked(r#"{"a":"one","b":"{\"c\":\"two\"}","d":"three"}"#);
        let whole = Index::of(text.as_str()).unwrap().root(text.as_str()).get("b").unwrap().span();
        let whole = text.mark(whole, Form::String { depth: 0 });
        let strings: Vec<_> = places.iter().filter(|(class, _)| *class == Class::String).collect();
        text.write(strings[0].1, r#"{"not":"opened"}"#, 1000).unwrap();
        assert_eq!(text.read(strings[2].1).as_deref(), Some("three"));
        text.write(whole, "gone", 1000).unwrap();
        assert_eq!(text.read(strings[1].1), None);
        assert_eq!(text.write(strings[1].1, "x", 1000), Err(Refused::NoPlace));
        assert_eq!(text.read(strings[2].1).as_deref(), Some("three"));
        assert_eq!(text.as_str(), r#"{"a":"{\"not\":\"opened\"}","b":"gone","d":"three"}"#);
    }

    #[test]
    fn base64_is_opened_where_the_caller_says() {
        let inner = STANDARD.encode(r#"{"mail":"a@b.c","n":1}"#);
        let body = format!(r#"{{"delta":{{"k":"{inner}","raw":"{}"}}}}"#, STANDARD.encode("a@b.c"));
        let index = Index::of(&body).unwrap();
        let delta = index.root(&body).get("delta").unwrap();
        let encoded: Vec<_> = delta.entries().map(|(_, value)| value.span().start).collect();
        let mut text = JsonText::new(body.clone());
        let places = text.mark_all(&[], &encoded);
        assert_eq!(read_all(&text, &places, Class::String), ["a@b.c", "a@b.c"]);
        for (_, id) in places.iter().filter(|(class, _)| *class == Class::String) {
            text.write(*id, "[email]", 1000).unwrap();
        }
        let value: serde_json::Value = serde_json::from_str(text.as_str()).unwrap();
        let decoded = |key: &str| {
            String::from_utf8(STANDARD.decode(value["delta"][key].as_str().unwrap()).unwrap())
                .unwrap()
        };
        assert_eq!(decoded("k"), r#"{"mail":"[email]","n":1}"#);
        assert_eq!(decoded("raw"), "[email]");
    }

    #[test]
    fn growth_is_bounded_and_values_stay_json() {
        let (mut text, places) = marked(r#"{"a":"x"}"#);
        assert_eq!(text.write(places[1].1, "yyyy", 2), Err(Refused::TooLarge));
        let span = Span { start: 5, end: 8 };
        let value = text.mark(span, Form::Value);
        assert_eq!(text.write(value, "no json", 100), Err(Refused::NotJson));
        text.write(value, r#"{"b":1}"#, 100).unwrap();
        assert_eq!(text.as_str(), r#"{"a":{"b":1}}"#);
    }
}
