//! Files of other programs: each fixture becomes exactly the store that is expected, and its dirt is reported.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::export::exported;
use super::{Csv, Data, Ended, Import, Report, reasons_of};
use crate::support::no_forks;

/// A copy of the files of one program.
pub(super) fn fixture(names: &[&str]) -> Csv {
    let csv = Csv::empty();
    for name in names {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/shops")
            .join(name);
        for file in fs::read_dir(dir).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), csv.path(file.file_name())).unwrap();
        }
    }
    csv
}

/// A store that was made, and the report of its import.
pub(super) struct ShopStore {
    pub(super) data: Data,
    report: Report,
}

impl ShopStore {
    pub(super) fn of(csv: &Path, arguments: &[&str]) -> Self {
        let data = Data::new();
        let report = Import::of(csv, &data.path()).with(arguments).shop_report();
        Self { data, report }
    }

    /// The files of the store, by name, without their headers.
    pub(super) fn files(&self) -> Vec<(String, String)> {
        let out = self.data.path().with_file_name("exported");
        exported(&self.data.path(), &out, &[]);
        let names = super::names(&out)
            .into_iter()
            .filter(|name| name != "export.json");
        let files = names.map(|name| {
            let text = fs::read_to_string(out.join(&name)).unwrap();
            let (_, rows) = text.split_once('\n').unwrap();
            (name, rows.to_owned())
        });
        files.filter(|(_, rows)| !rows.is_empty()).collect()
    }

    fn assert_files(&self, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, rows)| ((*name).to_owned(), (*rows).to_owned()))
            .collect();
        let found = self.files();
        for (one, other) in found.iter().zip(&expected) {
            assert_eq!((&one.0, &one.1), (&other.0, &other.1));
        }
        assert_eq!(found, expected);
    }

    fn assert_rejected(&self, expected: &str) {
        let rejects = String::from_utf8(self.data.rejects()).unwrap();
        let begun: Vec<_> = rejects
            .lines()
            .filter(|line| line.contains(".csv,"))
            .collect();
        let begun: Vec<_> = begun
            .iter()
            .map(|line| {
                let fields: Vec<_> = line.splitn(4, ',').collect();
                let reason = fields[3].trim_start_matches('"');
                let reason = reason.split(',').next().unwrap();
                format!("{},{},{},{reason}", fields[0], fields[1], fields[2])
            })
            .collect();
        assert_eq!(begun.join("\n"), expected.trim());
    }
}

impl Import {
    /// The report of an import of other programs' files, which has no entry for each of the ten.
    fn shop_report(self) -> Report {
        let ended = self.with(&["--report", "json"]).run();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        Report(serde_json::from_str(&ended.stdout).unwrap())
    }
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn products_of_shopify_and_reviews_of_judgeme_are_one_store() {
    let csv = fixture(&["shopify", "judgeme"]);
    let ids = csv.path("ids.csv");
    let made = ShopStore::of(
        csv.0.path(),
        &["--from", "shopify,judgeme", "--ids", text(&ids)],
    );
    made.assert_files(&[
        ("features.csv", "1,8031000000001,\"Vendor\",\"North Loom\"\n2,8031000000002,\"Vendor\",\"North Loom\"\n"),
        ("photos.csv", PHOTOS),
        ("product.csv", PRODUCTS),
        ("reviews.csv", REVIEWS),
        ("reviews_photos.csv", "1,1,\"https://cdn.example.org/r/1.jpg\"\n2,1,\"https://cdn.example.org/r/2.jpg\"\n3,3,\"https://cdn.example.org/r/3.jpg\"\n"),
        ("skus.csv", "1,1,\"S\",5\n2,1,\"M\",0\n3,2,\"S\",7\n4,3,\"One Size\",1\n"),
        ("styles.csv", "1,8031000000001,\"Red\",35.00,40.00,1\n2,8031000000001,\"Blue\",null,40.00,0\n3,8031000000002,\"Default\",null,25,1\n"),
    ]);
    assert_eq!(made.report.rows("products_export_1.csv"), (12, 5));
    assert_eq!(
        made.report.skipped("products_export_1.csv"),
        reasons_of(&[("Published is \"false\"", 1)])
    );
    assert_eq!(
        made.report.repaired("products_export_1.csv"),
        reasons_of(&[("quantity below zero became 0", 1)])
    );
    assert_eq!(made.report.rows("reviews.csv"), (9, 4));
    assert_eq!(
        made.report.skipped("reviews.csv"),
        reasons_of(&[("curated is \"spam\"", 1), ("its product was skipped", 1)])
    );
    made.assert_rejected(
        "products_export_1.csv,16,Handle,is empty
products_export_1.csv,17,row,has too few fields
products_export_1.csv,11,Variant Price,is not a price such as 140 or 140.00
products_export_1.csv,12,row,is of a product whose first row was rejected
products_export_1.csv,15,Title,is in no row of the product
products_export_1.csv,14,row,has the options of an earlier row of its product
reviews.csv,9,product_handle,is the handle of no product
reviews.csv,10,review_date,is before the year that values.date_min in the mapping allows
reviews.csv,11,rating,is not between 1 and 5",
    );
    let kept = fs::read_to_string(&ids).unwrap();
    assert_eq!(
        kept,
        "handle,product_id,made\nbroken-boots,1,true\nnameless,2,true\nwool-scarf,8031000000001,false\npompom-beanie,8031000000002,false\ndraft-mug,8031000000003,false\ngone-gloves,8031000000009,false\n"
    );
    assert_eq!(made.report.0["ids"]["made"], 2);
    assert_eq!(
        made.report.file("reviews.csv")["defaults"].to_string(),
        "[\"recommend: true from 4 stars on\",\"reported: false\",\"helpfulness: 0\"]"
    );
}

const PRODUCTS: &str = "8031000000001,\"Wool Scarf\",\"The scarf for every winter\",\"Warm & \
                        light.␊Merino, \"\"extra fine\"\"␊2 m long\",\"Scarves\",40.00
8031000000002,\"Pompom Beanie 🧶\",\"\",\"Knitted by hand; one size\",\"Hats\",25
";

const PHOTOS: &str =
    "1,1,\"https://cdn.example.org/scarf-red.jpg\",\"https://cdn.example.org/scarf-red.jpg\"
2,1,\"https://cdn.example.org/scarf.jpg\",\"https://cdn.example.org/scarf.jpg\"
3,1,\"https://cdn.example.org/scarf-worn.jpg\",\"https://cdn.example.org/scarf-worn.jpg\"
4,1,\"https://cdn.example.org/scarf-label.jpg\",\"https://cdn.example.org/scarf-label.jpg\"
5,1,\"https://cdn.example.org/scarf-box.jpg\",\"https://cdn.example.org/scarf-box.jpg\"
6,2,\"https://cdn.example.org/scarf.jpg\",\"https://cdn.example.org/scarf.jpg\"
7,2,\"https://cdn.example.org/scarf-worn.jpg\",\"https://cdn.example.org/scarf-worn.jpg\"
8,2,\"https://cdn.example.org/scarf-label.jpg\",\"https://cdn.example.org/scarf-label.jpg\"
9,2,\"https://cdn.example.org/scarf-box.jpg\",\"https://cdn.example.org/scarf-box.jpg\"
10,3,\"https://cdn.example.org/beanie.jpg\",\"https://cdn.example.org/beanie.jpg\"
";

const REVIEWS: &str = "1,8031000000001,5,1615987717000,\"Warm, and light\",\"Wore it all \
                       winter.␍␊␍␊Then all spring; \"\"still\"\" soft 🧣\",true,false,\"Ana \
                       P.\",\"ana@example.org\",\"Thank you, Ana!\",0
2,8031000000001,2,1617354000000,\"\",\"It itches.\",false,false,\"bo\",\"\",null,0
3,8031000000002,4,1641340801000,\"For my head\",\"Fits\",true,false,\"Cho\",\"cho@example.org\",null,0
4,8031000000002,3,1641945601000,\"By number\",\"The handle was lost\",false,false,\"Hal\",\"\",null,0
";

#[test]
fn products_and_reviews_of_woocommerce_keep_their_numbers() {
    let csv = fixture(&["woocommerce"]);
    let made = ShopStore::of(csv.0.path(), &["--from", "woocommerce"]);
    made.assert_files(&[
        ("features.csv", "1,60,\"Material\",\"Linen\"\n"),
        (
            "photos.csv",
            "1,1,\"https://cdn.example.org/tee-red.jpg\",\"https://cdn.example.org/tee-red.jpg\"
2,1,\"https://cdn.example.org/tee.jpg\",\"https://cdn.example.org/tee.jpg\"
3,1,\"https://cdn.example.org/tee-back.jpg\",\"https://cdn.example.org/tee-back.jpg\"
4,2,\"https://cdn.example.org/tee.jpg\",\"https://cdn.example.org/tee.jpg\"
5,2,\"https://cdn.example.org/tee-back.jpg\",\"https://cdn.example.org/tee-back.jpg\"
6,3,\"https://cdn.example.org/cap.jpg\",\"https://cdn.example.org/cap.jpg\"
",
        ),
        (
            "product.csv",
            "44,\"Tee\",\"Soft cotton\",\"Line one␊stays as written\",\"Clothing > Tees\",20\n60,\"Cap\",\"\",\"A cap\",\"Accessories\",18\n",
        ),
        ("related.csv", "1,44,60\n"),
        (
            "reviews.csv",
            "12,44,5,1683194400000,\"Two of them\",\"Soft & cheap.␊Bought two.\",true,false,\"Ida\",\"ida@example.org\",null,0\n9,60,2,1683280800000,\"\",\"Too small\",false,false,\"Jo\",\"\",null,0\n",
        ),
        ("skus.csv", "76,1,\"L\",3\n77,1,\"M\",0\n78,2,\"L\",9\n60,3,\"One Size\",1\n"),
        ("styles.csv", "1,44,\"Red\",15,20,1\n2,44,\"Green\",null,20,0\n3,60,\"Default\",16,18,1\n"),
    ]);
    assert_eq!(
        made.report.skipped("wc-product-export.csv"),
        reasons_of(&[("Published is \"-1\"", 1), ("Published is \"0\"", 1)])
    );
    assert_eq!(
        made.report.repaired("wc-product-export.csv"),
        reasons_of(&[("related products that no file has were left out", 1)])
    );
    assert_eq!(
        made.report.skipped("product-reviews.csv"),
        reasons_of(&[
            ("comment_approved is \"0\"", 1),
            ("comment_parent is not \"0\"", 1),
            ("its product was skipped", 1)
        ])
    );
    made.assert_rejected(
        "wc-product-export.csv,9,Parent,is not the id of a product before it
wc-product-export.csv,10,ID,is that of an earlier row
product-reviews.csv,7,comment_ID,is that of an earlier row",
    );
}

#[test]
fn reviews_of_yotpo_are_read_from_both_of_its_files() {
    let made = ShopStore::of(fixture(&["yotpo"]).0.path(), &["--from", "yotpo"]);
    made.assert_files(&[
        (
            "reviews.csv",
            "501,7,5,1706933106000,\"Good\",\"It \"\"works\"\"\",true,false,\"Nia\",\"nia@example.org\",\"We are glad\",0\n504,8,2,1707192306000,\"Dim\",\"Not bright\",false,false,\"Quy\",\"\",null,0\n",
        ),
        ("reviews_photos.csv", "1,501,\"https://cdn.example.org/y/1.jpg\"\n2,501,\"https://cdn.example.org/y/2.jpg\"\n"),
    ]);
    assert_eq!(
        made.report.skipped("reviews.csv"),
        reasons_of(&[
            ("Review Status is \"pending\"", 1),
            ("Review Type is \"site_review\"", 1)
        ])
    );
    // UTF-16 with tabs, as spreadsheets write "Unicode text".
    let made = ShopStore::of(fixture(&["yotpo-template"]).0.path(), &["--from", "yotpo"]);
    made.assert_files(&[(
        "reviews.csv",
        "1,7,5,1559347200000,\"Großartig\",\"Sehr hell, 5 Sterne ⭐\",true,false,\"Rolf\",\"rolf@example.org\",null,0\n",
    )]);
    assert_eq!(made.report.file("reviews.txt")["mapping"], "yotpo-template");
    assert_eq!(
        made.report.skipped("reviews.txt"),
        reasons_of(&[("published is \"false\"", 1)])
    );
}

#[test]
fn any_csv_is_read_by_a_mapping_and_handles_keep_their_ids() {
    let csv = fixture(&["own"]);
    let (map, ids, file) = (
        csv.path("mapping.toml"),
        csv.path("ids.csv"),
        csv.path("bewertungen.csv"),
    );
    let arguments = ["--from", "csv", "--map", text(&map), "--ids", text(&ids)];
    let rows = "1,1,5,1608917400000,\"Schön\",\"Größe paßt\",true,false,\"Ägidius\",\"ae@example.org\",null,3
2,31,3,1612134000000,\"Na ja\",\"\"\"Gut\"\", sagte er\",false,false,\"Anonym\",\"\",null,0
3,31,4,1612220400000,\"\",\"\",true,false,\"Uwe\",\"\",null,0
";
    let photos =
        "1,1,\"https://cdn.example.org/o/1.jpg\"\n2,1,\"https://cdn.example.org/o/2.jpg\"\n";
    let expected = [("reviews.csv", rows), ("reviews_photos.csv", photos)];
    ShopStore::of(&file, &arguments).assert_files(&expected);
    let kept = "handle,product_id,made\nSchürze,1,true\nTopf,31,false\n";
    assert_eq!(fs::read_to_string(&ids).unwrap(), kept);
    // Without the first product's row, and then with it at the end, it has the id that it had.
    let whole = csv.read("bewertungen.csv");
    let lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    csv.write(
        "bewertungen.csv",
        [lines[0], lines[2], lines[3], lines[1]].concat(),
    );
    let made = ShopStore::of(&file, &arguments);
    let reviews = &made.files()[0].1;
    assert!(
        reviews.contains("\n3,1,5,") || reviews.starts_with("3,1,5,"),
        "{reviews}"
    );
    assert_eq!(fs::read_to_string(&ids).unwrap(), kept);
}

#[test]
fn files_are_chosen_by_their_headers() {
    // The ten files' own products, and reviews of Judge.me of them.
    let csv = Csv::fixture("v2");
    for file in csv.files() {
        if !["product.csv", "related.csv"].contains(&file.as_str()) {
            csv.remove(&file);
        }
    }
    csv.write(
        "reviews.csv",
        "product_id,rating,review_date,title\n1,5,2021-01-01,Ours\n999,5,2021-01-01,Nobody's\n",
    );
    let made = ShopStore::of(csv.0.path(), &["--from", "judgeme"]);
    assert_eq!(made.report.rows("product.csv"), (10, 10));
    assert_eq!(
        made.report.rejected("reviews.csv"),
        reasons_of(&[("product_id is not the id of a product", 1)])
    );
    assert_eq!(made.report.file("reviews.csv")["mapping"], "judgeme");
    assert_eq!(made.report.files().len(), 3);
    // Reviews of both kinds would have each other's ids.
    let both = Csv::fixture("v2");
    both.write("judgeme.csv", csv.read("reviews.csv"));
    let why = Import::new(&both, &Data::new())
        .with(&["--from", "judgeme"])
        .refusal();
    assert!(
        why.contains("judgeme.csv: it holds reviews, as ") && why.contains("reviews.csv does"),
        "{why}"
    );
}

#[test]
fn what_cannot_be_read_is_refused_in_one_sentence() {
    let refused = |name: &str, bytes: &[u8], arguments: &[&str]| {
        let csv = Csv::empty();
        csv.write(name, bytes);
        Import::new(&csv, &Data::new()).with(arguments).refusal()
    };
    let from = ["--from", "judgeme"];
    for (bytes, why) in [
        (
            b"PK\x03\x04".as_slice(),
            "an Excel workbook or a ZIP archive, not CSV",
        ),
        (
            b"title;text\nA;B\n",
            "its columns are title, text, and fit no mapping: judgeme (no column \"rating\" for rating)",
        ),
        (
            b"rating,review_date,product_id,body\n5,2020-01-01,1,Gr\xfc\xdfe\n",
            "line 2 is not UTF-8, and nothing else in it is",
        ),
        (
            b"r\0a\0t\0i\0n\0g\0\n\0",
            "it looks like UTF-16 without a byte order mark",
        ),
        (b"", "it is empty"),
        (
            b"rating,review_date,product_id\n6,2020-01-01,1\n",
            "no row can be stored, and 1 were rejected",
        ),
        (
            b"rating,review_date,product_handle\n5,2020-01-01,hat\n",
            "the product \"hat\" has a handle and no id",
        ),
    ] {
        let found = refused("reviews.csv", bytes, &from);
        assert!(found.contains(why), "{found}");
    }
    let found = refused("notes.md", b"", &from);
    assert!(
        found.contains("no file in it whose name ends with .csv, .tsv or .txt"),
        "{found}"
    );
    let csv = Csv::empty();
    csv.write(
        "map.toml",
        "name = \"x\"\nrows = \"reviews\"\n[fields]\nrating = \"r\"\n",
    );
    csv.write("reviews.csv", "r\n5\n");
    let map = csv.path("map.toml");
    let found = Import::new(&csv, &Data::new())
        .with(&["--from", "csv", "--map", text(&map)])
        .refusal();
    assert!(
        found.contains("the mapping is not usable: fields.date is missing"),
        "{found}"
    );
    let found = Import::new(&csv, &Data::new())
        .with(&["--from", "csv"])
        .misuse();
    assert!(found.contains("--from csv needs a mapping"), "{found}");
    let found = Import::new(&csv, &Data::new()).refusal();
    assert!(
        found.contains("line 1: the column id is missing"),
        "{found}"
    );
}

#[test]
fn too_many_rejects_leave_the_old_store() {
    let csv = fixture(&["yotpo"]);
    let made = ShopStore::of(csv.0.path(), &["--from", "yotpo"]);
    let before = made.files();
    let mut bytes = csv.read("reviews.csv");
    bytes.extend_from_slice(b"505,product_review,Published,soon,,,5,7,,,,,,,\n");
    csv.write("reviews.csv", bytes);
    let import = |limit| {
        let import = Import::of(csv.0.path(), &made.data.path());
        import
            .with(&["--from", "yotpo", "--replace", "--max-rejects", limit])
            .refusal()
    };
    let why = import("0");
    assert!(
        why.contains(
            "more than 0 rows were rejected, the last one at reviews.csv, line 6: Review \
                          Creation Date"
        ),
        "{why}"
    );
    let why = import("0%");
    assert!(
        why.contains("1 of the 5 rows of reviews.csv were rejected"),
        "{why}"
    );
    fs::remove_dir_all(made.data.path().with_file_name("exported")).unwrap();
    assert_eq!(made.files(), before);
}

pub(super) fn reviewsd(arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reviewsd"));
    command
        .args(arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let _no_forks = no_forks();
    Ended::of(command.spawn().unwrap())
}

#[test]
fn an_inspected_file_is_imported_by_what_was_written() {
    let csv = fixture(&["own"]);
    let (file, map, ids) = (
        csv.path("bewertungen.csv"),
        csv.path("begun.toml"),
        csv.path("ids.csv"),
    );
    let shown = reviewsd(&["import", "--inspect", text(&file)]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    for line in [
        "encoding = \"windows-1252\"",
        "separator = \";\"",
        "rating = \"Sterne\"",
        "date = \"Datum\"",
    ] {
        assert!(
            shown.stdout.contains(line),
            "{line} is not in\n{}",
            shown.stdout
        );
    }
    let written = reviewsd(&["import", "--inspect", text(&file), "--out", text(&map)]);
    assert!(
        written.stdout.contains("no column looks like product"),
        "{}",
        written.stdout
    );
    assert_eq!(fs::read_to_string(&map).unwrap(), shown.stdout);
    let again = reviewsd(&["import", "--inspect", text(&file), "--out", text(&map)]).refusal();
    assert!(
        again.contains("is there already, and a mapping is never written over"),
        "{again}"
    );
    // The user fills in the names that it could not know.
    let filled = shown
        .stdout
        .replace("# product = \"\"", "product = \"Artikel\"");
    fs::write(&map, filled).unwrap();
    let made = ShopStore::of(
        &file,
        &["--from", "csv", "--map", text(&map), "--ids", text(&ids)],
    );
    assert_eq!(made.report.rows("bewertungen.csv"), (3, 3));
}

/// The blocks of commands of the page on importing.
fn blocks_of_page() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/using/importing.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("\n```sh\n").skip(1);
    blocks
        .map(|block| block.split_once("\n```\n").unwrap().0.to_owned())
        .collect()
}

#[test]
fn the_commands_of_the_page_on_importing_work() {
    let scratch = tempfile::tempdir().unwrap();
    let exports = fixture(&["shopify", "judgeme"]);
    crate::support::copy_tree(exports.0.path(), &scratch.path().join("exports"));
    let reviews = "stars;when;sku;text\n5;2020-01-31;A-1;Good\n";
    fs::write(scratch.path().join("reviews.csv"), reviews).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_reviewsd"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let blocks = blocks_of_page();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        // A row or two of the fixtures is a large share.
        let block = block.replace("--data ./data", "--data ./data --quiet");
        let block = block.replace("--from ", "--max-rejects 100% --from ");
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", &block])
            .env("PATH", &path)
            .current_dir(scratch.path());
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let child = {
            let _no_forks = no_forks();
            command.spawn().unwrap()
        };
        let ended = Ended::of(child);
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{block}"
        );
    }
    assert!(scratch.path().join("feed/feed.xml").exists());
}

// Writes a million reviews as Judge.me exports them, and the same as the two files of the ten, to measure
// what their import takes:
//
// cargo test --release --test it import::shops::write_large_files -- --ignored
// /usr/bin/time -v reviewsd import --from judgeme --csv large/judgeme --data data-1
// /usr/bin/time -v reviewsd import --csv large/ten --data data-2
#[test]
#[ignore = "writes files to measure by"]
fn write_large_files() {
    use std::io::Write as _;
    const REVIEWS: u64 = 1_000_000;
    const PRODUCTS: u64 = 100_000;
    let create = |name: &str| {
        let path = Path::new("large").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::io::BufWriter::new(fs::File::create_new(path).unwrap())
    };
    let mut judgeme = create("judgeme/reviews.csv");
    let mut ten = create("ten/reviews.csv");
    let mut photos = create("ten/reviews_photos.csv");
    writeln!(judgeme, "title,body,rating,review_date,source,curated,reviewer_name,reviewer_email,product_id,product_handle,reply,reply_date,picture_urls,ip_address,location").unwrap();
    writeln!(ten, "id,product_id,rating,date,summary,body,recommend,reported,reviewer_name,reviewer_email,response,helpfulness").unwrap();
    writeln!(photos, "id,review_id,url").unwrap();
    let mut random = crate::chance::Random::new(15);
    for id in 1..=REVIEWS {
        let product = 1 + random.below(PRODUCTS).min(random.below(PRODUCTS));
        let rating = 1 + random.below(5);
        let seconds = 1_500_000_000 + random.below(200_000_000);
        let body = "It does, as \"\"they\"\" say, what it should. ".repeat(1 + random.index(9));
        let pictures = [
            "",
            "https://pictures.example.org/r/1.jpg,https://pictures.example.org/r/2.jpg",
        ][random.index(4) / 3];
        writeln!(judgeme, "Review {id},\"{body}\",{rating},{seconds},web,ok,Name \
                           {id},n{id}@post.example,{product},product-{product},,,\"{pictures}\",192.0.2.1,").unwrap();
        let recommend = rating >= 4;
        writeln!(
            ten,
            "{id},{product},{rating},{seconds}000,\"Review \
                       {id}\",\"{body}\",{recommend},false,\"Name \
                       {id}\",\"n{id}@post.example\",null,0"
        )
        .unwrap();
        for (at, url) in pictures
            .split(',')
            .filter(|url| !url.is_empty())
            .enumerate()
        {
            writeln!(photos, "{},{id},\"{url}\"", id * 2 + at as u64).unwrap();
        }
    }
}
