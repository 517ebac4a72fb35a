//! Logs as RocksDB writes them, damaged in every way there is.

use super::*;
use crate::memory::CommitBytes;

/// A log as RocksDB writes it.
#[derive(Default, Clone)]
struct TestLog {
    bytes: Vec<u8>,
    /// The offset at which each record ends.
    ends: Vec<usize>,
}

impl TestLog {
    fn add(&mut self, mut record: &[u8]) {
        let mut is_first = true;
        loop {
            let left = BLOCK_BYTES - self.bytes.len() % BLOCK_BYTES;
            if left < HEADER_BYTES {
                self.bytes.resize(self.bytes.len() + left, 0);
                continue;
            }
            let room = record.len().min(left - HEADER_BYTES);
            let (piece, rest) = record.split_at(room);
            let kind = match (is_first, rest.is_empty()) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            let hashed = [&[kind], piece].concat();
            self.bytes.extend(masked(crc32c(&hashed)).to_le_bytes());
            self.bytes
                .extend(u16::try_from(room).unwrap().to_le_bytes());
            self.bytes.extend(hashed);
            (record, is_first) = (rest, false);
            if record.is_empty() {
                break;
            }
        }
        self.ends.push(self.bytes.len());
    }
}

/// Logs of so many commits each, which follow each other, and the position behind each commit.
fn logs_of(commits: &[usize]) -> (Vec<TestLog>, Vec<LogPosition>) {
    let (mut at, mut logs, mut path) = (LogPosition::genesis(3), Vec::new(), Vec::new());
    for commits in commits {
        let mut log = TestLog::default();
        for n in 0..*commits {
            let mut commit = CommitBytes::begin(at, 1);
            commit.put(1, &[7; 16], &vec![b'x'; 900 + 37 * n]);
            let batch = commit.end();
            log.add(&batch);
            at = ParsedCommit::read(&batch).unwrap().after;
            path.push(at);
        }
        logs.push(log);
    }
    (logs, path)
}

fn surveyed(logs: &[Option<&TestLog>]) -> LogSurvey {
    let dir = tempfile::tempdir().unwrap();
    for (number, log) in (4..).step_by(2).zip(logs) {
        if let Some(log) = log {
            fs::write(path_of(dir.path(), number), &log.bytes).unwrap();
        }
    }
    survey(dir.path()).unwrap()
}

#[test]
fn the_checksum_is_that_of_rocksdb() {
    // As in RFC 3720, B.4; and RocksDB's own test of its mask.
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_ne!(masked(crc32c(b"foo")), crc32c(b"foo"));
}

#[test]
fn sound_logs_lead_to_their_last_commit() {
    let (logs, path) = logs_of(&[60, 50]);
    let all: Vec<_> = logs.iter().map(Some).collect();
    let survey = surveyed(&all);
    assert_eq!(survey.end, path.last().copied());
    assert_eq!((survey.damage, survey.goes_on), (None, false));
    assert_eq!(surveyed(&[]), LogSurvey::default());
}

#[test]
fn any_flipped_bit_is_found_where_it_is() {
    let (logs, path) = logs_of(&[70]);
    let log = &logs[0];
    for place in (0..log.bytes.len()).step_by(997) {
        // The bytes behind the last piece of a block are never read.
        let is_padding = BLOCK_BYTES - place % BLOCK_BYTES < HEADER_BYTES
            && log.bytes[place..].first() == Some(&0);
        if is_padding {
            continue;
        }
        let mut damaged = log.clone();
        damaged.bytes[place] ^= 0x10;
        let survey = surveyed(&[Some(&damaged)]);
        let whole = log.ends.partition_point(|end| *end <= place);
        let last = whole.checked_sub(1);
        assert_eq!(survey.end, last.map(|last| path[last]), "at {place}");
        let damage = survey.damage.unwrap();
        let sound = last.map_or(0, |last| log.ends[last]);
        assert_eq!((damage.log, damage.sound_bytes), (4, sound as u64));
        assert_eq!(survey.goes_on, whole + 1 < path.len(), "at {place}");
    }
}

#[test]
fn a_cut_is_a_write_that_did_not_end() {
    let (logs, path) = logs_of(&[40]);
    for length in (0..logs[0].bytes.len()).step_by(613) {
        for zeros in [0, 5000] {
            let mut cut = logs[0].clone();
            cut.bytes.truncate(length);
            cut.bytes.resize(length + zeros, 0);
            let survey = surveyed(&[Some(&cut)]);
            let whole = cut.ends.partition_point(|end| *end <= length);
            let last = whole.checked_sub(1);
            assert_eq!(survey.end, last.map(|last| path[last]));
            assert!(!survey.goes_on, "cut at {length}");
        }
    }
}

#[test]
fn zeros_over_whole_records_are_a_gap() {
    let (logs, path) = logs_of(&[40]);
    let mut holed = logs[0].clone();
    holed.bytes[logs[0].ends[4]..logs[0].ends[9]].fill(0);
    let survey = surveyed(&[Some(&holed)]);
    assert_eq!((survey.end, survey.goes_on), (Some(path[4]), true));
    assert!(survey.damage.unwrap().why.contains("commits are missing"));
}

#[test]
fn a_cut_log_is_sound_when_the_next_one_continues() {
    let (logs, path) = logs_of(&[20, 20]);
    let mut torn = logs[0].clone();
    let more = logs_of(&[21]).0.remove(0);
    torn.bytes
        .extend(&more.bytes[torn.bytes.len()..more.bytes.len() - 30]);
    let survey = surveyed(&[Some(&torn), Some(&logs[1])]);
    assert_eq!((survey.end, survey.damage), (path.last().copied(), None));
    // Not so where a commit of it is missing.
    torn.bytes.truncate(logs[0].ends[18] + 30);
    let survey = surveyed(&[Some(&torn), Some(&logs[1])]);
    assert_eq!((survey.end, survey.goes_on), (Some(path[18]), true));
}

#[test]
fn swapped_logs_are_a_gap() {
    let (logs, _) = logs_of(&[20, 20, 20]);
    let swapped = [Some(&logs[0]), Some(&logs[2]), Some(&logs[1])];
    let survey = surveyed(&swapped);
    assert_eq!((survey.end, survey.goes_on), (None, true));
    let damage = survey.damage.unwrap();
    assert_eq!((damage.log, damage.sound_bytes), (4, 0));
    assert!(damage.why.contains("out of order"));
}

#[test]
fn damaged_logs_are_kept_before_they_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    for number in [4, 6, 8] {
        fs::write(path_of(dir.path(), number), [0; 100]).unwrap();
    }
    let damage = LogDamage {
        log: 6,
        sound_bytes: 40,
        why: String::new(),
    };
    for _ in 0..2 {
        let aside = set_aside(dir.path(), &damage).unwrap();
        assert!(path_of(&aside, 6).exists());
    }
    assert_eq!(logs(dir.path()).unwrap(), [4, 6]);
    assert_eq!(fs::read(path_of(dir.path(), 6)).unwrap().len(), 40);
    let first = dir.path().join("damaged-log-0");
    assert_eq!(logs(&first).unwrap(), [4, 6, 8]);
    assert_eq!(fs::read(path_of(&first, 6)).unwrap().len(), 100);
}
