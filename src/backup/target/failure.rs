//! The error message of a failed target, and the remedy where there is one.
//!
//! Must not know the operation. Invariant: the text of the other side that is shown is one line of bounded
//! length.

use super::Error;

/// The number of characters of the other side's message that are shown.
const TOLD_CHARS_MAX: usize = 300;
/// The answers of a bucket that have a remedy.
const REMEDIES: [(&str, &str); 9] = [
    ("NoSuchBucket", "there is no such bucket; create it first"),
    (
        "InvalidAccessKeyId",
        "the bucket's owner does not know AWS_ACCESS_KEY_ID",
    ),
    (
        "SignatureDoesNotMatch",
        "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID",
    ),
    ("ExpiredToken", "the credentials are no longer valid"),
    (
        "AccessDenied",
        "these credentials have no permission for that; the key must be allowed to list the bucket and \
         to get, put and delete its objects",
    ),
    (
        "PermanentRedirect",
        "the bucket is in another region; set AWS_REGION",
    ),
    (
        "URL scheme is not allowed",
        "the endpoint is not https; AWS_ALLOW_HTTP=true allows that",
    ),
    (
        "169.254.169.254",
        "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        "client error (Connect)",
        "the bucket's server cannot be reached; check the network, and AWS_ENDPOINT_URL if the bucket \
         is not at Amazon's",
    ),
];

/// Returns the whole message of an error, with its causes.
pub(super) fn said(error: &object_store::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let text = deeper.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = deeper.source();
    }
    said
}

/// Returns the error of an operation on a target.
pub(super) fn target(doing: String, error: &object_store::Error) -> Error {
    let said = said(error);
    let known = REMEDIES.iter().find(|(code, _)| said.contains(code));
    let why = match known {
        Some((_, remedy)) => (*remedy).to_owned(),
        None => shortened(&said),
    };
    Error::Target { doing, why }
}

/// Returns a text as one line that is not too long.
fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(TOLD_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_one_line_of_bounded_length() {
        assert_eq!(shortened("a\n  b\tc"), "a b c");
        assert_eq!(
            shortened(&"ä".repeat(1000)).chars().count(),
            TOLD_CHARS_MAX + 1
        );
    }
}
