//! Whether an answer's body is right: of the product asked, complete, typed and in the order asked for.
//!
//! Owns the judgement, against the contract and what was asked, and must not know how the body came.
//! Speaks the current dialect alone. What a body should say beyond that it does not know: a list may
//! be shorter than asked, for the product may have no more reviews.

mod shapes;

use std::cmp::Reverse;

use serde::de::DeserializeOwned;

use crate::load::mix::Asked;
use crate::load::workload::{Sort, What};
use shapes::{List, Meta, Page, Product, Review, Styles};

/// Says what is wrong with the body, if anything is.
pub(crate) fn check(what: &What, asked: &Asked, body: &[u8]) -> Result<(), String> {
    match what {
        What::List { sort, .. } => list(&parse(body)?, sort.unwrap_or(Sort::Relevant), asked),
        What::Meta => meta(&parse(body)?, asked),
        What::Styles => styles(&parse(body)?, asked),
        What::Product => same("id", &parse::<Product>(body)?.id, &asked.id),
        What::Related => related(&parse::<Vec<u64>>(body)?),
        What::Products { .. } => products(&parse(body)?, asked),
        // Its text is not in the documents that clients go by; its status says all.
        What::Post { .. } => Ok(()),
        What::Helpful | What::Report if body.is_empty() => Ok(()),
        What::Helpful | What::Report => Err("there is a body where none should be".to_owned()),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn same<T: PartialEq + std::fmt::Display>(key: &str, found: &T, asked: &T) -> Result<(), String> {
    if found == asked {
        return Ok(());
    }
    Err(format!("{key} is {found} where {asked} was asked for"))
}

fn list(list: &List, sort: Sort, asked: &Asked) -> Result<(), String> {
    same("product", &list.product, &asked.id.to_string())?;
    same("page", &list.page, &asked.page.saturating_sub(1))?;
    same("count", &list.count, &asked.count)?;
    at_most(list.results.len(), asked.count)?;
    for review in &list.results {
        review.check()?;
    }
    let pairs = list.results.iter().zip(list.results.iter().skip(1));
    for (before, after) in pairs {
        if !in_order(before, after, sort) {
            return Err(format!(
                "review {} stands before {}, which is not the order of {sort:?}",
                before.review_id, after.review_id
            ));
        }
    }
    Ok(())
}

/// True if one review may stand before another. Dates are ISO 8601, and so sort as texts do.
fn in_order(before: &Review, after: &Review, sort: Sort) -> bool {
    let key = |review: &Review| {
        let helpfulness = match sort {
            Sort::Newest => 0,
            Sort::Helpful | Sort::Relevant => review.helpfulness,
        };
        Reverse((helpfulness, review.date.clone(), review.review_id))
    };
    key(before) < key(after)
}

fn meta(meta: &Meta, asked: &Asked) -> Result<(), String> {
    same("product_id", &meta.product_id, &asked.id.to_string())?;
    let ratings = meta.sum("ratings", &meta.ratings, &["1", "2", "3", "4", "5"])?;
    let recommended = meta.sum("recommended", &meta.recommended, &["false", "true"])?;
    same("the sum of recommended", &recommended, &ratings)?;
    meta.check_means()
}

fn styles(styles: &Styles, asked: &Asked) -> Result<(), String> {
    same("product_id", &styles.product_id, &asked.id.to_string())?;
    for style in &styles.results {
        style.check()?;
    }
    Ok(())
}

fn related(ids: &[u64]) -> Result<(), String> {
    if ids.contains(&0) {
        return Err("a related product is 0".to_owned());
    }
    Ok(())
}

fn products(page: &Page, asked: &Asked) -> Result<(), String> {
    at_most(page.len(), asked.count)?;
    let ascending = page
        .iter()
        .is_sorted_by(|before, after| before.id < after.id);
    if ascending {
        Ok(())
    } else {
        Err("the ids do not ascend".to_owned())
    }
}

fn at_most(found: usize, asked: u64) -> Result<(), String> {
    if found as u64 <= asked {
        return Ok(());
    }
    Err(format!(
        "there are {found} results where {asked} were asked for"
    ))
}

#[cfg(test)]
mod tests;
