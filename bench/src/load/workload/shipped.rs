//! The workloads of `bench/workloads/`, which the program carries with it.

const SHIPPED: &[(&str, &str)] = &[
    ("hot", include_str!("../../../workloads/hot.toml")),
    ("knee", include_str!("../../../workloads/knee.toml")),
    ("list", include_str!("../../../workloads/list.toml")),
    ("meta", include_str!("../../../workloads/meta.toml")),
    ("mixed", include_str!("../../../workloads/mixed.toml")),
    ("pages", include_str!("../../../workloads/pages.toml")),
    ("popular", include_str!("../../../workloads/popular.toml")),
    ("posts", include_str!("../../../workloads/posts.toml")),
    ("ramp", include_str!("../../../workloads/ramp.toml")),
    (
        "throughput",
        include_str!("../../../workloads/throughput.toml"),
    ),
    ("votes", include_str!("../../../workloads/votes.toml")),
];

/// The names of all of them.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The file of this name.
pub(super) fn text(name: &str) -> Option<&'static str> {
    let mut shipped = SHIPPED.iter();
    shipped
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::workload::Workload;

    #[test]
    fn every_file_is_shipped_and_valid() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads");
        let mut files: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "toml")
            })
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        assert_eq!(files, names().collect::<Vec<_>>());
        for name in files {
            let workload = Workload::find(&name).unwrap();
            assert!(!workload.about.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_example_that_explains_the_keys_is_valid() {
        let page = include_str!("../../../workloads/README.md");
        let (_, example) = page.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let workload = Workload::parse("example", "README.md", example).unwrap();
        assert_eq!(workload.requests.len(), 3);
        // The other plans that it shows.
        let plan = |line: &str| {
            let shown = example.find(line).unwrap();
            let lines: Vec<&str> = example[shown..].lines().take(3).collect();
            let uncommented = lines.iter().map_while(|line| line.strip_prefix("# "));
            let table: Vec<&str> = uncommented
                .take(if line.contains("from") { 3 } else { 2 })
                .collect();
            let rest = "about = \"x\"\nrequest = [{ kind = \"list\" }]\n[plan]\n";
            Workload::parse("x", "x", &(rest.to_owned() + &table.join("\n"))).unwrap()
        };
        for line in ["# rates", "# from", "# closed"] {
            assert!(plan(line).requests.len() == 1);
        }
    }
}
