//! How single values are written, and what is said of those that are not.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

/// A string of the configuration. One that came from the environment or a file is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    text: String,
    hidden: bool,
}

impl Secret {
    /// A string that may be shown.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), hidden: false }
    }

    /// The string itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }

    /// The same, never shown.
    pub(super) fn hide(self) -> Self {
        Self { hidden: true, ..self }
    }

    /// A URL as it may be shown: `***` in place of the password.
    pub(super) fn without_password(&self) -> Self {
        let parts = self.text.split_once("://").and_then(|(scheme, rest)| {
            let (user, place) = rest.rsplit_once('@')?;
            let (user, _) = user.split_once(':')?;
            Some(format!("{scheme}://{user}:***@{place}"))
        });
        let hidden = self.hidden || self.text.contains("pass=");
        Self { text: parts.unwrap_or_else(|| self.text.clone()), hidden }
    }

    /// The string as the resolved configuration prints it.
    pub(crate) fn show(&self) -> String {
        if self.hidden { "***".to_owned() } else { format!("{:?}", self.text) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<T> {
    /// No limit.
    None,
    /// This much.
    At(T),
}

impl<T> Limit<T> {
    pub(super) fn show(&self, word: &str, show: impl Fn(&T) -> String) -> String {
        match self {
            Self::None => format!("{word:?}"),
            Self::At(limit) => show(limit),
        }
    }
}

impl<T> From<Limit<T>> for Option<T> {
    fn from(limit: Limit<T>) -> Self {
        match limit {
            Limit::None => None,
            Limit::At(limit) => Some(limit),
        }
    }
}

pub(super) fn show_text(text: Option<&Secret>) -> String {
    text.map_or_else(|| "# not set".to_owned(), Secret::show)
}

/// A string, `{ env = "NAME" }` or `{ file = "PATH" }`.
pub(super) fn text(
    value: &DeValue<'_>,
    relative: impl Fn(&str) -> PathBuf,
) -> Result<Secret, String> {
    const FORMS: &str = "write text, { env = \"NAME\" } or { file = \"PATH\" }";
    if let Some(text) = value.as_str() {
        return Ok(Secret::plain(text));
    }
    let table = value.as_table().filter(|table| table.len() == 1).ok_or(FORMS)?;
    let (source, name) = table.iter().next().ok_or(FORMS)?;
    let name = name.get_ref().as_str().ok_or(FORMS)?;
    let text = match source.get_ref().as_ref() {
        "env" => std::env::var(name)
            .map_err(|_| format!("the environment variable {name} is not set, or is not text"))?,
        "file" => {
            let path = relative(name);
            let text = std::fs::read_to_string(&path);
            let text =
                text.map_err(|error| format!("the file {path:?} cannot be read: {error}"))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        _ => return Err(FORMS.to_owned()),
    };
    Ok(Secret { text, hidden: true })
}

pub(super) fn count(value: &DeValue<'_>, max: u64, word: Option<&str>) -> Result<u64, String> {
    let form = match word {
        Some(word) => format!("write a number from 1 to {max}, or {word:?}"),
        None => format!("write a number from 1 to {max}"),
    };
    integer(value).filter(|number| (1..=max).contains(number)).ok_or(form)
}

pub(super) fn from_zero(value: &DeValue<'_>, max: u64) -> Result<u64, String> {
    let form = || format!("write a number from 0 to {max}");
    integer(value).filter(|number| *number <= max).ok_or_else(form)
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
}

const UNITS: [(&str, u64); 4] =
    [("GiB", 1024 * 1024 * 1024), ("MiB", 1024 * 1024), ("KiB", 1024), ("B", 1)];

/// A part of a whole.
pub(super) fn ratio(value: &DeValue<'_>) -> Result<f64, String> {
    let number = match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) => number.as_str().parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "write a number from 0 to 1, like 0.1".to_owned())
}

pub(super) fn size(text: &str, max: u64) -> Result<u64, String> {
    let form = format!("write a size from \"1B\" to {:?}, like \"64MiB\"", show_size(max));
    let parsed = UNITS.iter().find_map(|(unit, bytes)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(*bytes)
    });
    parsed.filter(|size| (1..=max).contains(size)).ok_or(form)
}

pub(super) fn show_size(size: u64) -> String {
    let unit = UNITS.iter().find(|(_, bytes)| size >= *bytes && size.is_multiple_of(*bytes));
    let (unit, bytes) = unit.copied().unwrap_or(("B", 1));
    format!("{}{unit}", size / bytes)
}

pub(super) fn duration(value: &DeValue<'_>, word: Option<&str>) -> Result<Duration, String> {
    let form = match word {
        Some(word) => format!("write a duration above zero as text, like \"30m\", or {word:?}"),
        None => "write a duration above zero as text, like \"30m\"".to_owned(),
    };
    let parsed = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
    parsed.filter(|duration| !duration.is_zero()).ok_or(form)
}

pub(super) fn show_duration(duration: &Duration) -> String {
    format!("{:?}", humantime::format_duration(*duration).to_string())
}

/// A list of strings, each with its offset in the document.
pub(super) fn names(value: &DeValue<'_>) -> Result<Vec<(usize, String)>, String> {
    const FORM: &str = "write a list of names, like [\"redact\", \"audit\"]";
    let items = value.as_array().ok_or(FORM)?.iter();
    let names = items.map(|item| {
        let name = item.get_ref().as_str().ok_or(FORM)?;
        Ok((item.span().start, name.to_owned()))
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_text_with_a_unit() {
        assert_eq!(size("64MiB", u64::MAX), Ok(64 * 1024 * 1024));
        assert_eq!(size("7 B", 7), Ok(7));
        for bad in ["", "64", "0B", "-1B", "1.5KiB", "1MB", "99999999999999999999GiB", "8B"] {
            assert!(size(bad, 7).is_err(), "{bad}");
        }
        assert_eq!(show_size(1536 * 1024), "1536KiB");
    }
}
