//! Payment card numbers: 13 to 19 digits, with single spaces or dashes between them, whose last
//! digit is the check digit of the others.
//!
//! One in ten numbers passes that check by chance, so what is plainly something else is left alone:
//! times, dates, telephone numbers with their `+`, fractions, hexadecimal, and what begins with a
//! zero. Within a longer row of numbers a card must begin as some issuer's cards do, and be grouped
//! like one.

use super::{Kind, Span};

const LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;

/// Adds the card numbers of a text.
pub fn find(text: &str, spans: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if digit(bytes, at).is_none() {
            at += 1;
            continue;
        }
        let row = Row::read(bytes, at);
        at = row.end;
        row.find(bytes, spans);
    }
}

/// Whether a JSON number is a card number, however it is written: `4.2e15` is an integer too.
pub fn is_number(number: &str) -> bool {
    integer_digits(number).is_some_and(|digits| is_lone_card(&digits))
}

/// Groups of digits with single separators between them, as many as there are.
struct Row {
    /// The values of all digits.
    digits: Vec<u8>,
    groups: Vec<Group>,
    end: usize,
}

#[derive(Clone, Copy)]
struct Group {
    /// Its place in the text.
    start: usize,
    end: usize,
    /// Its place among the digits of the row.
    first: usize,
    last: usize,
}

impl Group {
    fn len(&self) -> usize {
        self.last - self.first
    }
}

impl Row {
    fn read(bytes: &[u8], mut at: usize) -> Row {
        let mut row = Row { digits: Vec::new(), groups: Vec::new(), end: at };
        loop {
            let (start, first) = (at, row.digits.len());
            while let Some((value, width)) = digit(bytes, at) {
                row.digits.push(value);
                at += width;
            }
            row.groups.push(Group { start, end: at, first, last: row.digits.len() });
            row.end = at;
            let next = at + separator(bytes, at);
            if next == at || digit(bytes, next).is_none() {
                return row;
            }
            at = next;
        }
    }

    /// Adds the card numbers of the row. None begins or ends inside of a group.
    ///
    /// Where two overlap, it may be either: both go, and `merge` makes one of them.
    fn find(&self, bytes: &[u8], spans: &mut Vec<Span>) {
        if self.digits.len() < *LENGTHS.start() || self.is_telephone(bytes) {
            return;
        }
        let numbers = self.numbers(bytes);
        for row in numbers.split(Option::is_none) {
            let row: Vec<Group> = row.iter().flatten().copied().collect();
            for first in 0..row.len() {
                // At most 19 groups, since each has a digit.
                for last in first..row.len() {
                    let groups = &row[first..=last];
                    if self.digits_of(groups).len() > *LENGTHS.end() {
                        break;
                    }
                    if self.is_card(bytes, groups, groups.len() == row.len()) {
                        spans.push(Span {
                            start: groups[0].start,
                            end: row[last].end,
                            kind: Kind::Card,
                        });
                    }
                }
            }
        }
    }

    fn digits_of(&self, groups: &[Group]) -> &[u8] {
        match groups {
            [] => &[],
            [first, .., last] => &self.digits[first.first..last.last],
            [lone] => &self.digits[lone.first..lone.last],
        }
    }

    /// Whether some groups that follow each other, or all of a row, are a card number.
    fn is_card(&self, bytes: &[u8], groups: &[Group], all: bool) -> bool {
        let digits = self.digits_of(groups);
        match groups {
            [lone] => is_lone_card(digits) && !is_hex(bytes, lone),
            _ if all => is_card(digits),
            _ => {
                is_card(digits) && is_issued(digits) && groups.iter().all(|group| group.len() >= 3)
            }
        }
    }

    /// `+` and up to 15 digits, as E.164 has it. After a letter the `+` is a space of a web form.
    fn is_telephone(&self, bytes: &[u8]) -> bool {
        let plus = matches!(bytes[..self.groups[0].start], [.., b'+']);
        let form =
            matches!(bytes[..self.groups[0].start], [.., a, b'+'] if a.is_ascii_alphanumeric());
        plus && !form && self.digits.len() <= 15
    }

    /// The groups, with None for those that belong to a date or to a decimal number.
    fn numbers(&self, bytes: &[u8]) -> Vec<Option<Group>> {
        let mut groups: Vec<Option<Group>> = self.groups.iter().copied().map(Some).collect();
        let (head, tail) = (self.groups[0], self.groups[self.groups.len() - 1]);
        // Floating-point numbers have up to 17 digits, groups of a card no more than 6.
        if head.len() > 6 && matches!(bytes[..head.start], [.., a, b'.'] if a.is_ascii_digit()) {
            groups[0] = None;
        }
        if tail.len() < 4 && matches!(bytes[tail.end..], [b'.', a, ..] if a.is_ascii_digit()) {
            groups[self.groups.len() - 1] = None;
        }
        for at in 2..self.groups.len() {
            if is_date(bytes, &self.digits, &self.groups[at - 2..=at]) {
                groups[at - 2..=at].fill(None);
            }
        }
        groups
    }
}

/// Whether digits that stand alone, without separators, are a card number.
fn is_lone_card(digits: &[u8]) -> bool {
    is_card(digits) && !is_time(digits)
}

fn is_card(digits: &[u8]) -> bool {
    LENGTHS.contains(&digits.len()) && digits[0] != 0 && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let mut sum = 0;
    for (place, digit) in digits.iter().rev().enumerate() {
        sum += match (place % 2, digit) {
            (0, digit) => u32::from(*digit),
            (_, 9) => 9,
            (_, digit) => u32::from(digit * 2 % 9),
        };
    }
    sum % 10 == 0
}

/// Whether the digits are a time: milliseconds, microseconds or nanoseconds since 1970 (until 2033
/// these begin with a 1, which no bank's cards do), or a date and a time of day run together.
fn is_time(digits: &[u8]) -> bool {
    let pair = |at: usize| digits[at] * 10 + digits[at + 1];
    match digits.len() {
        13 | 16 | 19 => digits[0] == 1,
        14 | 17 => {
            (19..=20).contains(&pair(0))
                && (1..=12).contains(&pair(4))
                && (1..=31).contains(&pair(6))
                && pair(8) < 24
                && pair(10) < 60
                && pair(12) < 60
        }
        _ => false,
    }
}

/// Whether three groups are a date, as in `2026-11-25`.
fn is_date(bytes: &[u8], digits: &[u8], groups: &[Group]) -> bool {
    let value = |group: &Group| {
        digits[group.first..group.last].iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit))
    };
    groups.iter().map(Group::len).eq([4, 2, 2])
        && bytes[groups[0].end] == b'-'
        && bytes[groups[1].end] == b'-'
        && (1900..2100).contains(&value(&groups[0]))
        && (1..=12).contains(&value(&groups[1]))
        && (1..=31).contains(&value(&groups[2]))
}

/// Whether cards of that length begin so, by the ranges of the schemes in use.
fn is_issued(digits: &[u8]) -> bool {
    let begin = digits[..4].iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit));
    match (begin, digits.len()) {
        // Visa
        (4000..=4999, 13 | 16 | 19) => true,
        // Mastercard, Mir
        (2221..=2720 | 5100..=5599, 16) | (2200..=2204, 16..) => true,
        // American Express
        (3400..=3499 | 3700..=3799, 15) => true,
        // Diners Club, JCB
        (3000..=3059 | 3095 | 3600..=3699 | 3800..=3999, 14..) | (3528..=3589, 16..) => true,
        // Maestro, Discover, UnionPay, RuPay
        (5000..=5099 | 5600..=6999, _) | (8100..=8299, 16..) => true,
        // Troy
        (9792, 16) => true,
        _ => false,
    }
}

/// Whether a group is part of a hexadecimal number, such as a hash. The letters near it tell.
fn is_hex(bytes: &[u8], group: &Group) -> bool {
    const NEAR: usize = 64;
    let is_near = |byte: &&u8| byte.is_ascii_alphanumeric();
    let before = bytes[..group.start].iter().rev().take(NEAR).take_while(is_near);
    let after = bytes[group.end..].iter().take(NEAR).take_while(is_near);
    let mut letters = before.chain(after).filter(|byte| byte.is_ascii_alphabetic()).peekable();
    letters.peek().is_some() && letters.all(u8::is_ascii_hexdigit)
}

/// The value and the width of the digit at a place, ASCII or full-width.
fn digit(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    match bytes[at..] {
        [digit @ b'0'..=b'9', ..] => Some((digit - b'0', 1)),
        [0xEF, 0xBC, digit @ 0x90..=0x99, ..] => Some((digit - 0x90, 3)),
        _ => None,
    }
}

/// The width of the space or dash at a place, 0 if there is none.
fn separator(bytes: &[u8], at: usize) -> usize {
    match bytes[at..] {
        [b' ' | b'-', ..] => 1,
        // No-break space.
        [0xC2, 0xA0, ..] => 2,
        // Figure, thin and narrow spaces; hyphens and dashes of a single width.
        [0xE2, 0x80, 0x87 | 0x89 | 0x90..=0x93 | 0xAF, ..] => 3,
        _ => 0,
    }
}

/// The digits of a JSON number that is an integer of up to 19 digits.
fn integer_digits(number: &str) -> Option<Vec<u8>> {
    let number = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> =
        whole.bytes().chain(fraction.bytes()).map(|byte| byte.wrapping_sub(b'0')).collect();
    // Where the point stands among the digits, and where they begin and end but for zeros.
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let first = digits.iter().position(|digit| *digit != 0)?;
    let last = digits.iter().rposition(|digit| *digit != 0)? + 1;
    let point = usize::try_from(point).ok()?;
    if digits.iter().any(|digit| *digit > 9) || point < last || point > first + LENGTHS.end() {
        return None;
    }
    let mut integer = digits[first..last].to_vec();
    integer.resize(point - first, 0);
    Some(integer)
}
