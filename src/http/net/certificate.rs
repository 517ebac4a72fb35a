//! The certificate that a client showed in its handshake, as far as it names the client.
//!
//! Must not verify anything: only what the TLS handshake accepted comes here. Invariant: a certificate with other
//! contents than X.509 says is read without a panic, and has no name then.

use std::sync::Arc;

/// The name of a client whose certificate the handshake verified. It is an extension of each of its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate(Arc<str>);

/// Characters of a name at most.
const NAME_CHARS_MAX: usize = 64;
/// The name of a certificate without one.
const NAMELESS: &str = "without a name";

// Tags of DER.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const OCTETS: u8 = 0x04;
/// A DNS name among alternative names.
const DNS_NAME: u8 = 0x82;
/// UTF-8, printable and IA5 strings, whose bytes are UTF-8.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];

/// 2.5.4.3, the common name of a subject.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// 2.5.29.17, the alternative names of a subject.
const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];

impl ClientCertificate {
    /// Reads the name of a certificate in DER.
    pub(super) fn of(der: &[u8]) -> Self {
        let name = name(der).unwrap_or_default();
        let is_plain = |c: &char| !c.is_control();
        let shown: String = name.chars().filter(is_plain).take(NAME_CHARS_MAX).collect();
        let shown = shown.trim();
        Self(if shown.is_empty() { NAMELESS } else { shown }.into())
    }

    /// The common name of its subject, or else its first DNS name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A value of DER: its tag and its contents.
#[derive(Clone, Copy)]
struct DerValue<'d> {
    tag: u8,
    contents: &'d [u8],
}

/// The values that stand one behind the other.
struct DerValues<'d>(&'d [u8]);

impl<'d> Iterator for DerValues<'d> {
    type Item = DerValue<'d>;

    /// The next value; none at the end, and where the rest is no DER.
    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if bytes.is_empty() || bytes.len() > size_of::<u32>() {
                return None;
            }
            let length = bytes
                .iter()
                .fold(0_u32, |length, byte| (length << 8) | u32::from(*byte));
            (usize::try_from(length).ok()?, rest)
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(DerValue { tag, contents })
    }
}

impl<'d> DerValue<'d> {
    fn values(self) -> DerValues<'d> {
        DerValues(self.contents)
    }

    /// The same if it has this tag.
    fn tagged(self, tag: u8) -> Option<Self> {
        (self.tag == tag).then_some(self)
    }
}

/// The name of a certificate.
fn name(der: &[u8]) -> Option<String> {
    let certificate = DerValues(der).next()?.tagged(SEQUENCE)?;
    let signed = certificate.values().next()?.tagged(SEQUENCE)?;
    let mut fields = signed.values().filter(|field| field.tag != VERSION);
    // Behind the serial number, the algorithm, the issuer and the validity.
    let subject = fields.nth(4)?.tagged(SEQUENCE)?;
    common_name(subject).or_else(|| dns_name(fields.find(|field| field.tag == EXTENSIONS)?))
}

fn common_name(subject: DerValue<'_>) -> Option<String> {
    let sets = subject.values().filter(|part| part.tag == SET);
    let attributes = sets.flat_map(DerValue::values);
    let mut names = attributes.filter_map(|attribute| {
        let mut parts = attribute.values();
        let kind = parts.next()?.tagged(OBJECT_ID)?;
        let value = parts.next()?;
        let is_name = kind.contents == COMMON_NAME && TEXTS.contains(&value.tag);
        let name = is_name.then_some(value.contents)?;
        Some(String::from_utf8_lossy(name).into_owned())
    });
    names.next()
}

fn dns_name(extensions: DerValue<'_>) -> Option<String> {
    let all = extensions.values().next()?.tagged(SEQUENCE)?;
    let mut names = all.values().filter_map(|extension| {
        let mut parts = extension.values();
        let kind = parts.next()?.tagged(OBJECT_ID)?;
        // Whether it is critical may stand in between.
        let octets = parts.find(|part| part.tag == OCTETS)?;
        let names = octets.values().next()?.tagged(SEQUENCE)?;
        let is_wanted = kind.contents == ALTERNATIVE_NAMES;
        let name = is_wanted.then(|| names.values().find(|name| name.tag == DNS_NAME))??;
        Some(String::from_utf8_lossy(name.contents).into_owned())
    });
    names.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value with its length, as DER writes it.
    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let contents = parts.concat();
        let mut all = vec![tag];
        if let Ok(length @ 0..0x80) = u8::try_from(contents.len()) {
            all.push(length);
        } else {
            all.push(0x82);
            all.extend(u16::try_from(contents.len()).unwrap().to_be_bytes());
        }
        all.extend(contents);
        all
    }

    fn subject(attributes: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
        let sets = attributes.iter().map(|(kind, tag, value)| {
            let attribute = [der(OBJECT_ID, &[kind]), der(*tag, &[value])];
            let [kind, value] = &attribute;
            der(SET, &[&der(SEQUENCE, &[kind, value])])
        });
        let sets: Vec<_> = sets.collect();
        der(SEQUENCE, &[&sets.concat()])
    }

    fn certificate(subject: &[u8], alternative: Option<&[u8]>) -> Vec<u8> {
        let extensions = alternative.map_or_else(Vec::new, |name| {
            let names = der(
                SEQUENCE,
                &[&der(0x87, &[&[10, 0, 0, 1]]), &der(DNS_NAME, &[name])],
            );
            let names = der(OCTETS, &[&names]);
            let one = [
                der(OBJECT_ID, &[&ALTERNATIVE_NAMES]),
                der(1, &[&[255]]),
                names,
            ]
            .concat();
            der(EXTENSIONS, &[&der(SEQUENCE, &[&der(SEQUENCE, &[&one])])])
        });
        let (empty, key) = (der(SEQUENCE, &[]), der(SEQUENCE, &[&[0; 300]]));
        let fields: [&[u8]; 8] = [
            &der(VERSION, &[&der(2, &[&[2]])]),
            &der(2, &[&[1, 2, 3]]),
            &empty,
            &empty,
            &empty,
            subject,
            &key,
            &extensions,
        ];
        der(SEQUENCE, &[&der(SEQUENCE, &fields), &empty])
    }

    fn name_of(der: &[u8]) -> String {
        ClientCertificate::of(der).name().to_owned()
    }

    #[test]
    fn a_client_has_the_common_name_of_its_subject() {
        let organisation = (&[0x55, 0x04, 0x0a][..], 0x0c, &b"A Shop"[..]);
        let named = subject(&[organisation, (&COMMON_NAME, 0x13, b"prometheus")]);
        assert_eq!(name_of(&certificate(&named, Some(b"other"))), "prometheus");
        let nameless = subject(&[organisation]);
        assert_eq!(
            name_of(&certificate(&nameless, Some(b"db.shop.example"))),
            "db.shop.example"
        );
        assert_eq!(name_of(&certificate(&nameless, None)), NAMELESS);
    }

    #[test]
    fn a_name_is_one_short_line() {
        let long = format!("a\n\u{1b}[2J{}", "x".repeat(200));
        let named = subject(&[(&COMMON_NAME, 0x0c, long.as_bytes())]);
        let name = name_of(&certificate(&named, None));
        assert_eq!(name.chars().count(), NAME_CHARS_MAX);
        assert!(name.starts_with("a[2Jxx"), "{name}");
    }

    #[test]
    fn cut_and_broken_certificates_are_read_without_a_panic() {
        let whole = certificate(&subject(&[(&COMMON_NAME, 0x0c, b"ana")]), Some(b"b"));
        for end in 0..whole.len() {
            assert_eq!(name_of(&whole[..end]), NAMELESS);
        }
        for place in 0..whole.len() {
            for byte in [0, 0x30, 0x80, 0x84, 0xff] {
                let mut broken = whole.clone();
                broken[place] = byte;
                name_of(&broken);
            }
        }
    }
}
