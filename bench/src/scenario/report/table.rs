//! Tables: the claims beside the measurements, and how any table is laid out.
//!
//! Owns which columns there are and how a figure is written. It must not change one.

use crate::scenario::peers::Server;
use crate::scenario::results::{
    Attached, Cache, Figures, Import, Measured, Phase, Replicated, Report, Scenario,
};
use crate::text::grouped;

/// The servers that have a column in the comparison.
const COLUMNS: [Server; 3] = [Server::Reviewsd, Server::Express, Server::ExpressCached];
/// The cell without a figure.
const NONE: &str = "–";
/// The widest a column gets on a terminal.
const TERMINAL_CHARS_MAX: usize = 44;

/// Cells of text; a cell may have several lines.
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<Vec<String>>>,
}

/// Returns the table of published and measured figures.
pub(crate) fn main(report: &Report) -> Table {
    let mut head = vec!["scenario".to_owned(), "published, on how much".to_owned()];
    head.extend(COLUMNS.map(|server| server.label().to_owned()));
    let mut rows = Vec::new();
    for scenario in report
        .scenarios
        .iter()
        .filter(|scenario| !scenario.claim.is_empty())
    {
        let mut row = vec![
            vec![scenario.name.clone(), scenario.about.clone()],
            vec![scenario.claim.clone(), format!("({})", scenario.stack)],
        ];
        row.extend(COLUMNS.map(|server| outcome(scenario, server)));
        rows.push(row);
    }
    Table { head, rows }
}

/// Returns the table of what a second of CPU time gives, and of the memory that it takes.
pub(crate) fn price(report: &Report) -> Table {
    let mut head = vec!["scenario".to_owned()];
    head.extend(COLUMNS.map(|server| server.label().to_owned()));
    let mut rows = Vec::new();
    for scenario in report
        .scenarios
        .iter()
        .filter(|scenario| !scenario.claim.is_empty())
    {
        let cell = |server| {
            let highest = find(scenario, server).and_then(Measured::highest);
            line(&highest.map_or_else(
                || NONE.to_owned(),
                |Phase { usage, .. }| {
                    let answers = count(usage.requests_per_cpu_second);
                    format!("{answers} in {}", bytes(usage.resident_bytes))
                },
            ))
        };
        let mut row = vec![line(&scenario.name)];
        row.extend(COLUMNS.map(cell));
        rows.push(row);
    }
    Table { head, rows }
}

/// Returns the table of the times of imports and of the stores' bytes on disk.
pub(crate) fn imports(scenario: &Scenario, csv_bytes: u64) -> Table {
    let head = [
        "",
        "on",
        "time",
        "CPU time",
        "memory",
        "on the disk",
        "of the CSV files",
    ];
    let mut rows = Vec::new();
    for server in &scenario.servers {
        for import in &server.imports {
            rows.push(import_row(server.server.label(), import, csv_bytes));
        }
        if let Some(why) = absence(server) {
            rows.push(absent_row(server, why, head.len()));
        }
    }
    table(&head, rows)
}

/// Every phase of every server of a scenario.
pub(crate) fn details(scenario: &Scenario) -> Table {
    let head = [
        "",
        "cache",
        "asked",
        "right",
        "errors",
        "p50",
        "p99",
        "max",
        "CPU",
        "answers a CPU second",
        "memory",
        "page cache",
    ];
    let mut rows = Vec::new();
    for server in &scenario.servers {
        for phase in &server.phases {
            let label = server.server.label();
            rows.extend(
                phase
                    .steps
                    .iter()
                    .map(|step| figures_row(label, phase.cache, step, head.len())),
            );
            rows.push(phase_row(label, phase));
        }
        if let Some(why) = absence(server) {
            rows.push(absent_row(server, why, head.len()));
        }
    }
    table(&head, rows)
}

/// Reads with writes beside them, pair by pair.
pub(crate) fn pairs(scenario: &Scenario) -> Table {
    let head = [
        "",
        "reads alone",
        "reads beside writes",
        "share",
        "writes",
        "their p99",
        "errors",
    ];
    let mut rows = Vec::new();
    for server in &scenario.servers {
        for pair in &server.pairs {
            rows.push(vec![
                line(server.server.label()),
                line(&rate(pair.alone_per_second)),
                line(&rate(pair.beside_per_second)),
                line(&format!(
                    "{:.2}",
                    pair.beside_per_second / pair.alone_per_second
                )),
                line(&rate(pair.writes_per_second)),
                line(&ms(pair.writes_p99_ms)),
                line(&grouped(pair.errors)),
            ]);
        }
        if let Some(share) = server.share_under_writes() {
            let share = format!("**{share:.2}**");
            let label = server.server.label();
            rows.push(
                [label, "", "the median", &share, "", "", ""]
                    .map(line)
                    .to_vec(),
            );
        }
        if let Some(why) = absence(server) {
            rows.push(absent_row(server, why, head.len()));
        }
    }
    table(&head, rows)
}

/// A primary and its copies.
pub(crate) fn copies(replicated: &Replicated) -> Table {
    let seconds = |seconds: f64| format!("{seconds:.1} s");
    let share = |all: &[Attached]| {
        let pairs: Vec<String> = all
            .iter()
            .map(|one| {
                format!(
                    "{} of {}",
                    rate(one.with_per_second),
                    rate(one.without_per_second)
                )
            })
            .collect();
        format!("**{:.2}** ({})", Attached::share(all), pairs.join("; "))
    };
    let lag = format!(
        "p50 {}, p99 {}, at most {}, of {} writes",
        ms(replicated.lag_p50_ms),
        ms(replicated.lag_p99_ms),
        ms(replicated.lag_max_ms),
        replicated.lag_samples
    );
    let written = rate(replicated.writes_per_second);
    let rows = [
        (format!("lag, while {written} are written"), lag),
        (
            format!(
                "catching up on {} writes",
                grouped(replicated.catch_up_writes)
            ),
            rate(replicated.catch_up_writes_per_second),
        ),
        (
            format!("a copy from nothing, of {}", bytes(replicated.store_bytes)),
            format!(
                "{}, **{:.1}** times a plain copy of the files ({})",
                seconds(replicated.bootstrap_seconds),
                replicated.bootstrap_seconds / replicated.plain_copy_seconds,
                seconds(replicated.plain_copy_seconds)
            ),
        ),
        (
            format!(
                "reads of the primary with {} copies, of those without",
                replicated.copies
            ),
            share(&replicated.alone),
        ),
        (
            format!("the same while {written} are written"),
            share(&replicated.beside),
        ),
        (
            "memory of a copy, at most".to_owned(),
            format!(
                "{}, and {} of page cache",
                bytes(replicated.resident_bytes),
                bytes(replicated.page_cache_bytes)
            ),
        ),
    ];
    let rows = rows
        .into_iter()
        .map(|(what, figure)| vec![vec![what], vec![figure]]);
    table(&["", ""], rows.collect())
}

fn table(head: &[&str], rows: Vec<Vec<Vec<String>>>) -> Table {
    let head = head.iter().map(|column| (*column).to_owned()).collect();
    Table { head, rows }
}

fn line(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn find(scenario: &Scenario, server: Server) -> Option<&Measured> {
    scenario.servers.iter().find(|one| one.server == server)
}

fn absence(server: &Measured) -> Option<String> {
    let skipped = server
        .skipped
        .as_ref()
        .map(|why| format!("left out: {why}"));
    skipped.or_else(|| server.failed.as_ref().map(|why| format!("failed: {why}")))
}

fn absent_row(server: &Measured, why: String, columns: usize) -> Vec<Vec<String>> {
    let mut row = vec![line(server.server.label()), vec![why]];
    row.resize(columns, line(""));
    row
}

fn import_row(label: &str, import: &Import, csv_bytes: u64) -> Vec<Vec<String>> {
    let on = match &import.earlier {
        None => import.on.clone(),
        Some(date) => format!("{}, on {date}", import.on),
    };
    vec![
        line(label),
        vec![on],
        line(&format!("{:.0} s", import.seconds)),
        line(&format!("{:.0} s", import.cpu_seconds)),
        line(&bytes(import.resident_bytes)),
        line(&bytes(import.bytes)),
        line(&percent(ratio(import.bytes, csv_bytes))),
    ]
}

/// All of a phase: where it had steps, of all of them together.
fn phase_row(label: &str, phase: &Phase) -> Vec<Vec<String>> {
    let usage = &phase.usage;
    let used = [
        line(&format!("{:.1} s", usage.cpu_seconds)),
        line(&count(usage.requests_per_cpu_second)),
        line(&bytes(usage.resident_bytes)),
        line(&bytes(usage.page_cache_bytes)),
    ];
    let mut row = figures_row(label, phase.cache, &phase.figures, 0);
    if !phase.steps.is_empty()
        && let Some(asked) = row.get_mut(2)
    {
        *asked = line("all of them");
    }
    row.extend(used);
    row
}

/// Returns a row of the load generator's figures, with empty cells for the rest.
fn figures_row(label: &str, cache: Cache, figures: &Figures, columns: usize) -> Vec<Vec<String>> {
    let asked = figures
        .planned_per_second
        .map_or_else(|| "as fast as answered".to_owned(), rate);
    let generator = if figures.limited_by_generator {
        " \\*"
    } else {
        ""
    };
    let mut row = vec![
        line(label),
        line(match cache {
            Cache::Cold => "cold",
            Cache::Warm => "warm",
        }),
        line(&asked),
        line(&format!("{}{generator}", rate(figures.right_per_second))),
        line(&errors(figures)),
        line(&ms(figures.p50_ms)),
        line(&ms(figures.p99_ms)),
        line(&ms(figures.max_ms)),
    ];
    row.resize(columns.max(row.len()), line(""));
    row
}

/// Returns the outcome of a scenario on a server: each published rate, and the highest there is.
fn outcome(scenario: &Scenario, server: Server) -> Vec<String> {
    let Some(measured) = find(scenario, server) else {
        return line(NONE);
    };
    if let Some(why) = absence(measured) {
        return vec![why];
    }
    let mut lines: Vec<String> = measured.phases.iter().filter_map(kept).collect();
    if let Some(highest) = measured.highest() {
        lines.push(format!(
            "at most {}",
            rate(highest.figures.right_per_second)
        ));
    }
    lines
}

/// Returns how a rate was kept.
fn kept(phase: &Phase) -> Option<String> {
    let figures = &phase.figures;
    let planned = rate(figures.planned_per_second?);
    let cache = match phase.cache {
        Cache::Cold => ", cold",
        Cache::Warm => "",
    };
    Some(if figures.held == Some(true) {
        let (p50, p99) = (ms(figures.p50_ms), ms(figures.p99_ms));
        format!(
            "{planned}{cache}: {p50}, p99 {p99}, {} errors",
            errors(figures)
        )
    } else {
        format!(
            "{planned}{cache}: not held, {} answered",
            rate(figures.right_per_second)
        )
    })
}

fn errors(figures: &Figures) -> String {
    percent(figures.error_share())
}

/// A share as published ones are written; what is not nothing does not look like it.
fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        share if share < 0.001 => "< 0.001 %".to_owned(),
        share if share < 0.1 => format!("{share:.3} %"),
        share if share < 10.0 => format!("{share:.1} %"),
        share => format!("{share:.0} %"),
    }
}

/// A rate, with the three digits that mean something.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", count(per_second))
}

/// A number, with the three digits that mean something.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rounded number that is not negative"
)]
pub(crate) fn count(number: f64) -> String {
    let digits = number.max(1.0).log10().floor();
    let unit = 10_f64.powf((digits - 2.0).max(0.0));
    grouped(((number / unit).round() * unit) as u64)
}

/// Milliseconds, with two digits or more.
pub(crate) fn ms(ms: f64) -> String {
    format!("{} ms", number(ms))
}

fn number(number: f64) -> String {
    if number < 1.0 {
        format!("{number:.2}")
    } else if number < 10.0 {
        format!("{number:.1}")
    } else {
        count(number)
    }
}

/// Bytes, with the three digits that mean something.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes < 1e9 {
        format!("{} MB", number(bytes / 1e6))
    } else {
        format!("{:.2} GB", bytes / 1e9)
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A table as Markdown has it.
pub(crate) fn markdown(table: &Table) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(table.head.clone());
    text.push_str(&row(table.head.iter().map(|_| "---".to_owned()).collect()));
    for cells in &table.rows {
        let cells = cells
            .iter()
            .map(|lines| lines.join("<br>").replace('|', "\\|"));
        text.push_str(&row(cells.collect()));
    }
    text
}

/// A table as a terminal has it: lines that are too long go on below.
pub(crate) fn terminal(table: &Table) -> String {
    let mut rows: Vec<Vec<Vec<String>>> = vec![table.head.iter().map(|cell| line(cell)).collect()];
    rows.extend(table.rows.iter().map(|row| {
        row.iter()
            .map(|lines| lines.iter().flat_map(|line| wrapped(line)).collect())
            .collect()
    }));
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).flatten();
        cells.map(|line| line.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.head.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let height = row.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..height {
            for (cell, width) in row.iter().zip(&widths) {
                let line = cell.get(at).map_or("", String::as_str);
                let gap = width - line.chars().count() + 2;
                text.push_str(line);
                text.extend(std::iter::repeat_n(' ', gap));
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let length = lines.last().map_or(0, |line| line.chars().count());
        if length > 0 && length + 1 + word.chars().count() > TERMINAL_CHARS_MAX {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        assert_eq!(
            [0.4, 12.0, 999.6, 41_349.0].map(count),
            ["0", "12", "1,000", "41,300"]
        );
        assert_eq!(rate(1000.2), "1,000/s");
        assert_eq!(
            [0.254, 1.26, 12.6, 3326.0].map(ms),
            ["0.25 ms", "1.3 ms", "13 ms", "3,330 ms"]
        );
        assert_eq!(
            [280_400_000, 2_170_000_000].map(bytes),
            ["280 MB", "2.17 GB"]
        );
    }

    #[test]
    fn few_errors_are_not_none() {
        let shares = [0.0, 0.000_001, 0.000_03, 0.013, 0.084, 0.5];
        let shown = ["0 %", "< 0.001 %", "0.003 %", "1.3 %", "8.4 %", "50 %"];
        assert_eq!(shares.map(percent), shown);
    }

    #[test]
    fn a_terminal_breaks_long_lines_between_words() {
        let long = "one two three four five six seven eight nine ten eleven";
        let table = table(&["a", "b"], vec![vec![line(long), line("x")]]);
        assert_eq!(
            terminal(&table),
            "a                                             b\n\n\
             one two three four five six seven eight nine  x\nten eleven\n\n"
        );
    }
}
