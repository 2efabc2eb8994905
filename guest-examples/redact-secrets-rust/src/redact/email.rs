//! E-mail addresses, with `@` or `%40`, in any script.
//!
//! What has an `@` and is no address stays: handles (`@name`), hosts without a dot, versions
//! (`react@18.2.0`), file names (`icon@2x.png`), and `git@`, the user of code hosts.

use super::{Kind, Span};

/// Endings of file names that are not top-level domains.
const FILES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "webp", "svg", "ico", "css", "js", "mjs", "json", "tgz", "gz",
    "jar", "whl",
];

/// Adds the addresses of a text.
pub fn find(text: &str, spans: &mut Vec<Span>) {
    // Nothing looks back beyond this place, or a row of at-signs would be read once for each.
    let mut from = 0;
    while let Some((at, width)) = next_at(&text[from..]) {
        let (at, after) = (from + at, from + at + width);
        let local = local_part(&text[from..at]);
        from = after;
        if local.is_empty() || local == "git" {
            continue;
        }
        if let Some(domain) = domain(&text[after..]) {
            from = after + domain.len();
            spans.push(Span { start: at - local.len(), end: from, kind: Kind::Email });
        }
    }
}

/// The next at-sign and its width.
fn next_at(text: &str) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find_map(|at| match bytes[at..] {
        [b'@', ..] => Some((at, 1)),
        [b'%', b'4', b'0', ..] => Some((at, 3)),
        _ => None,
    })
}

/// The end of a text that is the part of an address before its at-sign.
fn local_part(text: &str) -> &str {
    let Some(last) = text.chars().next_back() else {
        return "";
    };
    let script = Script::of(last);
    let mut start = text.len();
    for (at, char) in text.char_indices().rev() {
        if !(script.has(char) || "._%+-".contains(char)) {
            break;
        }
        start = at;
    }
    let local = &text[start..];
    let local = if text[..start].ends_with('\\') { after_escape(local) } else { local };
    local.trim_start_matches(['.', '_', '+', '-'])
}

/// What follows the letters of an escape such as `\n` or `\u003c`. They belong to the backslash.
fn after_escape(text: &str) -> &str {
    let is_hex = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    match text.as_bytes().first() {
        Some(b'n' | b'r' | b't') => &text[1..],
        Some(b'u') if text.get(1..5).is_some_and(is_hex) => &text[5..],
        _ => text,
    }
}

/// The beginning of a text that is the domain of an address: labels with dots between them, and
/// a last one that may be a top-level domain.
fn domain(text: &str) -> Option<&str> {
    let script = Script::of(text.chars().next()?);
    let (mut end, mut domain) = (0, None);
    loop {
        let rest = &text[end..];
        let len = rest.find(|char: char| !(script.has(char) || char == '-')).unwrap_or(rest.len());
        let label = &rest[..len];
        if label.is_empty() {
            break;
        }
        let label = label.trim_end_matches('-');
        if end > 0 && is_top_level(label) {
            domain = Some(&text[..end + label.len()]);
        }
        end += len;
        if !text[end..].starts_with('.') {
            break;
        }
        end += 1;
    }
    domain
}

fn is_top_level(label: &str) -> bool {
    let is_name = label.chars().all(char::is_alphabetic) || label.starts_with("xn--");
    is_name
        && label.chars().nth(1).is_some()
        && !FILES.contains(&label.to_ascii_lowercase().as_str())
}

/// The letters that a part of an address is made of.
///
/// Chinese or Thai has no spaces, so an address in Latin letters ends where those letters end, and
/// may be followed by the next word at once. An address in such a script is taken for what it can
/// be at most.
#[derive(Clone, Copy)]
enum Script {
    /// Latin, Greek and Cyrillic.
    European,
    Any,
}

impl Script {
    /// The script of a part, by the letter next to the at-sign.
    fn of(char: char) -> Script {
        if char.is_alphanumeric() && !Script::European.has(char) {
            Script::Any
        } else {
            Script::European
        }
    }

    fn has(self, char: char) -> bool {
        let in_script = match self {
            Script::European => matches!(char, ..'\u{0530}' | '\u{1E00}'..'\u{2000}'),
            Script::Any => true,
        };
        in_script && char.is_alphanumeric()
    }
}
