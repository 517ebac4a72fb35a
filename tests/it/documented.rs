//! The documents: the names in them exist, their commands are run, and each page has one reader.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use reviewsd::cli::Cli;

/// README.md has at most two screens.
const README_BYTES_MAX: usize = 8 << 10;
/// The place of the repository's root in an installed package, for documents.
const INSTALLED: &str = "/usr/share/doc/reviewsd/";
/// The suffixes of the series of a histogram.
const SERIES: [&str; 3] = ["_bucket", "_sum", "_count"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every file below a directory whose name has this ending, by its path from the root.
fn files(dir: &str, ending: &str) -> Vec<String> {
    let (mut found, mut dirs) = (Vec::new(), vec![root().join(dir)]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
            if path.is_dir() {
                dirs.push(path);
            } else if name.ends_with(ending) {
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every page for users and engineers, with its text, by its path from the root.
fn pages() -> BTreeMap<String, String> {
    let tops = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned);
    let names = files("docs", ".md").into_iter().chain(tops);
    let pages: BTreeMap<_, _> = names.map(|name| (name.clone(), file(&name))).collect();
    assert!(pages.len() > 30, "the pages were not found");
    pages
}

/// A block between fences.
struct Block {
    language: String,
    lines: Vec<String>,
}

/// The blocks of a page, and its other lines.
fn parts(text: &str) -> (Vec<Block>, Vec<&str>) {
    let (mut blocks, mut prose) = (Vec::<Block>::new(), Vec::new());
    let mut is_open = false;
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            if !is_open {
                let language = language.to_owned();
                blocks.push(Block {
                    language,
                    lines: Vec::new(),
                });
            }
            is_open = !is_open;
        } else if is_open {
            blocks
                .last_mut()
                .unwrap()
                .lines
                .push(line.trim().to_owned());
        } else {
            prose.push(line);
        }
    }
    assert!(!is_open, "a block does not end");
    (blocks, prose)
}

impl Block {
    fn is_of_commands(&self) -> bool {
        ["sh", "console"].contains(&self.language.as_str())
    }

    /// The commands, each as one line.
    fn commands(&self) -> String {
        let lines = self.lines.iter().map(String::as_str);
        let commands: Vec<&str> = if self.language == "console" {
            lines.filter_map(|line| line.strip_prefix("$ ")).collect()
        } else {
            lines.collect()
        };
        commands.join("\n").replace("\\\n", " ")
    }
}

/// The texts between backquotes, over the ends of lines, too.
fn spans(prose: &[&str]) -> Vec<String> {
    let text = prose.join("\n");
    let paragraphs = text.split("\n\n");
    let spans = paragraphs.flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    spans.map(|span| span.replace('\n', " ")).collect()
}

/// The pieces of a page that are code: commands, and texts between backquotes.
fn code(text: &str) -> Vec<String> {
    let (blocks, prose) = parts(text);
    let commands = blocks.iter().filter(|block| block.is_of_commands());
    let commands = commands.flat_map(|block| {
        let commands = block.commands();
        commands.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    commands.chain(spans(&prose)).collect()
}

/// The words of a text that consist of letters, digits and these.
fn words<'t>(text: &'t str, others: &'t str) -> impl Iterator<Item = &'t str> {
    text.split(move |c: char| !c.is_ascii_alphanumeric() && !others.contains(c))
}

#[test]
fn every_command_block_is_run_or_has_a_reason_not_to_be() {
    let script = file("systemd/tests/documented.sh");
    let booted = file("systemd/tests/booted.sh");
    let (_, table) = script.split_once("<<'TABLE'\n").unwrap();
    let (table, _) = table.split_once("\nTABLE\n").unwrap();
    let mut listed = BTreeSet::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let (page, number) = (fields[0], fields[1]);
        let key = (format!("{page}.md"), number.parse().unwrap());
        assert!(listed.insert(key), "{line} is there twice");
        match fields[2..] {
            ["run"] => {
                let once = format!("documented {page} {number}\n");
                let serving = format!("served {page} {number} ");
                assert!(
                    booted.contains(&once) || booted.contains(&serving),
                    "booted.sh lacks {once}"
                );
            }
            ["not", reason] => assert!(reason.len() > 20, "{line}"),
            _ => panic!("{line}"),
        }
    }
    let mut written = BTreeSet::new();
    for (name, text) in pages() {
        let (blocks, _) = parts(&text);
        let commands = blocks.iter().filter(|block| block.is_of_commands());
        written.extend(
            (1..)
                .zip(commands)
                .map(|(number, _)| (name.clone(), number)),
        );
    }
    assert!(written.len() > 40);
    assert_eq!(listed, written);
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let (_, prose) = parts(text);
    let headings = prose.iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

/// The targets of the links and pictures of a page.
fn links(text: &str) -> Vec<String> {
    let (_, prose) = parts(text);
    let text = prose.join("\n");
    let outside: Vec<&str> = text.split('`').step_by(2).collect();
    let text = outside.join("``");
    let links = text.split("](").skip(1);
    links
        .map(|rest| rest.split_once(')').unwrap().0.to_owned())
        .collect()
}

/// A path without `..` in it.
fn resolved(path: &Path) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            assert!(resolved.pop(), "{} leads out", path.display());
        } else {
            resolved.push(part);
        }
    }
    resolved
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut broken = Vec::new();
    let mut count = 0;
    for (name, text) in pages() {
        for link in links(&text) {
            if link.starts_with("https://") {
                continue;
            }
            count += 1;
            let (path, wanted) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() {
                PathBuf::from(&name)
            } else {
                resolved(&Path::new(&name).parent().unwrap().join(path))
            };
            let target = root().join(target);
            let is_there = target.exists()
                && (wanted.is_empty()
                    || anchors(&fs::read_to_string(&target).unwrap()).contains(wanted));
            if !is_there {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(count > 150, "the links were not found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let pages = pages();
    let (mut reached, mut next) = (BTreeSet::new(), vec!["README.md".to_owned()]);
    while let Some(name) = next.pop() {
        if !reached.insert(name.clone()) {
            continue;
        }
        for link in links(&pages[&name]) {
            let (path, _) = link.split_once('#').unwrap_or((&link, ""));
            let target = Path::new(&name).parent().unwrap().join(path);
            if !link.contains("://") {
                let target = resolved(&target).to_str().unwrap().to_owned();
                next.extend(pages.contains_key(&target).then_some(target));
            }
        }
    }
    let all: BTreeSet<String> = pages.into_keys().collect();
    assert_eq!(reached, all);
}

#[test]
fn every_page_names_its_reader_at_its_head() {
    for (name, text) in pages() {
        if ["README.md", "CHANGELOG.md"].contains(&name.as_str()) {
            continue;
        }
        let lines: Vec<&str> = text.lines().take(3).collect();
        let is_named = lines[0].starts_with("# ") && lines[2].starts_with("For ");
        assert!(is_named, "{name} begins with {lines:?}");
    }
}

#[test]
fn a_runbook_has_numbered_steps_and_nothing_else() {
    for name in files("docs/runbooks", ".md") {
        let text = file(&name);
        let (_, steps) = text.split_once("\n1. ").unwrap();
        let (_, prose) = parts(steps);
        for line in prose.into_iter().skip(1).filter(|line| !line.is_empty()) {
            let is_step = line.starts_with(|c: char| c.is_ascii_digit() || c == ' ');
            assert!(is_step, "{name}: {line}");
        }
    }
}

#[test]
fn the_readme_fits_two_screens() {
    let bytes = file("README.md").len();
    assert!(bytes <= README_BYTES_MAX, "{bytes}");
}

/// The words of each command line behind `reviewsd`, up to its end.
fn arguments(piece: &str) -> Vec<Vec<&str>> {
    let ends = ["|", "&&", ";", ">", "#", "&"];
    // Behind the user and the unit of that name stands something else.
    let is_argument = |word: &&str| {
        let name = word.strip_prefix("--").unwrap_or(word);
        name.starts_with(|c: char| c.is_ascii_lowercase())
    };
    let mut commands = Vec::new();
    let mut words = piece.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let program = word.trim_start_matches(['(', '<', '$']);
        let is_program = program == "reviewsd" || program.ends_with("release/reviewsd");
        if is_program && words.peek().is_some_and(is_argument) {
            let mut found = Vec::new();
            while let Some(word) = words.next_if(|word| !ends.contains(word)) {
                found.push(word.trim_end_matches([';', ')', ',']));
            }
            commands.push(found);
        }
    }
    commands
}

#[test]
fn commands_and_flags_of_the_documents_exist() {
    let mut program = Cli::described();
    program.build();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, text) in pages() {
        // Text about the past may name deleted things.
        if name == "CHANGELOG.md" {
            continue;
        }
        for piece in code(&text) {
            for words in arguments(&piece) {
                let Some(first) = words.first() else { continue };
                let by_name = program.find_subcommand(first);
                let is_ours = first.starts_with("--") || by_name.is_some();
                if !is_ours {
                    wrong.push(format!("{name}: no command {first} in {piece}"));
                    continue;
                }
                count += 1;
                let command = by_name.unwrap_or(&program);
                let inner = words.get(1).and_then(|word| command.find_subcommand(word));
                let command = inner.unwrap_or(command);
                let flags = words.iter().filter_map(|word| word.strip_prefix("--"));
                for flag in flags.map(|flag| flag.split('=').next().unwrap()) {
                    let mut known = command.get_arguments();
                    if !known.any(|known| known.get_long() == Some(flag)) {
                        wrong.push(format!("{name}: {first} has no --{flag}"));
                    }
                }
            }
        }
    }
    assert!(count > 60, "the commands were not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn keys_and_metrics_of_the_documents_exist() {
    let (keys, metrics) = (
        file("docs/reference/configuration.md"),
        file("docs/reference/metrics.md"),
    );
    let sections: Vec<&str> = keys
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, text) in pages() {
        if name == "CHANGELOG.md" {
            continue;
        }
        for piece in code(&text) {
            for word in words(&piece, "_.-/@") {
                let word = word.trim_end_matches('.');
                if let Some((section, rest)) = word.split_once('.')
                    && sections.contains(&section)
                    && !["rs", "toml", "md"].contains(&rest)
                {
                    count += 1;
                    if !keys.contains(&format!("| `{word}` |")) {
                        wrong.push(format!("{name}: no key {word}"));
                    }
                } else if word.starts_with("reviewsd_") && !word.contains('.') {
                    count += 1;
                    let mut bases = SERIES.iter().filter_map(|end| word.strip_suffix(end));
                    let is_there = |of: &str| metrics.contains(&format!("| `{of}` |"));
                    if !is_there(word) && !bases.any(is_there) && !word.ends_with("_seq") {
                        wrong.push(format!("{name}: no metric {word}"));
                    }
                }
            }
        }
    }
    assert!(count > 200, "the keys were not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn units_of_the_documents_exist() {
    let mut count = 0;
    for (name, text) in pages() {
        for word in words(&text, "-@.") {
            let is_unit = [".service", ".socket", ".timer"]
                .iter()
                .any(|end| word.ends_with(end));
            if word.starts_with("reviewsd") && is_unit {
                count += 1;
                let unit = root().join("systemd").join(word);
                assert!(unit.exists(), "{name}: no unit {word}");
            }
        }
        for piece in code(&text) {
            if !piece.contains("systemctl") && !piece.contains("journalctl") {
                continue;
            }
            for word in words(&piece, "-@.").filter(|word| word.starts_with("reviewsd")) {
                count += 1;
                let (unit, ending) = match word.split_once('.') {
                    Some((unit, ending)) => (unit, ending),
                    None => (word, "service"),
                };
                let template = unit
                    .split_once('@')
                    .map_or(unit.to_owned(), |(of, _)| format!("{of}@"));
                // `reviewsd-backup*` of a pattern.
                let unit = template.trim_end_matches('-');
                let unit = root().join("systemd").join(format!("{unit}.{ending}"));
                assert!(unit.exists(), "{name}: no unit {word} in {piece}");
            }
        }
    }
    assert!(count > 50, "the units were not found");
}

/// The texts of the program: its sources, with continued lines joined.
fn sources() -> String {
    let names = files("src", ".rs")
        .into_iter()
        .chain(files("import/src", ".rs"));
    let mut texts = String::new();
    for name in names {
        let text = file(&name);
        let mut pieces = text.split("\\\n");
        texts.push_str(pieces.next().unwrap());
        pieces.for_each(|piece| texts.push_str(piece.trim_start()));
    }
    texts + &file("Makefile")
}

#[test]
fn messages_in_the_troubleshooting_page_are_the_programs() {
    let sources = sources();
    let page = file("docs/operating/troubleshooting.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut count = 0;
    for row in rows {
        let cell = row.split(" | ").next().unwrap();
        for message in cell.split('`').skip(1).step_by(2) {
            // These are the system's.
            if [
                "No space left on device",
                "Permission denied",
                "/var/lib/reviewsd",
                "Watchdog timeout",
            ]
            .contains(&message)
            {
                continue;
            }
            count += 1;
            for piece in message.split('…').map(str::trim) {
                assert!(
                    sources.contains(piece),
                    "nothing says {piece:?} ({message})"
                );
            }
        }
    }
    assert!(count > 25, "the messages were not found");
}

#[test]
fn every_command_and_its_documents_name_each_other() {
    let mut program = Cli::described();
    let commands = program.get_subcommands();
    let names: Vec<String> = commands
        .map(|command| command.get_name().to_owned())
        .collect();
    let whole = program.render_long_help().to_string();
    let mut helps = vec![(String::new(), whole)];
    for name in names {
        let command = program.find_subcommand_mut(&name).unwrap();
        helps.push((name, command.render_long_help().to_string()));
    }
    for (name, help) in helps {
        let paths: Vec<&str> = help
            .split_whitespace()
            .filter_map(|word| word.strip_prefix(INSTALLED))
            .collect();
        assert!(!paths.is_empty(), "the help of `{name}` names no document");
        for path in paths {
            let page = file(path);
            assert!(
                name.is_empty() || page.contains(&format!("reviewsd {name}")),
                "{path} does not name `reviewsd {name}`"
            );
        }
    }
}

#[test]
fn the_pictures_show_what_their_sources_say() {
    let sources = files("docs/pictures", ".dot");
    assert!(!sources.is_empty());
    for source in sources {
        let (dot, svg) = (file(&source), file(&source.replace(".dot", ".svg")));
        let arrows = dot.lines().filter(|line| line.contains(" -> "));
        let arrows: BTreeSet<String> = arrows
            .map(|line| line.split([';', '[']).next().unwrap().trim().to_owned())
            .collect();
        let drawn = svg
            .split("<title>")
            .filter_map(|rest| rest.split_once("</title>"));
        let drawn: BTreeSet<String> = drawn
            .filter(|(title, _)| title.contains("&gt;"))
            .map(|(title, _)| title.replace("&#45;&gt;", " -> "))
            .collect();
        assert_eq!(drawn, arrows, "`make pictures` draws {source}");
    }
}
