//! The parts of the memory for answers and bodies.
//!
//! Invariant: together they are what was given.

/// Bytes of the response budget that a small memory has all the same, if that is at most a sixth of it: a list of
/// a thousand long reviews fits in.
const BUDGET_BYTES_MIN: u64 = 8 << 20;

/// The memory for answers and for the bodies of requests, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerMemory {
    /// For the most requested answers, as they are sent.
    pub hot_bytes: u64,
    /// For the answers of the whole shop, compressed.
    pub resident_bytes: u64,
    /// For answers on their way that are not small.
    pub budget_bytes: u64,
    /// For the bodies of requests under way.
    pub body_bytes: u64,
}

impl AnswerMemory {
    /// Divides so many bytes. A compressed answer takes a sixth of the rendered one, and a tenth of the blocks
    /// with its rows, so most of the memory is for these.
    #[must_use]
    pub fn within(bytes: u64) -> Self {
        let budget_bytes = (bytes / 13).max(BUDGET_BYTES_MIN.min(bytes / 6));
        let body_bytes = budget_bytes / 4;
        let hot_bytes = bytes / 18;
        Self {
            hot_bytes,
            resident_bytes: bytes - budget_bytes - body_bytes - hot_bytes,
            budget_bytes,
            body_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_whole() {
        for bytes in [0, 1, 1 << 20, 53 << 20, 554 << 20, u64::MAX / 2] {
            let memory = AnswerMemory::within(bytes);
            let parts = [
                memory.hot_bytes,
                memory.resident_bytes,
                memory.budget_bytes,
                memory.body_bytes,
            ];
            assert_eq!(parts.iter().sum::<u64>(), bytes);
            assert!(memory.resident_bytes >= bytes / 100 * 70, "{bytes}");
        }
    }
}
