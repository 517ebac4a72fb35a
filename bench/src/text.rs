//! Numbers and failures as people read them.

use std::path::Path;

/// The number with a comma between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Names what could not be done with which file, as the context of an error.
pub(crate) fn cannot(verb: &str, path: &Path) -> impl FnOnce() -> String {
    let text = format!("cannot {verb} {}", path.display());
    || text
}

#[test]
fn thousands_are_set_apart() {
    let shown = [0, 999, 1000, 5_774_952].map(grouped);
    assert_eq!(shown, ["0", "999", "1,000", "5,774,952"]);
}
