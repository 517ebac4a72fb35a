//! What processes and their children use, as `/proc` says: where there is no control group to ask.
//!
//! Owns how `/proc` is read. Shared memory is counted in part for each process that shares it
//! (`Pss`), so that the sum is right.

use std::fs;

use super::cgroup::Used;

/// One process, from `/proc/ID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    id: u32,
    parent: u32,
    /// Its own time and that of children it has waited for, in ticks of the clock.
    ticks: u64,
}

/// Returns the resources that these processes and their descendants used.
pub(crate) fn used(roots: &[u32]) -> Used {
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let mut used = Used::default();
    for stat in family(&all(), roots) {
        used.cpu_us += stat.ticks * 1_000_000 / ticks_per_second;
        used.resident_bytes += resident(stat.id).unwrap_or_default();
    }
    used
}

fn all() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        parse(&fs::read_to_string(entry.path().join("stat")).ok()?)
    });
    stats.collect()
}

/// The processes of `all` that are among `roots` or descend from them.
fn family(all: &[Stat], roots: &[u32]) -> Vec<Stat> {
    let is_root = |stat: &&Stat| roots.contains(&stat.id);
    let mut found: Vec<Stat> = all.iter().filter(is_root).copied().collect();
    let mut at = 0;
    while let Some(parent) = found.get(at).map(|stat| stat.id) {
        found.extend(all.iter().filter(|stat| stat.parent == parent));
        at += 1;
    }
    found
}

/// The name stands in parentheses and may hold anything, so fields are counted from its end.
fn parse(stat: &str) -> Option<Stat> {
    let id = stat.split_once(' ')?.0.parse().ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // State, parent, …: utime, stime, cutime and cstime are 11 to 14 of these.
    let ticks = (11..=14).map(number).sum::<Option<u64>>()?;
    let parent = u32::try_from(number(1)?).ok()?;
    Some(Stat { id, parent, ticks })
}

fn resident(id: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    // File pages stand in Pss_File, and are the page cache's.
    let of = |key: &str| -> Option<u64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    Some((of("Pss_Anon:")? + of("Pss_Shmem:")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let text = "42 (a) b) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 1 0 99 1 1";
        let expected = Stat {
            id: 42,
            parent: 7,
            ticks: 124,
        };
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn a_family_is_all_generations_and_no_strangers() {
        let stat = |id, parent| Stat {
            id,
            parent,
            ticks: 1,
        };
        let all = [stat(9, 5), stat(5, 2), stat(2, 1), stat(3, 1), stat(6, 2)];
        let ids: Vec<u32> = family(&all, &[2]).iter().map(|stat| stat.id).collect();
        assert_eq!(ids, [2, 5, 6, 9]);
    }

    #[test]
    fn this_process_is_found_and_uses_memory() {
        assert!(used(&[std::process::id()]).resident_bytes > 100_000);
    }
}
