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

/// Removes the members that a rule names from every object at `path`. The text is read once, however
/// many go.
pub(crate) fn remove(text: &str, path: &[&str], goes: impl Fn(&str) -> bool) -> String {
    let Ok(index) = Index::of(text) else { return text.to_owned() };
    let mut spans = Vec::new();
    // A name may be written twice on the way: no object must be passed over.
    let mut objects = vec![index.root(text)];
    for step in path {
        let inside = objects.iter().flat_map(|object| object.entries());
        let named = inside.filter(|(name, _)| name.as_str().as_deref() == Some(*step));
        objects = named.map(|(_, value)| value).collect();
    }
    for object in objects {
        going(object, &goes, &mut spans);
    }
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for Span { start, end } in spans {
        kept.push_str(text.get(from..start).unwrap_or_default());
        from = end;
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    kept
}

/// Where the members stand that go, each with the comma that goes with it.
fn going(object: Value<'_>, goes: &impl Fn(&str) -> bool, spans: &mut Vec<Span>) {
    let mut kept_end = None;
    let mut pending: Option<Span> = None;
    for (name, value) in object.entries() {
        let (start, end) = (name.span().start, value.span().end);
        if goes(&name.as_str().unwrap_or_default()) {
            let from = pending.map_or(start, |span| span.start);
            pending = Some(Span { start: from, end });
            continue;
        }
        // What goes before one that stays goes up to it.
        if let Some(span) = pending.take() {
            spans.push(Span { start: span.start, end: start });
        }
        kept_end = Some(end);
    }
    // What goes at the end goes from the one before it that stays.
    if let Some(span) = pending {
        spans.push(Span { start: kept_end.unwrap_or(span.start), end: span.end });
    }
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
        let without = |names: &[&str]| remove(text, &["d"], |name| names.contains(&name));
        assert_eq!(without(&["a"]), r#"{"d":{"temp:b" : 2,"c":3}}"#);
        assert_eq!(without(&["temp:b"]), r#"{"d":{"a":1, "c":3}}"#);
        assert_eq!(without(&["c"]), r#"{"d":{"a":1, "temp:b" : 2}}"#);
        assert_eq!(without(&["a", "temp:b"]), r#"{"d":{"c":3}}"#);
        assert_eq!(without(&["temp:b", "c"]), r#"{"d":{"a":1}}"#);
        assert_eq!(without(&["a", "c"]), r#"{"d":{"temp:b" : 2}}"#);
        assert_eq!(without(&["a", "temp:b", "c"]), r#"{"d":{}}"#);
        assert_eq!(without(&["x"]), text);
        assert_eq!(remove(text, &["x"], |_| true), text);
    }

    #[test]
    fn names_written_twice_or_escaped_are_all_found() {
        let text = r#"{"d":{"a":1},"d":{"\u0061":2,"b":3},"a":4}"#;
        assert_eq!(remove(text, &["d"], |name| name == "a"), r#"{"d":{},"d":{"b":3},"a":4}"#);
    }

    #[test]
    fn many_members_go_in_one_reading() {
        let members: Vec<String> = (0..100_000).map(|at| format!("\"temp:{at}\":0")).collect();
        let text = format!("{{{},\"k\":1}}", members.join(","));
        assert_eq!(remove(&text, &[], |name| name.starts_with("temp:")), r#"{"k":1}"#);
    }
}
