//! The product review feed of Google, XML of schema 2.3: a `review` element a review.
//!
//! Owns the elements and their order. Must not know where rows come from. Invariants: a reported review is
//! left out, and so is one without a text, which the schema has no place for; no e-mail address is in it;
//! every character is one that XML may hold.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::cli::ExportArgs;
use crate::model::calendar::timestamp;
use crate::model::{ProductId, Review, ReviewId};
use crate::store::rows::Row;

use super::files::{self, ExportFile};
use super::{LeftOut, Sink};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<feed xmlns:vc=\"http://www.w3.org/2007/XMLSchema-versioning\" \
xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
xsi:noNamespaceSchemaLocation=\"http://www.google.com/shopping/reviews/schema/product/2.3/product_reviews.xsd\">
<version>2.3</version>
";
const TAIL: &[u8] = b"</reviews>\n</feed>\n";

/// The feed.
pub(super) struct GoogleFeed {
    feed: ExportFile,
    product_url: String,
    handles: BTreeMap<u64, String>,
    text: String,
    left_out: LeftOut,
}

impl GoogleFeed {
    /// Begins the feed in a directory.
    pub(super) fn create(
        dir: &Path,
        args: &ExportArgs,
        handles: BTreeMap<u64, String>,
    ) -> io::Result<Self> {
        let product_url = args.product_url.clone().unwrap_or_default();
        let has_place = product_url.contains("{id}") || product_url.contains("{handle}");
        if !has_place || !product_url.starts_with("http") {
            return Err(io::Error::other(format!(
                "--product-url {product_url} is no address with {{id}} or {{handle}} in it"
            )));
        }
        if product_url.contains("{handle}") && handles.is_empty() {
            return Err(io::Error::other(
                "--product-url has {handle} in it, and no file says the handles; give it with --ids",
            ));
        }
        let mut feed = ExportFile::create(dir, "feed.xml")?;
        let mut text = HEAD.to_owned();
        text += "<publisher>";
        element(
            "name",
            args.publisher.as_deref().unwrap_or_default(),
            &mut text,
        );
        text += "</publisher>\n<reviews>\n";
        feed.head(text.as_bytes())?;
        Ok(Self {
            feed,
            product_url,
            handles,
            text,
            left_out: LeftOut::default(),
        })
    }

    fn review(&mut self, product: ProductId, id: ReviewId, review: &Review<'_>) -> io::Result<()> {
        if !review.is_published() {
            self.left_out.count(review.state);
            return Ok(());
        }
        let (title, content) = match (review.summary.trim(), review.body.trim()) {
            ("", "") => {
                self.left_out.empty += 1;
                return Ok(());
            }
            (summary, "") => ("", summary),
            (summary, body) => (summary, body),
        };
        let url = self.url(product)?;
        let text = &mut self.text;
        text.clear();
        *text += "<review>";
        element("review_id", &id.0.to_string(), text);
        *text += "<reviewer>";
        match review.reviewer_name.trim() {
            "" => *text += "<name is_anonymous=\"true\">Anonymous</name>",
            name => element("name", name, text),
        }
        *text += "</reviewer>";
        element("review_timestamp", &timestamp(review.date_ms), text);
        if !title.is_empty() {
            element("title", title, text);
        }
        element("content", content, text);
        *text += "<review_url type=\"group\">";
        escape(&url, text);
        *text += "</review_url>";
        if !review.photos.is_empty() {
            *text += "<reviewer_images>";
            for photo in &review.photos {
                *text += "<reviewer_image>";
                element("url", photo.url, text);
                *text += "</reviewer_image>";
            }
            *text += "</reviewer_images>";
        }
        *text += "<ratings><overall min=\"1\" max=\"5\">";
        *text += &review.rating.to_string();
        *text += "</overall></ratings>";
        *text += "<products><product>";
        element("product_url", &url, text);
        *text += "</product></products></review>\n";
        self.feed.row(self.text.as_bytes())
    }

    /// The address of a product's page.
    fn url(&self, product: ProductId) -> io::Result<String> {
        let url = self.product_url.replace("{id}", &product.0.to_string());
        if !url.contains("{handle}") {
            return Ok(url);
        }
        let handle = self.handles.get(&product.0).ok_or_else(|| {
            io::Error::other(format!(
                "the file of --ids has no handle of product {}",
                product.0
            ))
        })?;
        Ok(url.replace("{handle}", handle))
    }
}

impl Sink for GoogleFeed {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        match row {
            Row::Review(product, id, review) => self.review(*product, *id, review),
            _ => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<(BTreeMap<String, u64>, u64)> {
        self.feed.head(TAIL)?;
        files::finish([self.feed])
    }

    fn left_out(&self) -> Option<String> {
        self.left_out.sentence()
    }
}

fn element(name: &str, content: &str, text: &mut String) {
    text.extend(["<", name, ">"]);
    escape(content, text);
    text.extend(["</", name, ">"]);
}

/// Appends a text as XML holds it, without the characters that it may not.
fn escape(content: &str, text: &mut String) {
    for one in content.chars() {
        match one {
            '<' => *text += "&lt;",
            '>' => *text += "&gt;",
            '&' => *text += "&amp;",
            '"' => *text += "&quot;",
            '\u{fffe}' | '\u{ffff}' => {}
            one if one.is_control() && !matches!(one, '\n' | '\r' | '\t') => {}
            one => text.push(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_lose_what_xml_may_not_hold() {
        let mut text = String::new();
        element("t", "a<b> & \"c\"\u{0}\u{1b}\u{ffff}\n😀", &mut text);
        assert_eq!(text, "<t>a&lt;b&gt; &amp; &quot;c&quot;\n😀</t>");
    }
}
