//! Members of an object set and removed in JSON text, with the rest of it left as it is.

use super::{Index, Kind, Span, Value, quote};

/// Sets the member `name` of the object at `path`, which is made where it is missing.
pub(crate) fn set(text: &str, path: &[&str], name: &str, raw: &str) -> String {
    let Ok(index) = Index::of(text) else { return text.to_owned() };
    let mut object = index.root(text);
    for (depth, step) in path.iter().enumerate() {
        match object.get(step).filter(|value| value.kind() == Kind::Object) {
            Some(inner) => object = inner,
            None => {
                let rest = path.get(depth + 1..).unwrap_or_default();
                let made = rest
                    .iter()
                    .chain([&name])
                    .rev()
                    .fold(raw.to_owned(), |value, name| format!("{{{}:{value}}}", quote(name)));
                return set_in(text, object, step, &made);
            }
        }
    }
    set_in(text, object, name, raw)
}

/// Removes every member `name` of the object at `path`, if there is one.
pub(crate) fn remove(text: &str, path: &[&str], name: &str) -> String {
    let mut text = text.to_owned();
    while let Some(span) = member_span(&text, path, name) {
        text.replace_range(span.start..span.end, "");
    }
    text
}

fn set_in(text: &str, object: Value<'_>, name: &str, raw: &str) -> String {
    if let Some(value) = object.get(name) {
        return replaced(text, value.span(), raw);
    }
    let end = object.span().end.saturating_sub(1);
    let comma = if object.entries().next().is_some() { "," } else { "" };
    let after = text.get(..end).unwrap_or_default().trim_end().len();
    replaced(text, Span { start: after, end: after }, &format!("{comma}{}:{raw}", quote(name)))
}

fn replaced(text: &str, span: Span, raw: &str) -> String {
    let mut text = text.to_owned();
    text.replace_range(span.start..span.end, raw);
    text
}

/// The last member of that name, with the comma that goes with it.
fn member_span(text: &str, path: &[&str], name: &str) -> Option<Span> {
    let index = Index::of(text).ok()?;
    let mut object = index.root(text);
    for step in path {
        object = object.get(step)?;
    }
    let entries: Vec<_> = object.entries().collect();
    let at = entries.iter().rposition(|(entry, _)| entry.as_str().as_deref() == Some(name))?;
    let (entry, value) = entries.get(at)?;
    if let Some((next, _)) = entries.get(at + 1) {
        return Some(Span { start: entry.span().start, end: next.span().start });
    }
    let before = at.checked_sub(1).and_then(|before| entries.get(before));
    let start = before.map_or(entry.span().start, |(_, value)| value.span().end);
    Some(Span { start, end: value.span().end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_where_it_stands_or_makes_the_way_there() {
        let text = r#"{ "a" : {"x": 1 } }"#;
        assert_eq!(set(text, &["a"], "x", "2"), r#"{ "a" : {"x": 2 } }"#);
        assert_eq!(set(text, &["a"], "y\"", "[]"), r#"{ "a" : {"x": 1,"y\"":[] } }"#);
        assert_eq!(set("{}", &["b", "c"], "y", "3"), r#"{"b":{"c":{"y":3}}}"#);
        assert_eq!(set(r#"{"b":null}"#, &["b", "c"], "y", "3"), r#"{"b":{"c":{"y":3}}}"#);
    }

    #[test]
    fn removes_with_the_right_comma() {
        let text = r#"{"d":{"a":1, "temp:b" : 2,"c":3}}"#;
        assert_eq!(remove(text, &["d"], "a"), r#"{"d":{"temp:b" : 2,"c":3}}"#);
        assert_eq!(remove(text, &["d"], "temp:b"), r#"{"d":{"a":1, "c":3}}"#);
        assert_eq!(remove(text, &["d"], "c"), r#"{"d":{"a":1, "temp:b" : 2}}"#);
        assert_eq!(remove(r#"{"a":1,"\u0061":2}"#, &[], "a"), "{}");
        assert_eq!(remove(text, &["x"], "a"), text);
    }
}
