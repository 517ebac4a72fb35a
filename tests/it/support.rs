//! A small shop to test against, as plain values, and the store that holds it.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use reviewsd::model::moderation::{ReasonCode, ReviewState};
use reviewsd::model::{
    CharacteristicRating, Feature, Product, ProductId, Review, ReviewId, ReviewPhoto, Sku, Style,
    StylePhoto,
};
use reviewsd::store::bulk::{Bulk, Replace};
use reviewsd::store::{Change, Error, Store};
use tempfile::TempDir;

/// Memory of a store under test.
const MEMORY_BYTES: u64 = 64 << 20;
/// A product with so many reviews that its lists are not read whole.
pub(crate) const HOT_PRODUCT: u64 = 20;
/// The number of those reviews; every tenth is reported.
pub(crate) const HOT_REVIEWS: u64 = 5000;
/// The first of them.
pub(crate) const HOT_REVIEW_FIRST: u64 = 1000;

/// The shop's store, open.
pub(crate) struct Shop {
    pub(crate) store: Store,
    _dir: TempDir,
}

/// The shop; tests that run at the same time share it.
pub(crate) fn shop() -> Arc<Shop> {
    static OPEN: Mutex<Weak<Shop>> = Mutex::new(Weak::new());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.upgrade().unwrap_or_else(|| {
        let shop = own_shop();
        *open = Arc::downgrade(&shop);
        shop
    })
}

/// A shop that no other test has, to be written to.
pub(crate) fn own_shop() -> Arc<Shop> {
    opened(shop_dir())
}

/// A shop with neither reviews nor products, that no other test has.
pub(crate) fn empty_shop() -> Arc<Shop> {
    opened(tempfile::tempdir().unwrap())
}

fn opened(dir: TempDir) -> Arc<Shop> {
    let store = open_store(dir.path());
    Shop::of(store, dir)
}

impl Shop {
    /// The open store in a directory, which is deleted with it.
    pub(crate) fn of(store: Store, dir: TempDir) -> Arc<Self> {
        Arc::new(Self { store, _dir: dir })
    }
}

/// A data directory with the shop in it, not open.
pub(crate) fn shop_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let _no_forks = no_forks();
    build(dir.path());
    dir
}

/// Held while a process is started, and while a data directory is open that another process will
/// open later: a process that is just being started holds every lock that its parent does.
pub(crate) fn no_forks() -> MutexGuard<'static, ()> {
    static FORKS: Mutex<()> = Mutex::new(());
    FORKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies a directory with all of its content, owners included.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let _no_forks = no_forks();
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}

/// Writes a file that only its owner can read, as a token's must be.
pub(crate) fn write_secret(path: &Path, secret: &str) {
    fs::write(path, secret).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// Opens a store.
pub(crate) fn open_store(data_dir: &Path) -> Store {
    once_let_go(|| Store::open(data_dir, "a test", MEMORY_BYTES, 0))
}

/// Runs `take`, which takes the lock of a data directory that this process may just have released, and a
/// process that another test is starting may therefore hold for a moment.
pub(crate) fn once_let_go<T>(mut take: impl FnMut() -> Result<T, Error>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match take() {
            Err(Error::InUse { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(1));
            }
            taken => return taken.unwrap(),
        }
    }
}

fn build(data_dir: &Path) {
    let bulk = Bulk::begin(data_dir, "a test", Replace::Always).unwrap();
    let mut reviews = bulk.reviews().unwrap();
    let all = all_reviews();
    for product in [1, 2, 3, 4, 7, HOT_PRODUCT].map(ProductId) {
        let names = characteristics().filter(|(owner, ..)| *owner == product);
        let names = names.map(|(_, id, name)| (id, name));
        reviews.product(product, names).unwrap();
        for (_, id, review) in all.iter().filter(|(owner, ..)| *owner == product) {
            reviews.review(product, *id, review).unwrap();
        }
    }
    let mut owners: Vec<_> = all.iter().map(|(product, id, _)| (*id, *product)).collect();
    owners.sort_unstable();
    for (id, product) in owners {
        reviews.owner(id, product).unwrap();
    }
    let mut catalogue = bulk.catalogue().unwrap();
    for (id, product) in (1..).zip(products()) {
        catalogue.product(ProductId(id), &product).unwrap();
    }
    for (product, styles) in styles() {
        catalogue.styles(product, styles).unwrap();
    }
    for (product, related) in related() {
        catalogue.related(product, related).unwrap();
    }
    let (reviews, catalogue) = (reviews.finish().unwrap(), catalogue.finish().unwrap());
    bulk.assemble(&reviews, &catalogue, 1_700_000_000_000)
        .unwrap();
    bulk.publish().unwrap();
}

/// Every review, in order of product and id.
pub(crate) fn all_reviews() -> Vec<(ProductId, ReviewId, Review<'static>)> {
    let mut all = few_reviews();
    all.extend((0..HOT_REVIEWS).map(|n| {
        let id = ReviewId(HOT_REVIEW_FIRST + n);
        (ProductId(HOT_PRODUCT), id, hot_review(n))
    }));
    all
}

/// One of many, with few different dates and votes, so that only the id tells some apart.
fn hot_review(n: u64) -> Review<'static> {
    let mut review = plain(
        4,
        1_600_000_000_000 + i64::try_from(n % 7).unwrap() * 86_400_000,
    );
    review.helpfulness = u32::try_from(n % 5).unwrap();
    review.state = ReviewState::of_reported(n.is_multiple_of(10));
    review.body = LONG;
    review
}

/// The longest body that a review may have been given in the shops there are: a page of many is
/// larger than the buffers between a server and its client.
const LONG: &str = {
    const BYTES: [u8; 1000] = [b'o'; 1000];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};

/// A report of a review by a client.
pub(crate) fn report(review: ReviewId) -> Change {
    Change::Report {
        review,
        client: Ipv4Addr::new(192, 0, 2, 1).into(),
        reason: ReasonCode::Unstated,
        hides: true,
    }
}

fn plain(rating: u8, date_ms: i64) -> Review<'static> {
    Review {
        rating,
        date_ms,
        recommend: rating > 2,
        state: ReviewState::Published,
        report: None,
        decision: None,
        helpfulness: 0,
        summary: "As it should be",
        body: "Worn for a month and washed twice; it kept its shape and its colour.",
        reviewer_name: "walker",
        reviewer_email: "walker@example.org",
        response: None,
        photos: Vec::new(),
        ratings: Vec::new(),
    }
}

fn photo(id: u64, url: &'static str) -> ReviewPhoto<'static> {
    ReviewPhoto { id, url }
}

fn rated(first_id: u64, values: &[u8]) -> Vec<CharacteristicRating> {
    let rating = |(characteristic_id, value): (u64, &u8)| CharacteristicRating {
        characteristic_id,
        value: *value,
    };
    (first_id..).zip(values).map(rating).collect()
}

fn few_reviews() -> Vec<(ProductId, ReviewId, Review<'static>)> {
    let review = |product, id, helpfulness, recommend, ratings, plain| {
        let review = Review {
            helpfulness,
            recommend,
            ratings,
            ..plain
        };
        (ProductId(product), ReviewId(id), review)
    };
    let mut all = vec![
        review(
            1,
            1,
            8,
            true,
            rated(1, &[4, 3, 5, 4]),
            plain(5, 1_596_080_481_467),
        ),
        review(
            1,
            2,
            2,
            false,
            rated(1, &[4, 4, 5, 4]),
            plain(4, 1_610_178_433_963),
        ),
        review(2, 3, 5, true, rated(5, &[4]), plain(4, 1_609_325_851_021)),
        review(2, 4, 1, true, rated(5, &[4]), plain(4, 1_593_628_485_253)),
        review(2, 5, 5, true, rated(5, &[4]), plain(3, 1_615_987_717_620)),
        review(2, 6, 0, false, rated(5, &[5]), plain(5, 1_593_564_521_722)),
        review(2, 7, 0, false, rated(5, &[4]), plain(2, 1_609_522_845_466)),
        review(
            4,
            8,
            2,
            true,
            rated(10, &[4, 4, 4, 4]),
            plain(4, 1_599_505_939_632),
        ),
        review(
            4,
            9,
            2,
            true,
            rated(10, &[5, 5, 5, 5]),
            plain(5, 1_609_325_851_021),
        ),
        review(
            4,
            10,
            0,
            false,
            rated(10, &[2, 2, 2, 2]),
            plain(2, 1_594_512_000_000),
        ),
        review(7, 13, 3, true, Vec::new(), plain(5, 1_599_958_385_988)),
        review(7, 14, 9, false, Vec::new(), plain(1, 1_601_000_000_000)),
    ];
    for (_, id, review) in &mut all {
        match id.0 {
            3 => review.response = Some("Thank you, \"Mx. Walker\"!"),
            5 => {
                review.summary = "Dark & light \\ \"both\" <b>";
                review.body = "Line one\nline two\ttabbed \u{1} Größe 漢字 🦀";
                review.reviewer_name = "Ana \"Nana\" O'Hara";
                review.photos = vec![
                    photo(1, "https://img.example/5/1.jpg?w=900&q=80"),
                    photo(2, "https://img.example/5/2.jpg"),
                    photo(3, "https://img.example/5/3.jpg"),
                ];
            }
            6 => review.response = Some("null"),
            9 => review.photos = vec![photo(4, "https://img.example/9/4.jpg")],
            14 => review.state = ReviewState::Hidden,
            _ => {}
        }
    }
    all
}

fn characteristics() -> impl Iterator<Item = (ProductId, u64, &'static str)> {
    let four = |product, first_id| {
        let names = ["Fit", "Length", "Comfort", "Quality"];
        (first_id..)
            .zip(names)
            .map(move |(id, name)| (ProductId(product), id, name))
    };
    four(1, 1)
        .chain([(ProductId(2), 5, "Quality")])
        .chain(four(3, 6))
        .chain(four(4, 10))
}

/// The catalogue's products, from id 1 on.
fn products() -> Vec<Product<'static>> {
    let product = |name, category, default_price, features: &[(&'static str, _)]| Product {
        name,
        slogan: "Made to be \"used\"",
        description: "What it is, in a sentence; and\nin another.",
        category,
        default_price,
        features: features
            .iter()
            .map(|(feature, value)| Feature {
                feature,
                value: *value,
            })
            .collect(),
    };
    vec![
        product(
            "Rain Jacket",
            "Jackets",
            "140",
            &[("Fabric", Some("Canvas")), ("Buttons", Some("Brass"))],
        ),
        product(
            "Reading Glasses",
            "Accessories",
            "69",
            &[("UV Protection", None)],
        ),
        product("Running Trousers", "Trousers", "40", &[]),
        product("Work Trousers", "Trousers", "65", &[]),
        product("Low Shoes", "Shoes", "99", &[]),
        product("High Shoes", "Shoes", "89", &[]),
        product("Leather Shoes", "Shoes", "120", &[]),
        product("Knit Shoes", "Shoes", "450", &[]),
        product("Sandals", "Shoes", "59", &[]),
        product("Paperweight", "Accessories", "5000", &[]),
    ]
}

fn styles() -> Vec<(ProductId, Vec<Style<'static>>)> {
    let style = |id, name, sale_price, default, photos, skus| Style {
        id,
        name,
        original_price: "140",
        sale_price,
        default,
        photos,
        skus,
    };
    let photo = |url, thumbnail_url| StylePhoto { url, thumbnail_url };
    let sku = |id, size, quantity| Sku { id, size, quantity };
    let green = vec![
        photo(
            "https://img.example/s/2.jpg",
            "https://img.example/s/2-t.jpg",
        ),
        photo(
            "https://img.example/s/1.jpg",
            "https://img.example/s/1-t.jpg",
        ),
    ];
    let sizes = vec![
        sku(1, "XS", 8),
        sku(2, "S", 16),
        sku(7, "7.5", 15),
        sku(8, "XS", 4),
    ];
    vec![
        (
            ProductId(1),
            vec![
                style(1, "Green & Black", None, true, green, sizes),
                style(3, "Blue", Some("100"), false, Vec::new(), Vec::new()),
            ],
        ),
        (
            ProductId(3),
            vec![style(
                11,
                "Black",
                None,
                true,
                Vec::new(),
                vec![sku(37, "One Size", 0)],
            )],
        ),
    ]
}

fn related() -> Vec<(ProductId, Vec<ProductId>)> {
    let of = |product, related: &[u64]| {
        let related = related.iter().copied().map(ProductId).collect();
        (ProductId(product), related)
    };
    vec![
        of(1, &[2, 3, 8, 7]),
        of(5, &[6, 6, 8, 9, 1, 3]),
        of(7, &[7]),
    ]
}
