//! Patterns for the names of apps and users: `*` stands for any text, also for none.

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern of this text. Every text is one.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it matches every name.
    pub fn is_all(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether it matches a name as a whole.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name, wanted) in [
            ("shop", "shop", true),
            ("shop", "shops", false),
            ("shop*", "shop", true),
            ("shop*", "my-shop", false),
            ("*shop", "my-shop", true),
            ("*shop", "shop-x", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-c-b-c", true),
            ("a*b*c", "ab", false),
            ("aba*aba", "aba", false),
            ("aba*aba", "abaaba", true),
            ("*", "", true),
            ("**", "x*y", true),
            ("", "", true),
            ("", "x", false),
            ("*é*", "café au lait", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), wanted, "{pattern} {name}");
        }
        assert!(Pattern::new("*").is_all() && !Pattern::new("a*").is_all());
        assert!(!Pattern::new("").is_all());
    }
}
