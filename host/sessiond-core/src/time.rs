//! Points in time, as nanoseconds since 1970 in UTC, and where the current one comes from.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A point in time, in nanoseconds since 1970-01-01 UTC; from the year 1678 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(i64);

impl Time {
    /// From nanoseconds since 1970.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// From seconds since 1970, as agent frameworks write them. None for what is no such time.
    ///
    /// The number itself is some hundred nanoseconds off: what is meant is the shortest decimal that
    /// reads as it, such as 1700000000.123.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        if !seconds.is_finite() || seconds.abs() >= 9.2e9 {
            return None;
        }
        let text = seconds.abs().to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let nanos: i64 = format!("{whole}{fraction:0<9.9}").parse().ok()?;
        Some(Self(if seconds < 0.0 { -nanos } else { nanos }))
    }

    /// From RFC 3339 text with any offset. None for other text and for years out of range.
    pub fn parse(text: &str) -> Option<Self> {
        i64::try_from(nanos_of(text)?).ok().map(Self)
    }

    /// As [`Time::parse`], but of a year out of range the nearest time that there is.
    pub fn parse_nearest(text: &str) -> Option<Self> {
        let nanos = nanos_of(text)?;
        let last = if nanos < 0 { i64::MIN } else { i64::MAX };
        Some(Self(i64::try_from(nanos).unwrap_or(last)))
    }

    /// Nanoseconds since 1970.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

impl fmt::Display for Time {
    /// RFC 3339 in UTC, with as many digits of the second as there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => f.write_str("1970-01-01T00:00:00Z"),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the current time comes from, so that tests can move it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current time.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Nanoseconds since 1970 of RFC 3339 text, of any year.
fn nanos_of(text: &str) -> Option<i128> {
    Some(text.parse::<Timestamp>().ok()?.as_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_and_offsets_survive() {
        let time = Time::parse("2025-01-01T08:00:00.123456789+08:00").unwrap();
        assert_eq!(time.to_string(), "2025-01-01T00:00:00.123456789Z");
        assert_eq!(Time::parse(&time.to_string()), Some(time));
        assert_eq!(Time::parse("0001-01-01T00:00:00Z"), None);
        assert_eq!(Time::parse("yesterday"), None);
        assert_eq!(Time::from_seconds(1.5).unwrap().to_string(), "1970-01-01T00:00:01.5Z");
        assert_eq!(Time::from_seconds(-0.25).map(Time::nanos), Some(-250_000_000));
        assert_eq!(Time::from_seconds(f64::NAN), None);
        assert_eq!(Time::from_seconds(1e300), None);
    }

    /// R19: seconds of today's size keep the digits that were written.
    #[test]
    fn seconds_are_what_was_written() {
        for (seconds, written) in [
            (1_700_000_000.123, "2023-11-14T22:13:20.123Z"),
            (1_700_000_000.123_456_7, "2023-11-14T22:13:20.1234567Z"),
            (1_700_000_000.0, "2023-11-14T22:13:20Z"),
            (0.000_000_001_5, "1970-01-01T00:00:00.000000001Z"),
        ] {
            assert_eq!(Time::from_seconds(seconds), Time::parse(written), "{seconds}");
        }
    }
}
