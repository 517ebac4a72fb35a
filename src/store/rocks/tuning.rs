//! The layout of the files of each family.
//!
//! Must not know what keys and values mean.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, Options};

use super::Family;

/// Large enough that the reviews of a product are mostly in one block, small enough that reading
/// a cold one does not decompress many of its neighbours. With what the allocator and the block
/// cache add it stays within 8 KiB, which the allocator has a size class for.
pub(super) const BLOCK_BYTES: usize = (8 << 10) - 128;
/// One key in a hundred that is not there is looked for all the same.
const FILTER_BITS_PER_KEY: f64 = 10.0;
/// The level of zstd, its own default: what higher ones win is not worth their time.
const ZSTD_LEVEL: i32 = 3;
/// A dictionary of what the texts of a file have in common, without which a block is too small to be
/// compressed well; and the text that it is made from.
const DICTIONARY_BYTES: i32 = 16 << 10;
const TRAINING_BYTES: i32 = 20 * DICTIONARY_BYTES;

pub(super) fn family_options(family: Family, cache: Option<&Cache>) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_size(BLOCK_BYTES);
    table.set_format_version(6);
    if let Some(cache) = cache {
        table.set_block_cache(cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    }
    if asked_for_what_is_not_there(family) {
        table.set_bloom_filter(FILTER_BITS_PER_KEY, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    if is_text(family) {
        // Fresh files are compressed in a hurry, and well once they come to rest.
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        options.set_bottommost_compression_options(-14, ZSTD_LEVEL, 0, DICTIONARY_BYTES, true);
        options.set_bottommost_zstd_max_train_bytes(TRAINING_BYTES, true);
    }
    options
}

/// Families whose values are mostly text, which are most of the store. The better they are compressed,
/// the more of them stays in the page cache of a small machine, and a read from the disk costs far more
/// than zstd's time.
fn is_text(family: Family) -> bool {
    matches!(family, Family::Reviews | Family::Products | Family::Styles)
}

/// Families that are read with keys from clients: a filter spares reading a block to find that the key is
/// absent. The other families are read with keys that they hold.
fn asked_for_what_is_not_there(family: Family) -> bool {
    matches!(
        family,
        Family::Products
            | Family::Styles
            | Family::Related
            | Family::Summaries
            | Family::IdempotencyKeys
            | Family::Moderation
    )
}
