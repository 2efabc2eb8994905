//! The members of a JSON body. Like parameters, each is asked for by name, and what is left over is
//! refused.

use std::cell::RefCell;

use sessiond_core::json::{Index, Kind, Value};

use super::problem::Problem;

/// A JSON body, checked and indexed.
#[derive(Debug)]
pub(crate) struct JsonBody {
    text: String,
    index: Index,
}

impl JsonBody {
    pub(crate) fn parse(text: String) -> Result<Self, Problem> {
        let index = Index::of(&text).map_err(|error| {
            Problem::bad_request("malformed_json", format!("the body is not JSON: {error}"))
        })?;
        Ok(Self { text, index })
    }

    pub(crate) fn root(&self) -> Value<'_> {
        self.index.root(&self.text)
    }

    /// The body as an object of known members.
    pub(crate) fn fields(&self) -> Result<Fields<'_>, Problem> {
        Fields::of(self.root(), "the body")
    }
}

/// An object whose members are asked for by name.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    object: Value<'a>,
    what: &'static str,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(object: Value<'a>, what: &'static str) -> Result<Self, Problem> {
        if object.kind() != Kind::Object {
            return Err(wrong_type(what, "an object"));
        }
        Ok(Self { object, what, known: RefCell::default() })
    }

    fn get(&self, name: &'static str) -> Option<Value<'a>> {
        self.known.borrow_mut().push(name);
        self.object.member(name)
    }

    fn of_kind(
        &self,
        name: &'static str,
        kind: Kind,
        form: &str,
    ) -> Result<Option<Value<'a>>, Problem> {
        match self.get(name) {
            Some(value) if value.kind() != kind => Err(wrong_type(&format!("{name:?}"), form)),
            value => Ok(value),
        }
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, Problem> {
        let value = self.of_kind(name, Kind::String, "a string")?;
        Ok(value.and_then(|value| value.as_str()).map(|text| text.into_owned()))
    }

    pub(crate) fn object(&self, name: &'static str) -> Result<Option<Value<'a>>, Problem> {
        self.of_kind(name, Kind::Object, "an object")
    }

    pub(crate) fn array(&self, name: &'static str) -> Result<Option<Value<'a>>, Problem> {
        self.of_kind(name, Kind::Array, "an array")
    }

    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Problem> {
        let value = self.of_kind(name, Kind::Bool, "true or false")?;
        Ok(value.is_some_and(|value| value.is_true()))
    }

    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.raw().parse().ok().or_else(|| whole(value.raw()));
        number.map(Some).ok_or_else(|| wrong_type(&format!("{name:?}"), "a whole number"))
    }

    /// Ends: a member that was not asked for is refused.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let known = self.known.into_inner();
        for (name, _) in self.object.entries() {
            let name = name.as_str().unwrap_or_default();
            if !known.iter().any(|known| *known == name) {
                let (what, known) = (self.what, known.join(", "));
                let detail =
                    format!("{what} has a member {name:?} that is not known: it takes {known}");
                return Err(Problem::bad_request("unknown_field", detail));
            }
        }
        Ok(())
    }
}

/// A whole number that is written with a fraction or an exponent: JSON has one kind of numbers.
fn whole(text: &str) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    // Beyond it, a number has lost digits.
    let exact = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    exact.then_some(number as u64)
}

fn wrong_type(what: &str, form: &str) -> Problem {
    Problem::bad_request("wrong_type", format!("{what} must be {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_known_and_of_their_type() {
        let body = JsonBody::parse(
            r#"{"id":"a","n":3,"w":[30.0,3e1,2.5,-1,1e300,"3"],"f":true,"o":{},"x":null,"y":1}"#
                .to_owned(),
        )
        .unwrap();
        let fields = body.fields().unwrap();
        let numbers = fields.array("w").unwrap().unwrap().items();
        let numbers: Vec<_> = numbers.map(|value| whole(value.raw())).collect();
        assert_eq!(numbers, [Some(30), Some(30), None, None, None, None]);
        assert_eq!(fields.text("id").unwrap().as_deref(), Some("a"));
        assert_eq!(fields.number("n").unwrap(), Some(3));
        assert!(fields.flag("f").unwrap() && !fields.flag("x").unwrap());
        assert!(fields.text("n").is_err() && fields.array("o").is_err());
        assert!(fields.finish().is_err());
        assert!(JsonBody::parse("[]".to_owned()).unwrap().fields().is_err());
    }
}
