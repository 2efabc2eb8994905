//! API keys and other credentials that can be told by how they begin.

use super::{begins_word, Kind, Span};

/// A family of keys: what they begin with, and how much must follow for it to be one.
struct Family {
    prefix: &'static str,
    is_body: fn(u8) -> bool,
    min: usize,
    /// A last look at what follows, where the prefix alone may be an ordinary word.
    check: fn(&[u8]) -> bool,
}

/// Of those that begin alike the longer comes first.
const FAMILIES: &[Family] = &[
    // Anthropic, OpenAI and the many that took their form.
    family("sk-ant-", is_word, 8),
    Family { prefix: "sk-", is_body: is_word, min: 12, check: is_random },
    // Stripe.
    family("sk_live_", is_letter_or_digit, 10),
    family("rk_live_", is_letter_or_digit, 10),
    family("sk_test_", is_letter_or_digit, 10),
    family("rk_test_", is_letter_or_digit, 10),
    // GitHub.
    family("github_pat_", is_word, 10),
    family("ghp_", is_letter_or_digit, 10),
    family("gho_", is_letter_or_digit, 10),
    family("ghs_", is_letter_or_digit, 10),
    family("ghu_", is_letter_or_digit, 10),
    family("ghr_", is_letter_or_digit, 10),
    // GitLab.
    family("glpat-", is_word_or_dot, 10),
    // Slack.
    family("xoxa-", is_word, 10),
    family("xoxb-", is_word, 10),
    family("xoxp-", is_word, 10),
    family("xoxr-", is_word, 10),
    family("xoxs-", is_word, 10),
    // Amazon, lasting and temporary.
    family("AKIA", is_capital_or_digit, 16),
    family("ASIA", is_capital_or_digit, 16),
    // Google.
    family("AIza", is_word, 35),
];

const fn family(prefix: &'static str, is_body: fn(u8) -> bool, min: usize) -> Family {
    Family { prefix, is_body, min, check: |_| true }
}

/// Adds the keys of a text.
pub fn find(text: &str, spans: &mut Vec<Span>) {
    let mut scan = Scan { bytes: text.as_bytes(), no_token: 0, no_end: false };
    let mut at = 0;
    while at < scan.bytes.len() {
        match scan.key_at(at) {
            Some(end) => {
                spans.push(Span { start: at, end, kind: Kind::Key });
                at = end;
            }
            None => at += 1,
        }
    }
}

/// The text, and what is known of the rest of it. Without that a text of many beginnings and no
/// end would be read to its end for each of them.
struct Scan<'a> {
    bytes: &'a [u8],
    /// No web token begins before this place.
    no_token: usize,
    /// No private key ends in the rest of the text.
    no_end: bool,
}

impl Scan<'_> {
    /// Where the key ends that begins at a place.
    fn key_at(&mut self, at: usize) -> Option<usize> {
        match self.bytes[at] {
            b'-' => self.private_key(at),
            b's' | b'r' | b'g' | b'x' | b'A' if begins_word(self.bytes, at) => self.prefixed(at),
            b'e' if begins_word(self.bytes, at) => self.web_token(at),
            b'B' | b'b' if begins_word(self.bytes, at) => self.bearer(at),
            _ => None,
        }
    }

    fn prefixed(&self, at: usize) -> Option<usize> {
        FAMILIES.iter().find_map(|family| {
            let rest = self.bytes[at..].strip_prefix(family.prefix.as_bytes())?;
            let body = word(rest, family.is_body);
            let is_key = body.len() >= family.min && (family.check)(body);
            is_key.then_some(at + family.prefix.len() + body.len())
        })
    }

    /// A JSON Web Token: parts in base64 with dots between them, of which the first is a JSON
    /// object. So is the second of a signed one; an encrypted one has five.
    fn web_token(&mut self, at: usize) -> Option<usize> {
        if at < self.no_token || !self.bytes[at..].starts_with(b"eyJ") {
            return None;
        }
        let part = |at: usize| at + run(&self.bytes[at..], is_word);
        let is_dot = |at: usize| self.bytes.get(at) == Some(&b'.');
        let head = part(at);
        let is_token = is_dot(head) && {
            let second = part(head + 1);
            self.bytes[head + 1..].starts_with(b"eyJ")
                || is_dot(second) && part(second + 1) >= second + 1 + 16
        };
        if !is_token {
            // Whatever else begins in this head has the same parts after it.
            self.no_token = head;
            return None;
        }
        Some(at + word(&self.bytes[at..], is_word_or_dot).len())
    }

    /// The word `Bearer` and a token, as they stand in a header.
    fn bearer(&self, at: usize) -> Option<usize> {
        const WORD: &[u8] = b"bearer";
        const MAX_SPACE: usize = 8;
        let rest = &self.bytes[at..];
        if !rest.get(..WORD.len())?.eq_ignore_ascii_case(WORD) {
            return None;
        }
        let rest = &rest[WORD.len()..];
        let space = run(rest, |byte| matches!(byte, b' ' | b'\t' | b':'));
        if space == 0 || space > MAX_SPACE {
            return None;
        }
        let token = word(&rest[space..], is_token);
        is_credential(token).then_some(at + WORD.len() + space + token.len())
    }

    /// A private key in PEM, from its first line to its last. Where the last is missing, as in a
    /// text that was cut, to the end of the text.
    fn private_key(&mut self, at: usize) -> Option<usize> {
        let label = private_key_label(self.bytes, at, b"-----BEGIN ")?;
        if !self.no_end {
            let mut rest = label;
            while let Some(dash) = find_bytes(&self.bytes[rest..], b"-----END ") {
                rest += dash;
                match private_key_label(self.bytes, rest, b"-----END ") {
                    Some(end) => return Some(end),
                    None => rest += 1,
                }
            }
            self.no_end = true;
        }
        has_key_material(&self.bytes[label..]).then_some(self.bytes.len())
    }
}

/// Where a line such as `-----BEGIN RSA PRIVATE KEY-----` ends.
fn private_key_label(bytes: &[u8], at: usize, begin: &[u8]) -> Option<usize> {
    const MAX_LABEL: usize = 64;
    let rest = bytes[at..].strip_prefix(begin)?;
    let rest = &rest[..rest.len().min(MAX_LABEL)];
    let label = &rest
        [..run(rest, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ')];
    let is_private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
    (is_private && rest[label.len()..].starts_with(b"-----"))
        .then_some(at + begin.len() + label.len() + 5)
}

/// Whether a line of a key follows soon, and not merely talk about keys.
fn has_key_material(rest: &[u8]) -> bool {
    const SOON: usize = 256;
    const LINE: usize = 40;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    rest[..rest.len().min(SOON)].split(|byte| !is_base64(byte)).any(|word| word.len() >= LINE)
}

/// Whether the part after `sk-` is a key rather than words with dashes between them.
///
/// What is long is taken for a key without a look at it: so no more than a short piece is ever
/// looked at in vain.
fn is_random(body: &[u8]) -> bool {
    body.len() >= 32
        || body.split(|byte| matches!(byte, b'-' | b'_')).any(|piece| {
            let digits = piece.iter().any(u8::is_ascii_digit);
            let letters = piece.iter().any(u8::is_ascii_alphabetic);
            match piece.len() {
                16.. => true,
                10.. => digits,
                6.. => digits && letters,
                _ => false,
            }
        })
}

/// Whether the word after `Bearer` is a token rather than prose.
fn is_credential(word: &[u8]) -> bool {
    let digits = word.iter().any(u8::is_ascii_digit);
    let capitals = word.iter().skip(1).any(u8::is_ascii_uppercase);
    match word.len() {
        24.. => true,
        16.. => digits || capitals,
        6.. => digits,
        _ => false,
    }
}

fn is_letter_or_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_capital_or_digit(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn is_word_or_dot(byte: u8) -> bool {
    is_word(byte) || byte == b'.'
}

/// What RFC 6750 allows in a token.
fn is_token(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

/// The bytes from the start that are of a class, without the dots that end a sentence.
fn word(bytes: &[u8], is_member: fn(u8) -> bool) -> &[u8] {
    let word = &bytes[..run(bytes, is_member)];
    let dots = word.iter().rev().take_while(|byte| **byte == b'.').count();
    &word[..word.len() - dots]
}

/// How many bytes from the start are of a class.
fn run(bytes: &[u8], is_member: fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_member(**byte)).count()
}

fn find_bytes(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
