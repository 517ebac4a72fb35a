//! Links in a text: URLs, and the names of sites without a scheme.
//!
//! Must not know how many are allowed. Invariants: a text is read once; a word that ends a sentence without a
//! space behind it (`good.It`) is no site.

use super::fold::plain;

/// Bytes of a host name at most.
const HOST_BYTES_MAX: usize = 253;
/// The last labels of sites that are known without a path: frequent ones that are no English words.
const ENDINGS: [&str; 44] = [
    "app", "au", "biz", "br", "ca", "cc", "ch", "club", "cn", "co", "com", "cz", "de", "dev", "es",
    "eu", "fr", "gg", "info", "io", "jp", "kr", "link", "live", "ly", "mx", "net", "nl", "online",
    "org", "pl", "pro", "ru", "se", "shop", "site", "store", "top", "tv", "uk", "vip", "xyz", "рф",
    "ua",
];

/// Returns the number of links in a text.
pub(crate) fn count(text: &str) -> u64 {
    let mut links = 0;
    let mut token = LinkToken::default();
    for one in plain(text) {
        if one.is_whitespace() || SEPARATORS.contains(one) {
            links += token.links();
            token.clear();
        } else {
            token.push(one);
        }
    }
    links + token.links()
}

/// Characters that stand in no link, or before it in a markup.
const SEPARATORS: &str = "<>()[]{}\"'`|,;!=*^\\“”‘’«»、。，；";

/// A run of other characters, as far as it decides whether there is a link in it.
#[derive(Debug, Default)]
struct LinkToken {
    /// The characters before the first `/`, `:`, `?` or `#`, if they may be a host.
    host: String,
    /// True if there are too many of them.
    is_long: bool,
    /// The first character behind the host.
    behind: Option<char>,
    /// True if there is more behind that.
    has_rest: bool,
    /// The last two characters.
    last: [char; 2],
    /// URLs with a scheme.
    urls: u64,
}

impl LinkToken {
    fn push(&mut self, one: char) {
        if self.last == [':', '/'] && one == '/' {
            self.urls += 1;
        }
        let [_, before] = self.last;
        self.last = [before, one];
        if self.behind.is_some() {
            self.has_rest = true;
        } else if matches!(one, '/' | ':' | '?' | '#') {
            self.behind = Some(one);
        } else if self.host.len() + one.len_utf8() > HOST_BYTES_MAX {
            self.is_long = true;
        } else {
            self.host.push(one);
        }
    }

    /// The links in it.
    fn links(&self) -> u64 {
        match self.urls {
            0 => u64::from(!self.is_long && self.is_site()),
            urls => urls,
        }
    }

    /// True if the host is the name of a site.
    fn is_site(&self) -> bool {
        let host = self.host.trim_end_matches('.');
        let Some((name, ending)) = host.rsplit_once('.') else {
            return false;
        };
        // An `@` is in e-mail addresses, which are no links.
        let is_label = |label: &str| {
            label.starts_with(char::is_alphanumeric)
                && label.chars().all(|one| one.is_alphanumeric() || one == '-')
        };
        if !name.split('.').all(is_label) {
            return false;
        }
        if name.to_lowercase().starts_with("www.") || name.eq_ignore_ascii_case("www") {
            return is_label(ending);
        }
        let is_known = ENDINGS.contains(&ending.to_lowercase().as_str());
        let has_path = self.behind == Some('/') && self.has_rest;
        let is_ending = ending.chars().count() > 1 && ending.chars().all(char::is_alphabetic);
        // A sentence that begins without a space before it has a capital letter.
        let begins_sentence =
            ending.starts_with(char::is_uppercase) && host.chars().any(char::is_lowercase);
        !begins_sentence && is_ending && (is_known || has_path)
    }

    fn clear(&mut self) {
        self.host.clear();
        *self = Self {
            host: std::mem::take(&mut self.host),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_sites_are_links() {
        for (text, links) in [
            ("see https://shop.example/a?b=c#d", 1),
            ("HTTP://SHOP.EXAMPLE", 1),
            ("(http://a.example),http://b.example", 2),
            ("http://a.examplehttp://b.example", 2),
            ("<a href=\"http://a.example\">x</a>", 1),
            ("[url=spam.com]x[/url]", 1),
            ("www.shop.example", 1),
            ("go to spam.com.", 1),
            ("SPAM.COM", 1),
            ("spam.com:8080 spam.com?x spam.com/", 3),
            ("t.me/joinchat", 1),
            ("spam\u{200b}.com spam．com", 2),
            ("a.b.spam.co.uk", 1),
            ("пример.рф", 1),
        ] {
            assert_eq!(count(text), links, "{text}");
        }
    }

    #[test]
    fn sentences_numbers_and_addresses_are_no_links() {
        for text in [
            "",
            "It is good.It fits.So I like it",
            "good.it is",
            "good.Com",
            "4.5 of 5, 10.99€, v1.2.3",
            "e.g. i.e. a.m.",
            "me@shop.com",
            "and/or 1/2",
            "wait...what",
            "..com -.com/",
            "http:/ /x",
        ] {
            assert_eq!(count(text), 0, "{text}");
        }
    }

    #[test]
    fn a_host_that_is_too_long_is_no_site() {
        assert_eq!(count(&format!("{}.com", "x".repeat(HOST_BYTES_MAX))), 0);
    }
}
