//! The campus that products carry on the hosted service: a name out of the path.
//!
//! Must not know routes. Invariant: a name is plain ASCII and short, whatever a path has, so that it can be
//! part of the key that an answer is cached under.

/// Bytes of a name at most.
const BYTES_MAX: usize = 16;
/// The campus of the catalogue that most clients were written against.
const USUAL: &str = "hr-rfp";

/// The name of a campus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Campus {
    bytes: [u8; BYTES_MAX],
    length: usize,
}

impl Campus {
    /// Returns the campus that a path names, or the usual one if it names none or an invalid one.
    pub(crate) fn of(named: Option<&str>) -> Self {
        named
            .and_then(Self::read)
            .or_else(|| Self::read(USUAL))
            .unwrap_or(Self {
                bytes: [0; BYTES_MAX],
                length: 0,
            })
    }

    fn read(name: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let mut bytes = [0; BYTES_MAX];
        let room = bytes.get_mut(..name.len())?;
        room.copy_from_slice(name.as_bytes());
        name.bytes().all(is_plain).then_some(Self {
            bytes,
            length: name.len(),
        })
    }

    /// Its name, in which nothing needs escaping.
    pub(crate) fn name(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain_or_the_usual_one() {
        let name = |named| String::from_utf8(Campus::of(named).name().to_vec()).unwrap();
        assert_eq!(name(Some("hr-lax")), "hr-lax");
        assert_eq!(name(Some("HR_sixteen-chars")), "HR_sixteen-chars");
        for other in [
            None,
            Some("one-of-17-letters"),
            Some("hr\"lax"),
            Some("hr%2Dlax"),
            Some("\u{e9}"),
        ] {
            assert_eq!(name(other), "hr-rfp", "{other:?}");
        }
    }
}
