//! The system's metrics of this process, under the names that every exporter gives them.
//!
//! Values that the system does not report are left out.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::Exposition;

/// The running process.
#[derive(Debug)]
pub struct ProcessMetrics {
    start_s: f64,
}

impl ProcessMetrics {
    /// The process, with now as its start.
    #[must_use]
    pub fn starting_now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            start_s: now.unwrap_or_default().as_secs_f64(),
        }
    }

    /// Writes its metrics.
    pub fn describe(&self, page: &mut Exposition) {
        page.gauge(
            "process_start_time_seconds",
            "When the process started, since 1970.",
        )
        .value(self.start_s);
        if let Some(stat) = stat() {
            describe_stat(page, &stat);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            page.gauge("process_open_fds", "Open file descriptors.")
                // The descriptor that the directory is read through is no longer open when the number is
                // reported.
                .value((open.count() as u64).saturating_sub(1));
        }
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            page.gauge("process_max_fds", "File descriptors that may be open.")
                .value(limit);
        }
    }
}

/// The fields of `/proc/self/stat`, as its manual page numbers them.
struct ProcStat {
    cpu_ticks: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

fn stat() -> Option<ProcStat> {
    parse(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn parse(stat: &str) -> Option<ProcStat> {
    // The second field is the program's name in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // `rest` begins with the third field.
    let field = |number: usize| fields.get(number - 3)?.parse().ok();
    let (user, system): (u64, u64) = (field(14)?, field(15)?);
    Some(ProcStat {
        cpu_ticks: user.saturating_add(system),
        threads: field(20)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "hundredths of seconds of a process's life are far below 2^53"
)]
fn describe_stat(page: &mut Exposition, stat: &ProcStat) {
    page.counter("process_cpu_seconds_total", "CPU time, of user and system.")
        .value(stat.cpu_ticks as f64 / clock_ticks_per_second() as f64);
    page.gauge("process_threads", "Threads.")
        .value(stat.threads);
    page.gauge("process_virtual_memory_bytes", "Virtual memory.")
        .value(stat.virtual_bytes);
    page.gauge(
        "process_resident_memory_bytes",
        "Resident memory, including mapped files.",
    )
    .value(stat.resident_pages.saturating_mul(page_size() as u64));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_passed_over() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 9 0 100 8192 3 18 1\n";
        let stat = parse(stat).unwrap();
        assert_eq!((stat.cpu_ticks, stat.threads), (200, 9));
        assert_eq!((stat.virtual_bytes, stat.resident_pages), (8192, 3));
    }

    #[test]
    fn the_system_tells_of_this_process() {
        let stat = stat().unwrap();
        assert!(stat.threads > 0 && stat.resident_pages > 0);
    }
}
