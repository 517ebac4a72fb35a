//! One product in every combination of files and of what the store has.

use reviewsd_import::{FeatureRow, StylePhotoRow};

use super::*;

const NAMED: ProductRow<'_> = ProductRow {
    name: "Coat",
    slogan: "",
    description: "",
    category: "Coats",
    default_price: "140",
};

fn style_row(name: &str) -> StyleRow<'_> {
    StyleRow {
        name,
        original_price: "10",
        sale_price: None,
        default: true,
    }
}

fn sku_row(id: u64, quantity: u64) -> SkuRow<'static> {
    SkuRow {
        id,
        size: "M",
        quantity,
    }
}

/// A product with a feature, two styles, the first of which has two skus and a photo, and a relation.
fn rows() -> ProductRows<'static> {
    let photo = StylePhotoRow {
        url: "u",
        thumbnail_url: "t",
    };
    ProductRows {
        product: Some(NAMED),
        features: vec![FeatureRow {
            feature: "Sole",
            value: None,
        }],
        related: vec![2, 3],
        styles: vec![
            StyleRows {
                id: 1,
                style: Some(style_row("Olive")),
                photos: vec![photo],
                skus: vec![sku_row(1, 5), sku_row(2, 5)],
            },
            StyleRows {
                id: 2,
                style: Some(style_row("Sand")),
                photos: Vec::new(),
                skus: Vec::new(),
            },
        ],
    }
}

fn given(files: &[File], prune: bool) -> MergeRules<'static> {
    MergeRules {
        given: GivenFiles::new(prune, |file| files.contains(&file)),
        has_style: &|_| false,
    }
}

fn there(merged: (MergedProduct<'_>, Tallies)) -> (ProductInStore<'_>, Tallies) {
    match merged {
        (MergedProduct::There(product), tallies) => (product, tallies),
        other => panic!("{other:?}"),
    }
}

/// The product of [`rows`], in a store.
fn stored() -> ProductInStore<'static> {
    let nothing = ProductInStore::default();
    there(merge(given(&File::ALL, false), &rows(), &nothing)).0
}

/// Inserted, changed, removed and unchanged rows of a file.
fn counts(tallies: &Tallies, file: File) -> [u64; 4] {
    let tally = tallies.of(file);
    [
        tally.inserted,
        tally.changed,
        tally.removed,
        tally.unchanged,
    ]
}

#[test]
fn a_new_product_is_what_the_files_say() {
    let nothing = ProductInStore::default();
    let (product, tallies) = there(merge(given(&File::ALL, false), &rows(), &nothing));
    assert_eq!(product.product.unwrap().name, "Coat");
    assert_eq!(product.styles.len(), 2);
    assert_eq!(product.styles[0].skus.len(), 2);
    assert_eq!(counts(&tallies, File::Skus), [2, 0, 0, 0]);
    assert_eq!(counts(&tallies, File::Related), [2, 0, 0, 0]);
}

#[test]
fn the_same_files_change_nothing() {
    for prune in [false, true] {
        let stored = stored();
        let (product, tallies) = there(merge(given(&File::ALL, prune), &rows(), &stored));
        assert_eq!(product, stored);
        assert!(tallies.is_unchanged());
        assert_eq!(counts(&tallies, File::Styles), [0, 0, 0, 2]);
    }
}

#[test]
fn a_file_that_is_not_given_changes_nothing() {
    for file in File::ALL {
        for prune in [false, true] {
            let stored = stored();
            let nothing = ProductRows::default();
            let (merged, tallies) = merge(given(&[file], prune), &nothing, &stored);
            let removed: Vec<_> = File::ALL
                .into_iter()
                .filter(|file| tallies.of(*file).removed > 0)
                .collect();
            // Its own rows go, and those that belong to them.
            let expected: &[File] = match (file, prune) {
                (File::Products, true) => &[
                    File::Products,
                    File::Styles,
                    File::Skus,
                    File::StylePhotos,
                    File::Features,
                    File::Related,
                ],
                (File::Styles, true) => &[File::Styles, File::Skus, File::StylePhotos],
                (File::Skus | File::StylePhotos | File::Features | File::Related, true) => {
                    std::slice::from_ref(&file)
                }
                _ => &[],
            };
            assert_eq!(removed, expected, "{file:?}");
            let is_gone = merged == MergedProduct::Gone;
            assert_eq!(is_gone, file == File::Products && prune);
            if expected.is_empty() {
                assert_eq!(merged, MergedProduct::There(stored));
            }
        }
    }
}

#[test]
fn skus_alone_go_into_the_styles_that_the_store_has() {
    let rows = || ProductRows {
        styles: vec![StyleRows {
            id: 1,
            style: None,
            photos: Vec::new(),
            skus: vec![sku_row(2, 9), sku_row(3, 1)],
        }],
        ..ProductRows::default()
    };
    let stored = stored();
    let skus = |product: &ProductInStore<'_>| -> Vec<(u64, u64)> {
        let skus = product.styles[0].skus.iter();
        skus.map(|sku| (sku.id, sku.quantity)).collect()
    };
    let (product, tallies) = there(merge(given(&[File::Skus], false), &rows(), &stored));
    assert_eq!(skus(&product), [(1, 5), (2, 9), (3, 1)]);
    assert_eq!(counts(&tallies, File::Skus), [1, 1, 0, 0]);
    let (product, tallies) = there(merge(given(&[File::Skus], true), &rows(), &stored));
    assert_eq!(skus(&product), [(2, 9), (3, 1)]);
    assert_eq!(counts(&tallies, File::Skus), [1, 1, 1, 0]);
    assert_eq!(product.styles[0].photos, stored.styles[0].photos);
    assert_eq!(product.product, stored.product);
}

#[test]
fn a_list_without_rows_is_emptied_with_prune_alone() {
    let stored = stored();
    let alone = || ProductRows {
        product: Some(NAMED),
        ..ProductRows::default()
    };
    let files = [File::Products, File::Features, File::Related];
    let (product, tallies) = there(merge(given(&files, false), &alone(), &stored));
    assert_eq!(product, stored);
    assert!(tallies.is_unchanged());
    let (product, tallies) = there(merge(given(&files, true), &alone(), &stored));
    assert!(product.product.unwrap().features.is_empty() && product.related.is_empty());
    assert_eq!(product.styles, stored.styles);
    assert_eq!(counts(&tallies, File::Related), [0, 0, 2, 0]);
}

#[test]
fn rows_of_a_product_that_nobody_has_are_orphans() {
    let rows = ProductRows {
        product: None,
        ..rows()
    };
    let nothing = ProductInStore::default();
    let (merged, _) = merge(given(&[File::Styles, File::Skus], false), &rows, &nothing);
    assert_eq!(merged, MergedProduct::Orphaned);
    // Styles that the store has without a product stay as they are.
    let styles_alone = ProductInStore {
        product: None,
        related: Vec::new(),
        styles: stored().styles,
    };
    let (merged, tallies) = merge(
        given(&File::ALL, true),
        &ProductRows::default(),
        &styles_alone,
    );
    assert_eq!(merged, MergedProduct::There(styles_alone));
    assert!(tallies.is_unchanged());
}

#[test]
fn a_style_of_another_product_leaves_the_one_that_it_was_of() {
    let rules = MergeRules {
        has_style: &|style| style == 2,
        ..given(&File::ALL, false)
    };
    let alone = ProductRows {
        product: Some(NAMED),
        ..ProductRows::default()
    };
    let before = stored();
    let (mut product, tallies) = there(merge(rules, &alone, &before));
    let ids: Vec<_> = product.styles.iter().map(|style| style.id).collect();
    assert_eq!(ids, [1]);
    assert_eq!(counts(&tallies, File::Styles), [0, 0, 1, 0]);
    product.keep_skus_of(&ProductInStore::default());
    assert!(product.styles[0].skus.is_empty());
}
