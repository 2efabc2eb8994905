//! The query of a request. Every parameter is asked for by name; what is left over is refused, never
//! ignored (R98).

use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// The parameters that have not been asked for yet.
#[derive(Debug)]
pub(crate) struct Params {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Params {
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self { left: pairs.collect::<Result<_, Problem>>()?, known: Vec::new() })
    }

    /// Takes a parameter. Twice the same is refused: which one would count?
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.known.push(name);
        let Some(at) = self.left.iter().position(|(left, _)| left == name) else {
            return Ok(None);
        };
        let (_, value) = self.left.swap_remove(at);
        if self.left.iter().any(|(left, _)| left == name) {
            return Err(bad(name, "is given twice"));
        }
        Ok(Some(value))
    }

    /// Takes a parameter that is a number.
    pub(crate) fn number<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number.map(Some).ok_or_else(|| bad(name, "is no whole number in range"))
    }

    /// Takes `limit`, of a page: it has a default, and is not 0.
    pub(crate) fn page_limit(&mut self, default: u32) -> Result<u32, Problem> {
        match self.number("limit")? {
            Some(0) => Err(bad("limit", "is 0: ask for 1 or more")),
            limit => Ok(limit.unwrap_or(default)),
        }
    }

    /// Takes a parameter that a rule reads. `form` says what it should be.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        form: &str,
        rule: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        rule(&text).map(Some).ok_or_else(|| bad(name, &format!("is none of {form}")))
    }

    /// Ends: what is left over is refused.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let known = match self.known.as_slice() {
            [] => "it takes none".to_owned(),
            known => format!("it takes {}", known.join(", ")),
        };
        Err(Problem::bad_request(
            "unknown_parameter",
            format!("the parameter {name:?} is not known here: {known}"),
        ))
    }
}

fn bad(name: &str, what: &str) -> Problem {
    Problem::bad_request("bad_parameter", format!("the parameter {name:?} {what}"))
}

fn decode(text: &str) -> Result<String, Problem> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    let refused =
        |_| Problem::bad_request("bad_parameter", "the query is not percent-encoded UTF-8");
    Ok(decoded.map_err(refused)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_or_is_asked_for_badly_is_refused() {
        let mut params = Params::parse("limit=5&name=a%20b+c&x=1").unwrap();
        assert_eq!(params.number::<u32>("limit").unwrap(), Some(5));
        assert_eq!(params.text("name").unwrap().as_deref(), Some("a b c"));
        assert_eq!(params.number::<u32>("absent").unwrap(), None);
        assert!(params.finish().is_err());
        for query in ["n=-1", "n=+1", "n=1.0", "n=", "n=99999999999", "n=1&n=2"] {
            assert!(Params::parse(query).unwrap().number::<u32>("n").is_err(), "{query}");
        }
        assert!(Params::parse("a=%ff").is_err());
    }
}
