//! The words of a text that is HTML: tags go, their breaks stay, entities become their characters.
//!
//! Must not know fields. Invariants: no tag and no script is in what comes out, unless a text spelled it
//! with entities; a text without `<` and `&` comes out as it is.

use std::borrow::Cow;

/// Elements whose content is not for reading.
const SILENT: [&str; 2] = ["script", "style"];
/// Elements that begin a line of their own.
const BLOCKS: [&str; 16] = [
    "p",
    "div",
    "br",
    "li",
    "ul",
    "ol",
    "tr",
    "table",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "section",
    "blockquote",
];
/// The longest name of an entity that is looked for.
const ENTITY_BYTES_MAX: usize = 10;

/// Returns the words of an HTML text, each block of it on a line.
pub(crate) fn words(html: &str) -> Cow<'_, str> {
    if !html.contains(['<', '&']) {
        return Cow::Borrowed(html);
    }
    // Without a tag the line breaks are the writer's own, as in comments of WordPress.
    let has_tags = html
        .match_indices('<')
        .any(|(at, _)| tag(html.get(at..).unwrap_or_default()).is_some());
    let mut out = Words {
        text: String::with_capacity(html.len()),
        keeps_breaks: !has_tags || !has_blocks(html),
    };
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, from) = rest.split_at_checked(at).unwrap_or_default();
        out.add(before);
        if let Some((name, after)) = tag(from) {
            if SILENT.contains(&name.as_str()) {
                rest = past_element(&name, after);
                continue;
            }
            if BLOCKS.contains(&name.trim_start_matches('/')) {
                out.break_line();
            }
            rest = after;
        } else if let Some((one, after)) = entity(from) {
            out.push(one);
            rest = after;
        } else {
            out.add(from.get(..1).unwrap_or_default());
            rest = from.get(1..).unwrap_or_default();
        }
    }
    out.add(rest);
    Cow::Owned(out.text.trim().to_owned())
}

fn has_blocks(html: &str) -> bool {
    let mut tags = html
        .match_indices('<')
        .filter_map(|(at, _)| tag(html.get(at..)?));
    tags.any(|(name, _)| BLOCKS.contains(&name.trim_start_matches('/')))
}

/// The text that is made.
struct Words {
    text: String,
    /// True if line breaks of the source are line breaks of the text.
    keeps_breaks: bool,
}

impl Words {
    fn add(&mut self, text: &str) {
        if self.keeps_breaks {
            self.text.push_str(text);
            return;
        }
        for one in text.chars() {
            self.push(one);
        }
    }

    fn push(&mut self, one: char) {
        if !one.is_whitespace() || self.keeps_breaks {
            self.text.push(if one == '\u{a0}' { ' ' } else { one });
        } else if !self.text.ends_with([' ', '\n']) && !self.text.is_empty() {
            self.text.push(' ');
        }
    }

    fn break_line(&mut self) {
        let kept = self.text.trim_end_matches(' ').len();
        self.text.truncate(kept);
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }
}

/// The name of the tag that a text begins with, in small letters, and what follows the tag.
fn tag(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('<')?;
    if let Some(comment) = inner.strip_prefix("!--") {
        return Some((
            String::new(),
            comment.split_once("-->").map_or("", |(_, after)| after),
        ));
    }
    let begins = inner.strip_prefix(['/', '!']).unwrap_or(inner);
    if !begins.starts_with(|one: char| one.is_ascii_alphabetic()) {
        return None;
    }
    let (tag, after) = inner.split_once('>')?;
    let name = tag
        .trim_end_matches('/')
        .split(|one: char| one.is_whitespace())
        .next()?;
    Some((name.to_ascii_lowercase(), after))
}

/// The text behind an element whose opening tag was read.
fn past_element<'t>(name: &str, text: &'t str) -> &'t str {
    let end = format!("</{name}");
    let at = text.to_ascii_lowercase().find(&end);
    let rest = at.and_then(|at| text.get(at..)).unwrap_or_default();
    rest.split_once('>').map_or("", |(_, after)| after)
}

/// The character of the entity that a text begins with, and what follows it.
fn entity(text: &str) -> Option<(char, &str)> {
    let inner = text.strip_prefix('&')?;
    let end = inner
        .bytes()
        .take(ENTITY_BYTES_MAX)
        .position(|byte| byte == b';')?;
    let (name, after) = (inner.get(..end)?, inner.get(end + 1..)?);
    let one = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" | "rsquo" | "lsquo" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "ldquo" => '“',
        "rdquo" => '”',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "deg" => '°',
        "euro" => '€',
        "pound" => '£',
        "bull" => '•',
        "times" => '×',
        _ => numbered(name)?,
    };
    Some((one, after))
}

fn numbered(name: &str) -> Option<char> {
    let number = name.strip_prefix('#')?;
    let number = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(number).filter(|one| !one.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blocks_are_lines_and_entities_characters() {
        for (html, text) in [
            (
                "<p>Warm &amp; light.</p>\n<ul><li>One</li>\n  <li>Two</li></ul>",
                "Warm & light.\nOne\nTwo",
            ),
            ("a<br/>b<br>c", "a\nb\nc"),
            (
                "Size&nbsp;7 &lt; 8 &#8217;tis &#x1F600;",
                "Size 7 < 8 ’tis 😀",
            ),
            (
                "<script>alert('<p>')</script><STYLE>p{}</STYLE>Words",
                "Words",
            ),
            ("<!-- hidden --><b>bold</b> claim", "bold claim"),
            ("3 < 4 & 5 > 2", "3 < 4 & 5 > 2"),
            ("two\nlines &amp; no tag", "two\nlines & no tag"),
            ("AT&T &unknown; <", "AT&T &unknown; <"),
            ("plain\ntext", "plain\ntext"),
            ("<script>never closed", ""),
        ] {
            assert_eq!(words(html), text, "{html}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_made_words(text in ".{0,60}|[<>/a-p&;#x0-9 \"'!-]{0,60}") {
            let _ = words(&text);
        }
    }
}
