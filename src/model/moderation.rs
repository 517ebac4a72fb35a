//! The words of moderation: the state of a review, who changes it, and on what ground.
//!
//! Must not know how they are stored or asked for. Invariant: the number of a word never changes, since it is
//! written in stores; a word that is no longer used keeps its number.

/// Declares an enum whose members have a fixed number and a fixed word.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $member:ident = $number:literal $word:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $member),* }

        impl $name {
            /// All members, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$member),*];

            /// The number that is stored.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$member => $number),* }
            }

            /// The member with a number.
            #[must_use]
            pub const fn of_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$member),)* _ => None }
            }

            /// The word in requests, answers and configuration.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$member => $word),* }
            }

            /// The member with a word.
            #[must_use]
            pub fn of_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$member),)* _ => None }
            }
        }
    };
}

words! {
    /// The state of a review. Only published reviews are in lists.
    ReviewState {
        /// In the lists of everybody.
        Published = 0 "published",
        /// Held until a moderator decides.
        Pending = 1 "pending",
        /// Taken out of the lists, by reports or by a moderator.
        Hidden = 2 "hidden",
        /// Removed; erased from the disk after `[moderation] undo_time`.
        Removed = 3 "removed",
    }
}

words! {
    /// The ground on which a review was held, hidden, removed or published.
    ReasonCode {
        /// No ground was given.
        Unstated = 0 "unstated",
        /// Advertising, or sent in bulk.
        Spam = 1 "spam",
        /// Insults, threats, hate or obscenity.
        Abuse = 2 "abuse",
        /// Personal data of somebody.
        Privacy = 3 "privacy",
        /// It is not about the product.
        OffTopic = 4 "off_topic",
        /// It is not by a person who used the product.
        Fake = 5 "fake",
        /// The law forbids it.
        Illegal = 6 "illegal",
        /// There is another review by the same person.
        Duplicate = 7 "duplicate",
        /// So many clients reported it as `[moderation] reports_to_hide` says.
        Reports = 8 "reports",
        /// New reviews are held by `[moderation] mode = "before"`.
        Held = 9 "held",
        /// A word of the configured list.
        Words = 10 "words",
        /// More links than are allowed.
        Links = 11 "links",
        /// Shorter or longer than is allowed.
        Length = 12 "length",
        /// The same characters or words again and again.
        Repetition = 13 "repetition",
        /// The configured HTTP check said so.
        Check = 14 "check",
        /// The configured HTTP check gave no answer.
        CheckFailed = 15 "check_failed",
        /// A moderator found nothing wrong.
        Acceptable = 16 "acceptable",
        /// The person it is by or about asked for it.
        Request = 17 "request",
        /// An earlier action was a mistake.
        Mistake = 18 "mistake",
        /// The shop's files say so.
        Files = 19 "files",
    }
}

words! {
    /// The role of a token, and what it may do.
    Role {
        /// Reads what the admin API has, but for personal data.
        Reader = 0 "reader",
        /// Moderates reviews.
        Moderator = 1 "moderator",
        /// Changes the catalogue.
        Catalogue = 2 "catalogue",
        /// Does everything.
        Operator = 3 "operator",
        /// Fetches the store and its commits.
        Replica = 4 "replica",
    }
}

words! {
    /// What was done, in the audit log.
    AuditAction {
        /// A new review was held.
        Hold = 0 "hold",
        /// A review was given another state.
        Moderate = 1 "moderate",
        /// Reports hid a review.
        Report = 2 "report",
        /// A report was taken back, and the review shown again.
        Withdraw = 3 "withdraw",
        /// A hidden review was shown again.
        Restore = 4 "restore",
        /// The merchant's answer was set or removed.
        Respond = 5 "respond",
        /// A review was erased at once.
        Erase = 6 "erase",
        /// A removed review was erased, since its time was over.
        Expire = 7 "expire",
        /// An earlier action was undone.
        Undo = 8 "undo",
        /// A product of the catalogue was written.
        PutProduct = 9 "put_product",
        /// A product was removed from the catalogue.
        RemoveProduct = 10 "remove_product",
        /// A review was written from the shop's files.
        PutReview = 11 "put_review",
    }
}

impl ReviewState {
    /// The state of a review that a file says of whether it was reported.
    #[must_use]
    pub const fn of_reported(reported: bool) -> Self {
        if reported {
            Self::Hidden
        } else {
            Self::Published
        }
    }

    /// Returns true if the review summary of its product counts it: hidden reviews still count.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        matches!(self, Self::Published | Self::Hidden)
    }
}

/// The decision that gave a review its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// Its ground.
    pub reason: ReasonCode,
    /// The name of the actor that decided.
    pub by: &'a str,
}

/// The name and the role of a person or a program that asked for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name of a token or a certificate, or of what acted by itself, such as `reports`.
    pub name: String,
    /// Its role.
    pub role: Role,
}

impl Actor {
    /// The operator of a machine, who works on a store without a server.
    #[must_use]
    pub fn operator() -> Self {
        Self {
            name: "operator".to_owned(),
            role: Role::Operator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_number_leads_back_to_its_member() {
        for reason in ReasonCode::ALL.iter().copied() {
            assert_eq!(ReasonCode::of_number(reason.number()), Some(reason));
            assert_eq!(ReasonCode::of_word(reason.word()), Some(reason));
        }
        for state in ReviewState::ALL.iter().copied() {
            assert_eq!(ReviewState::of_number(state.number()), Some(state));
            assert_eq!(ReviewState::of_word(state.word()), Some(state));
        }
        for role in Role::ALL.iter().copied() {
            assert_eq!(Role::of_number(role.number()), Some(role));
            assert_eq!(Role::of_word(role.word()), Some(role));
        }
        for action in AuditAction::ALL.iter().copied() {
            assert_eq!(AuditAction::of_number(action.number()), Some(action));
            assert_eq!(AuditAction::of_word(action.word()), Some(action));
        }
        assert_eq!(ReviewState::of_number(4), None);
        assert_eq!(Role::of_word("admin"), None);
    }
}
