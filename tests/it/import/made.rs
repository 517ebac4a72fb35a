//! Shops made up on the fly: as large as a test needs, and the same for the same numbers.

use std::fmt::Write;

use super::Csv;
use crate::chance::Random;

/// The size of a made-up shop.
#[derive(Clone, Copy)]
pub(super) struct Made {
    pub(super) products: u64,
    pub(super) reviews: u64,
    pub(super) body_bytes: usize,
    /// True if the ids of reviews and styles ascend with their products'.
    pub(super) grouped: bool,
}

/// The rows of one file, in order of their ids where the order means nothing.
pub(super) struct MadeFile {
    name: &'static str,
    header: &'static str,
    rows: Vec<String>,
}

impl MadeFile {
    fn new(name: &'static str, header: &'static str) -> Self {
        let rows = Vec::new();
        Self { name, header, rows }
    }

    fn add(&mut self, fields: &str) {
        let id = self.rows.len() + 1;
        self.rows.push(format!("{id},{fields}"));
    }

    pub(super) fn write(&self, csv: &Csv) {
        let mut text = self.header.to_owned();
        for row in &self.rows {
            text.push('\n');
            text.push_str(row);
        }
        csv.write(self.name, text);
    }

    /// The name of the file, and its rows.
    pub(super) fn named_rows(self) -> (&'static str, Vec<String>) {
        (self.name, self.rows)
    }

    /// Brings the rows in a random order. Where the file's order means something, those of one
    /// parent keep theirs.
    pub(super) fn shuffle(&mut self, random: &mut Random) {
        let mut order: Vec<_> = (0..self.rows.len()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, random.index(last + 1));
        }
        if ["photos.csv", "related.csv"].contains(&self.name) {
            let parent = |row: &usize| self.rows[*row].split(',').nth(1).unwrap();
            let mut places: Vec<_> = (0..order.len()).collect();
            places.sort_by_key(|place| parent(&order[*place]));
            let mut rows = order.clone();
            rows.sort_by_key(|row| (parent(row), *row));
            for (place, row) in places.into_iter().zip(rows) {
                order[place] = row;
            }
        }
        self.rows = order.iter().map(|row| self.rows[*row].clone()).collect();
    }
}

impl Made {
    pub(super) fn write(self, csv: &Csv) {
        for file in self.files() {
            file.write(csv);
        }
    }

    /// Ids of its products are below this.
    pub(super) fn products_end(self) -> u64 {
        self.products + 1
    }

    pub(super) fn files(self) -> Vec<MadeFile> {
        let mut random = Random::new(self.products ^ self.reviews);
        let mut files = Vec::from(self.review_files(&mut random));
        files.extend(self.catalogue_files(&mut random));
        files
    }

    /// The product of the row `row` of `rows`.
    fn owner(self, row: u64, rows: u64, random: &mut Random) -> u64 {
        if self.grouped {
            1 + row * self.products / rows
        } else {
            // Products with low ids have more.
            1 + random.below(self.products).min(random.below(self.products))
        }
    }

    fn review_files(self, random: &mut Random) -> [MadeFile; 4] {
        let mut reviews = MadeFile::new(
            "reviews.csv",
            "id,product_id,rating,date,summary,body,recommend,reported,reviewer_name,reviewer_email,response,helpfulness",
        );
        let mut photos = MadeFile::new("reviews_photos.csv", "id,review_id,url");
        let mut named = MadeFile::new("characteristics.csv", "id,product_id,name");
        let mut ratings = MadeFile::new(
            "characteristic_reviews.csv",
            "id,characteristic_id,review_id,value",
        );
        for product in 1..=self.products {
            for name in ["Fit", "Length", "Comfort", "Quality"] {
                named.add(&format!("{product},\"{name}\""));
            }
        }
        for row in 0..self.reviews {
            let (id, product) = (row + 1, self.owner(row, self.reviews, random));
            let date_ms = 1_500_000_000_000 + random.below(1000) * 86_400_000;
            let body = digits(random, self.body_bytes);
            let response = ["null", "\"Thanks, \"\"friend\"\"\"", "null"][random.index(3)];
            reviews.add(&format!(
                "{product},{},{date_ms},\"Review {id}\",\"{body}\",{},{},\"n{id}\",\"n{id}@post.example\",{response},{}",
                1 + random.below(5),
                random.below(2) == 0,
                random.below(10) == 0,
                random.below(20),
            ));
            for photo in 0..random.below(3) {
                photos.add(&format!("{id},\"https://img.example/{id}/{photo}.jpg\""));
            }
            for characteristic in product * 4 - 3..=product * 4 {
                ratings.add(&format!("{characteristic},{id},{}", 1 + random.below(5)));
            }
        }
        [reviews, photos, named, ratings]
    }

    fn catalogue_files(self, random: &mut Random) -> [MadeFile; 6] {
        let mut products = MadeFile::new(
            "product.csv",
            "id,name,slogan,description,category,default_price",
        );
        let mut features = MadeFile::new("features.csv", "id,product_id,feature,value");
        let mut related = MadeFile::new("related.csv", "id,current_product_id,related_product_id");
        let mut styles = MadeFile::new(
            "styles.csv",
            "id,productId,name,sale_price,original_price,default_style",
        );
        let mut skus = MadeFile::new("skus.csv", "id,styleId,size,quantity");
        let mut photos = MadeFile::new("photos.csv", "id,styleId,url,thumbnail_url");
        for product in 1..=self.products {
            products.add(&format!(
                "\"P{product}\",\"S\",\"D, {product}\",\"C\",{product}"
            ));
            features.add(&format!("{product},\"Sole\",\"Cork\""));
            features.add(&format!("{product},\"UV Protection\",null"));
            for _ in 0..random.below(5) {
                related.add(&format!("{product},{}", random.below(self.products)));
            }
        }
        let styles_count = self.products * 2;
        for row in 0..styles_count {
            let (id, product) = (row + 1, self.owner(row, styles_count, random));
            let sale = ["null", "9"][random.index(2)];
            styles.add(&format!("{product},\"Style {id}\",{sale},10,{}", row % 2));
            for size in ["XS", "7.5", "One Size"] {
                skus.add(&format!("{id},\"{size}\",{}", random.below(30)));
            }
            for _ in 0..random.below(4) {
                let url = random.next();
                photos.add(&format!(
                    "{id},\"https://img.example/{url}\",\"https://img.example/{url}?t\""
                ));
            }
        }
        [products, features, related, styles, skus, photos]
    }
}

/// Digits, which do not compress to much less.
fn digits(random: &mut Random, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        write!(text, "{:016x}", random.next()).unwrap();
    }
    text.truncate(bytes);
    text
}
