//! The closing table: what was written, how long it took, which products are hot.
//!
//! Owns the layout for a person to read and must not know how anything was
//! made. The totals are sums of the lines above them.

use std::fmt;
use std::time::Duration;

use crate::r#gen::files::FileReport;
use crate::r#gen::shape::Plan;
use crate::text::grouped;

/// Hot products named; there are up to a thousand.
const HOT_SHOWN_MAX: usize = 10;

pub(crate) struct Summary {
    files: Vec<FileReport>,
    hot: Vec<(u64, u64)>,
    took: Duration,
}

impl Summary {
    pub(crate) fn new(files: Vec<FileReport>, plan: &Plan, took: Duration) -> Self {
        Self {
            files,
            hot: plan.hot_products().take(HOT_SHOWN_MAX).collect(),
            took,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line =
            |name: &str, rows: &str, bytes: &str| writeln!(f, "{name:<28}{rows:>14}{bytes:>18}");
        line("file", "rows", "bytes")?;
        for file in &self.files {
            line(file.name, &grouped(file.rows), &grouped(file.bytes))?;
        }
        let rows = self.files.iter().map(|file| file.rows).sum();
        let bytes = self.files.iter().map(|file| file.bytes).sum();
        line("total", &grouped(rows), &grouped(bytes))?;
        writeln!(f, "{:.1} s", self.took.as_secs_f64())?;
        write!(f, "hot products (id: reviews)")?;
        for (index, &(id, reviews)) in self.hot.iter().enumerate() {
            let between = if index == 0 { "" } else { "," };
            write!(f, "{between} {id}: {}", grouped(reviews))?;
        }
        writeln!(f)
    }
}
