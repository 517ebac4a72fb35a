//! The dates of new reviews, by a clock that may be set back, or jump.
//!
//! Must not know the clock, nor how a review is stored. Invariants: a review is never dated before the one
//! that was added before it, unless that one is more than [`AHEAD_MS_MAX`] ahead of the clock; no date is
//! further ahead of the clock; a jump of the clock, either way, is reported once.

use std::fmt;
use std::time::{Duration, Instant};

use crate::decoding::number;
use crate::error::Error;
use crate::key::{Family, IdKey, ReviewKey};
use crate::model::{ProductId, ReviewId};
use crate::rocks::Rocks;
use crate::value::decode_head;

/// The time for which reviews are dated alike when the clock was set back, and by which it may run ahead of
/// itself before that is a jump.
const AHEAD_MS_MAX: i64 = 60_000;
/// Ids that are looked at for the last review; the others were erased.
const IDS_MAX: u64 = 1000;

/// The date of the last review, and what the clock said when.
#[derive(Debug, Default)]
pub(crate) struct Dates {
    last_ms: Option<i64>,
    seen: Option<(Instant, i64)>,
}

/// A jump of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockJump {
    /// The last review is dated so much later than the clock says it is.
    Back(Duration),
    /// The clock went on by so much more than time did.
    Forward(Duration),
}

impl Dates {
    /// The dates behind that of the last review of a store, as far as it can be told: by the highest id.
    pub(crate) fn after_last(rocks: &Rocks, next_id: u64) -> Result<Self, Error> {
        let view = rocks.view();
        for id in (next_id.saturating_sub(IDS_MAX)..next_id).rev() {
            let id = ReviewId(id);
            let Some(owner) = view.get(Family::Owners, IdKey::from(id))? else {
                continue;
            };
            let product = ProductId(number(Family::Owners, &owner)?);
            let value = view.get(Family::Reviews, ReviewKey::new(product, id))?;
            // One that cannot be read is for `verify` to find.
            let head = value.and_then(|value| decode_head(&value).ok());
            return Ok(Self {
                last_ms: head.map(|head| head.date_ms),
                seen: None,
            });
        }
        Ok(Self::default())
    }

    /// Returns the date of reviews that are added now, and the jump that the clock has made since the last
    /// ones.
    pub(crate) fn next(&mut self, now_ms: i64, now: Instant) -> (i64, Option<ClockJump>) {
        let passed_ms = |since: Instant| i64::try_from(now.duration_since(since).as_millis());
        let expected = self
            .seen
            .map(|(since, said_ms)| said_ms.saturating_add(passed_ms(since).unwrap_or(i64::MAX)));
        self.seen = Some((now, now_ms));
        let ahead = expected.map_or(0, |expected| now_ms.saturating_sub(expected));
        let behind = self.last_ms.map_or(0, |last| last.saturating_sub(now_ms));
        let jump = if behind > AHEAD_MS_MAX {
            Some(ClockJump::Back(milliseconds(behind)))
        } else if ahead > AHEAD_MS_MAX {
            Some(ClockJump::Forward(milliseconds(ahead)))
        } else {
            None
        };
        let date_ms = if (1..=AHEAD_MS_MAX).contains(&behind) {
            now_ms + behind
        } else {
            now_ms
        };
        (date_ms, jump)
    }

    /// Notes that reviews were added with this date.
    pub(crate) fn used(&mut self, date_ms: i64) {
        self.last_ms = Some(date_ms);
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

impl fmt::Display for ClockJump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back(by) => write!(
                f,
                "the last review is dated {} s later than the machine's clock says; new ones are dated \
                 by the clock, and are listed after it",
                by.as_secs()
            ),
            Self::Forward(by) => write!(
                f,
                "the machine's clock jumped forward by {} s, and new reviews are dated by it; if it is \
                 wrong, correct it",
                by.as_secs()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const YEARS_300: i64 = 300 * 365 * 86_400_000;

    /// Dates one review after the other, at these times of the clock when so many seconds have passed.
    fn dated(times: &[(u64, i64)]) -> Vec<(i64, Option<ClockJump>)> {
        let begun = Instant::now();
        let mut dates = Dates::default();
        let date = |(passed, now_ms): &(u64, i64)| {
            let next = dates.next(*now_ms, begun + Duration::from_secs(*passed));
            dates.used(next.0);
            next
        };
        times.iter().map(date).collect()
    }

    #[test]
    fn a_clock_set_back_a_little_dates_no_review_before_the_last() {
        let dates = dated(&[
            (0, NOW),
            (1, NOW - 30_000),
            (2, NOW - 59_000),
            (90, NOW + 5),
        ]);
        let expected = [NOW, NOW, NOW, NOW + 5].map(|date| (date, None));
        assert_eq!(dates, expected);
    }

    #[test]
    fn a_review_of_a_far_future_drags_no_other_along() {
        let dates = dated(&[
            (0, NOW),
            (1, NOW + YEARS_300),
            (2, NOW + 2000),
            (3, NOW + 3000),
        ]);
        let jumped = |less_ms| milliseconds(YEARS_300 - less_ms);
        assert_eq!(dates[0], (NOW, None));
        let forward = ClockJump::Forward(jumped(1000));
        assert_eq!(dates[1], (NOW + YEARS_300, Some(forward)));
        let back = ClockJump::Back(jumped(2000));
        assert_eq!(dates[2], (NOW + 2000, Some(back)));
        assert_eq!(dates[3], (NOW + 3000, None));
    }

    #[test]
    fn time_that_passes_is_no_jump() {
        let day = 86_400;
        let dates = dated(&[(0, NOW), (day, NOW + 86_400_000 + 59_000)]);
        assert_eq!(dates[1], (NOW + 86_400_000 + 59_000, None));
    }
}
