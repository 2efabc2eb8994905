//! JSON text, indexed where it stands.
//!
//! A client's event is kept byte for byte, so this module never builds values: it notes where each
//! value begins and ends, and reads and edits go by those places. Texts are checked strictly
//! (RFC 8259), with a limit on depth.

pub(crate) mod edit;
pub(crate) mod member;

use std::borrow::Cow;

/// How deep objects and arrays may nest: what common JSON libraries accept as well.
pub const MAX_DEPTH: usize = 128;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct JsonError {
    /// The offset in bytes, from 0.
    pub offset: usize,
    /// What was found, or missing.
    pub what: &'static str,
}

/// What kind of thing a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// The name of an object's member; its value is the next node.
    Name,
    /// A string value.
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// A half-open range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    span: Span,
    /// The index of the first node after this one and all that is inside it.
    next: usize,
}

/// The places of all values of one JSON text, in the order of the text.
#[derive(Debug, Clone)]
pub struct Index {
    nodes: Vec<Node>,
}

impl Index {
    /// Indexes a text that holds one JSON value and nothing else but white space.
    ///
    /// # Errors
    /// [`JsonError`], with the place where the text stops being JSON.
    pub fn of(text: &str) -> Result<Self, JsonError> {
        let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, nodes: Vec::new() };
        scanner.document()?;
        Ok(Self { nodes: scanner.nodes })
    }

    /// The outermost value. `text` is the one that was indexed.
    pub fn root<'a>(&'a self, text: &'a str) -> Value<'a> {
        Value { text, nodes: &self.nodes, at: 0 }
    }
}

/// One value in an indexed text.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    text: &'a str,
    nodes: &'a [Node],
    at: usize,
}

impl<'a> Value<'a> {
    fn node(&self) -> Option<&'a Node> {
        self.nodes.get(self.at)
    }

    /// What kind of value it is.
    pub fn kind(&self) -> Kind {
        self.node().map_or(Kind::Null, |node| node.kind)
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        self.node().map_or(Span { start: 0, end: 0 }, |node| node.span)
    }

    /// The text of it, as written.
    pub fn raw(&self) -> &'a str {
        let span = self.span();
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The string that it is, unescaped.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        matches!(self.kind(), Kind::String | Kind::Name).then(|| unquote(self.raw()))
    }

    /// The string that it is, if there is one and it is not empty.
    pub fn as_text(&self) -> Option<String> {
        self.as_str().filter(|text| !text.is_empty()).map(Cow::into_owned)
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// Whether it is `true`.
    pub fn is_true(&self) -> bool {
        self.kind() == Kind::Bool && self.raw() == "true"
    }

    /// The member of an object. Of two with one name the last counts, as most parsers have it.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.entries().filter(|(entry, _)| entry.is_name(name)).last().map(|(_, value)| value)
    }

    /// The member of an object, unless it is missing or null.
    pub fn member(&self, name: &str) -> Option<Value<'a>> {
        self.get(name).filter(|value| !value.is_null())
    }

    /// The string member of an object, unless it is missing, empty or of another kind.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_text()
    }

    fn is_name(&self, name: &str) -> bool {
        let raw = self.raw();
        if raw.contains('\\') {
            unquote(raw) == name
        } else {
            raw.get(1..raw.len() - 1) == Some(name)
        }
    }

    /// The names and values of an object's members; nothing for another value.
    pub fn entries(&self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> + use<'a> {
        let mut children = self.children(Kind::Object);
        std::iter::from_fn(move || Some((children.next()?, children.next()?)))
    }

    /// The elements of an array; nothing for another value.
    pub fn items(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        self.children(Kind::Array)
    }

    fn children(&self, of: Kind) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let Value { text, nodes, at } = *self;
        let end = self.node().filter(|node| node.kind == of).map_or(0, |node| node.next);
        let mut at = at + 1;
        std::iter::from_fn(move || {
            let node = nodes.get(at).filter(|_| at < end)?;
            let child = Value { text, nodes, at };
            at = node.next;
            Some(child)
        })
    }

    /// Every node from this one down, itself included, in the order of the text.
    pub fn descendants(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let Value { text, nodes, at } = *self;
        let end = self.node().map_or(at, |node| node.next);
        (at..end).map(move |at| Value { text, nodes, at })
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), JsonError> {
        // Open containers, innermost last: the index of the node and whether it is an object.
        let mut open: Vec<(usize, bool)> = Vec::new();
        self.space();
        'value: loop {
            if let Some(container) = self.value()? {
                if open.len() == MAX_DEPTH {
                    return self.error("JSON nested too deeply");
                }
                open.push(container);
                self.space();
                let (_, object) = container;
                if !self.eat(if object { b'}' } else { b']' }) {
                    if object {
                        self.name()?;
                    }
                    continue 'value;
                }
                self.close(&mut open);
            }
            // A value has ended: what follows it?
            loop {
                self.space();
                let Some(&(_, object)) = open.last() else {
                    return if self.at == self.bytes.len() {
                        Ok(())
                    } else {
                        self.error("text after the JSON value")
                    };
                };
                if self.eat(b',') {
                    self.space();
                    if object {
                        self.name()?;
                    }
                    continue 'value;
                }
                if !self.eat(if object { b'}' } else { b']' }) {
                    return self.error(if object { "no `,` or `}`" } else { "no `,` or `]`" });
                }
                self.close(&mut open);
            }
        }
    }

    fn close(&mut self, open: &mut Vec<(usize, bool)>) {
        let next = self.nodes.len();
        if let Some(node) = open.pop().and_then(|(at, _)| self.nodes.get_mut(at)) {
            node.next = next;
            node.span.end = self.at;
        }
    }

    /// Reads a scalar whole, or the opening of a container, which it returns.
    fn value(&mut self) -> Result<Option<(usize, bool)>, JsonError> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.string()?;
                self.push(Kind::String, start);
            }
            Some(b'{') => return Ok(Some(self.container(Kind::Object))),
            Some(b'[') => return Ok(Some(self.container(Kind::Array))),
            Some(b't') => self.literal("true", Kind::Bool)?,
            Some(b'f') => self.literal("false", Kind::Bool)?,
            Some(b'n') => self.literal("null", Kind::Null)?,
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                self.push(Kind::Number, start);
            }
            Some(_) => return self.error("no JSON value"),
            None => return self.error("the JSON ends too early"),
        }
        Ok(None)
    }

    fn container(&mut self, kind: Kind) -> (usize, bool) {
        let at = self.nodes.len();
        self.at += 1;
        self.push(kind, self.at - 1);
        (at, kind == Kind::Object)
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let next = self.nodes.len() + 1;
        self.nodes.push(Node { kind, span: Span { start, end: self.at }, next });
    }

    fn name(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return self.error("no member name");
        }
        self.string()?;
        self.push(Kind::Name, start);
        self.space();
        if !self.eat(b':') {
            return self.error("no `:` after the member name");
        }
        self.space();
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            self.at += plain(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                            self.at += 1
                        }
                        Some(b'u') => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                                    return self.error("a \\u escape without four hex digits");
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.error("an unknown escape in a string"),
                    }
                }
                Some(_) => return self.error("a control character in a string"),
                None => return self.error("a string without an end"),
            }
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.error("a number without digits") } else { Ok(()) }
    }

    fn literal(&mut self, word: &str, kind: Kind) -> Result<(), JsonError> {
        let start = self.at;
        if !self.bytes.get(start..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            return self.error("no JSON value");
        }
        self.at += word.len();
        self.push(kind, start);
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn error<T>(&self, what: &'static str) -> Result<T, JsonError> {
        Err(JsonError { offset: self.at, what })
    }
}

/// The string that a JSON string literal stands for. A surrogate without its other half becomes
/// U+FFFD, since text that leaves the host is UTF-8.
pub fn unquote(literal: &str) -> Cow<'_, str> {
    let inner = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    unescape(inner)
}

/// The inside of a string literal, unescaped.
pub(crate) fn unescape(inner: &str) -> Cow<'_, str> {
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    for piece in pieces(inner) {
        match piece.char {
            Some(char) => text.push(char),
            None => text.push_str(inner.get(piece.span.start..piece.span.end).unwrap_or_default()),
        }
    }
    Cow::Owned(text)
}

/// A run of plain text, or one escape sequence and the character that it stands for.
pub(crate) struct Piece {
    pub(crate) span: Span,
    pub(crate) char: Option<char>,
}

/// The inside of a string literal, cut into plain runs and escapes.
pub(crate) fn pieces(inner: &str) -> impl Iterator<Item = Piece> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = inner.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let char = if rest.starts_with('\\') {
            let (char, len) = escape(rest);
            at += len;
            Some(char)
        } else {
            at += rest.find('\\').unwrap_or(rest.len());
            None
        };
        Some(Piece { span: Span { start, end: at }, char })
    })
}

/// The character of the escape that `rest` begins with, and the length of the escape in bytes.
fn escape(rest: &str) -> (char, usize) {
    let simple = match rest.as_bytes().get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(rest),
        Some(&byte) => char::from(byte),
        None => return ('\\', 1),
    };
    (simple, 2)
}

fn unicode_escape(rest: &str) -> (char, usize) {
    let unit = |at: usize| {
        let escape = rest.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(escape, 16).ok()
    };
    let first = unit(0).unwrap_or(0xfffd);
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = unit(6).filter(|unit| (0xdc00..0xe000).contains(unit))
    {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}

/// Text as a JSON string literal, with no more escapes than JSON asks for.
pub fn quote(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    literal.push_str(&escape_text(text));
    literal.push('"');
    literal
}

/// Text as the inside of a JSON string literal.
pub(crate) fn escape_text(text: &str) -> Cow<'_, str> {
    if plain(text.as_bytes()) == text.len() {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\0'..='\u{1f}' => escaped.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => escaped.push(char),
        }
    }
    Cow::Owned(escaped)
}

/// How many bytes stand before the first that means something in a string literal: a quote, a
/// backslash, a control character. Eight at a time, since most of what is scanned is text.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES * 0x80;
    // The high bit of each byte that is below `n`, and perhaps of bytes after it.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let (words, _) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let slash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = quote | slash | below(word, 0x20);
        if found != 0 {
            return at * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let rest = words.len() * 8;
    let tail = bytes.iter().skip(rest);
    rest + tail.take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count()
}

#[cfg(test)]
mod tests;
