//! The rules for new reviews, beyond those that always hold.
//!
//! Must not know how a review is sent or stored. Invariant: the bounds of texts, ratings and photos hold
//! under every rule.

/// The rules by which a new review is taken or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewRules {
    /// The rules for texts, e-mail addresses and recommendations.
    pub profile: Profile,
    /// True if a photo may be any text, false if it must be the URL of one.
    pub any_photo: bool,
    /// True if values of characteristics that a product does not have are left out, false if they are
    /// refused.
    pub drop_unknown_characteristics: bool,
    /// True if reviews of products are taken that are not in the catalogue.
    pub take_unknown_products: bool,
}

/// The defaults of rules that no single key decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As the hosted service: texts may be empty or missing, an e-mail address is any text, and no
    /// recommendation is none.
    Hosted,
    /// Texts but the summary must not be empty, an e-mail address must be like one, and a recommendation must
    /// be there.
    Strict,
}

impl ReviewRules {
    /// The rules of the hosted service, as it was seen to work.
    pub const HOSTED: Self = Self {
        profile: Profile::Hosted,
        any_photo: true,
        drop_unknown_characteristics: true,
        take_unknown_products: true,
    };

    /// Reviews that are complete, of known products, with characteristics that those have.
    pub const STRICT: Self = Self {
        profile: Profile::Strict,
        any_photo: false,
        drop_unknown_characteristics: false,
        take_unknown_products: false,
    };
}

impl Profile {
    /// The characters that a text has at least, if it must not be empty.
    pub(crate) fn text_chars_min(self) -> usize {
        match self {
            Self::Hosted => 0,
            Self::Strict => 1,
        }
    }
}
