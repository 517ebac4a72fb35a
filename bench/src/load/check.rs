//! Whether an answer's body is right: of the product asked, complete, typed and in the order asked for.
//!
//! Owns the judgement, against the contract and what was asked, and must not know how the body came.
//! Speaks the current dialect alone. What a body should say beyond that it does not know: a list may
//! be shorter than asked, for the product may have no more reviews.

use std::cmp::Reverse;

use serde_json::Value;

use crate::load::mix::Asked;
use crate::load::workload::{Kind, Request, Sort};

/// Bodies that others must be like: the same keys with values of the same types, and every element of an
/// array like the first. `"?"` is a text or null, `"+"` a number or null; the key `*` is any key.
const LIST: &str = r#"{"product":"","page":0,"count":0,"results":[{"review_id":0,"rating":0,"summary":"",
    "recommend":true,"response":"?","body":"","date":"","reviewer_name":"","helpfulness":0,
    "photos":[{"id":0,"url":""}]}]}"#;
const META: &str = r#"{"product_id":"","ratings":{"*":""},"recommended":{"*":""},
    "characteristics":{"*":{"id":0,"value":"?"}}}"#;
const STYLES: &str = r#"{"product_id":"","results":[{"style_id":0,"name":"","original_price":"",
    "sale_price":"?","default?":true,"photos":[{"thumbnail_url":"?","url":"?"}],
    "skus":{"*":{"quantity":"+","size":"?"}}}]}"#;
const PRODUCT: &str = r#"{"id":0,"name":"","slogan":"","description":"","category":"","default_price":"",
    "features":[{"feature":"","value":"?"}]}"#;
const PRODUCTS: &str =
    r#"[{"id":0,"name":"","slogan":"","description":"","category":"","default_price":""}]"#;
const RELATED: &str = "[0]";
const DATE: &[u8] = b"0000-00-00T00:00:00.000Z";

/// Says what is wrong with the body, if anything is.
pub(crate) fn check(request: &Request, asked: &Asked, body: &[u8]) -> Result<(), String> {
    let id = asked.id;
    match request.kind {
        Kind::List => list(&parse(body, LIST)?, request.sort, asked),
        Kind::Meta => meta(&parse(body, META)?, id),
        Kind::Styles => styles(&parse(body, STYLES)?, id),
        Kind::Product => same("id", of(&parse(body, PRODUCT)?, "id"), &id.into()),
        Kind::Related if elements(&parse(body, RELATED)?).contains(&0.into()) => {
            Err("a related product is 0".to_owned())
        }
        Kind::Products => products(&parse(body, PRODUCTS)?, asked),
        Kind::Helpful | Kind::Report if !body.is_empty() => {
            Err("there is a body where none should be".to_owned())
        }
        // The text of a review's answer is not in the documents that clients go by; its status says all.
        Kind::Related | Kind::Post | Kind::Helpful | Kind::Report => Ok(()),
    }
}

fn parse(body: &[u8], model: &str) -> Result<Value, String> {
    let body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let model = serde_json::from_str(model).map_err(|error| error.to_string())?;
    alike("the body", &body, &model)?;
    Ok(body)
}

fn alike(key: &str, found: &Value, model: &Value) -> Result<(), String> {
    let fits = match (found, model) {
        (Value::Object(found), Value::Object(model)) => {
            let any = model.get("*");
            if let Some(missing) = model
                .keys()
                .find(|key| any.is_none() && !found.contains_key(*key))
            {
                return Err(format!("{missing} is missing in {key}"));
            }
            for (key, value) in found {
                let model = any.or_else(|| model.get(key));
                let model = model.ok_or_else(|| format!("{key} is unknown"))?;
                alike(key, value, model)?;
            }
            true
        }
        (Value::Array(found), Value::Array(model)) => {
            let mut pairs = found.iter().zip(model.iter().cycle());
            pairs.try_for_each(|(found, model)| alike(key, found, model))?;
            true
        }
        (Value::Null, Value::String(model)) => model == "?" || model == "+",
        (Value::Number(found), Value::String(model)) => model == "+" && found.is_u64(),
        (Value::String(_), Value::String(model)) => model != "+",
        (Value::Number(found), Value::Number(_)) => found.is_u64(),
        (Value::Bool(_), Value::Bool(_)) => true,
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(format!("{key} has the wrong type: {found}"))
}

/// The value of a key, which is there in a body that is like its model.
fn of<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn same(key: &str, found: &Value, asked: &Value) -> Result<(), String> {
    if found == asked {
        return Ok(());
    }
    Err(format!("{key} is {found} where {asked} was asked for"))
}

fn list(list: &Value, sort: Option<Sort>, asked: &Asked) -> Result<(), String> {
    same("product", of(list, "product"), &asked.id.to_string().into())?;
    same(
        "page",
        of(list, "page"),
        &asked.page.saturating_sub(1).into(),
    )?;
    same("count", of(list, "count"), &asked.count.into())?;
    let reviews = elements(of(list, "results"));
    at_most(reviews, asked.count)?;
    for review in reviews {
        let id = of(review, "review_id");
        let rating = of(review, "rating");
        if !(1..=5).any(|known| *rating == known) {
            return Err(format!("review {id} has the rating {rating}"));
        }
        let date = of(review, "date").as_str().unwrap_or_default();
        let fits = |(byte, model): (u8, &u8)| match model {
            b'0' => byte.is_ascii_digit(),
            _ => byte == *model,
        };
        if date.len() != DATE.len() || !date.bytes().zip(DATE).all(fits) {
            return Err(format!("review {id} has the date {date:?}"));
        }
        if of(review, "response") == "null" {
            return Err(format!("review {id} has the word null for a response"));
        }
        let id_of = |photo: &Value| of(photo, "id").as_u64();
        let photos = elements(of(review, "photos"));
        if !photos.is_sorted_by(|before, after| id_of(before) < id_of(after)) {
            return Err(format!("the photos of review {id} do not ascend"));
        }
    }
    // Dates are ISO 8601, and so sort as texts do.
    let key = |review: &Value| {
        let helpful = sort != Some(Sort::Newest);
        let helpfulness = of(review, "helpfulness").as_u64().filter(|_| helpful);
        let date = of(review, "date").as_str().map(str::to_owned);
        Reverse((helpfulness, date, of(review, "review_id").as_u64()))
    };
    if !reviews.is_sorted_by(|before, after| key(before) < key(after)) {
        return Err(format!("the reviews are not in the order of {sort:?}"));
    }
    Ok(())
}

fn meta(meta: &Value, id: u64) -> Result<(), String> {
    same("product_id", of(meta, "product_id"), &id.to_string().into())?;
    let sum = |name: &str, keys: &[&str]| {
        let mut sum = 0;
        for (key, count) in of(meta, name).as_object().into_iter().flatten() {
            match count.as_str().map(str::parse::<u64>) {
                Some(Ok(count @ 1..)) if keys.contains(&key.as_str()) => sum += count,
                _ => return Err(format!("{name} has {key}: {count}")),
            }
        }
        Ok(sum)
    };
    let ratings = sum("ratings", &["1", "2", "3", "4", "5"])?;
    let recommended = sum("recommended", &["false", "true"])?;
    same(
        "the sum of recommended",
        &recommended.into(),
        &ratings.into(),
    )?;
    for (name, characteristic) in of(meta, "characteristics")
        .as_object()
        .into_iter()
        .flatten()
    {
        let Some(mean) = of(characteristic, "value").as_str() else {
            continue;
        };
        // Means are from 1 to 5, with 16 decimals.
        let decimals = mean
            .split_once('.')
            .map_or(0, |(_, decimals)| decimals.len());
        let within = mean
            .parse()
            .is_ok_and(|mean: f64| (1.0..=5.0).contains(&mean));
        if decimals != 16 || !within {
            return Err(format!("{name} is {mean}"));
        }
    }
    Ok(())
}

fn styles(styles: &Value, id: u64) -> Result<(), String> {
    same(
        "product_id",
        of(styles, "product_id"),
        &id.to_string().into(),
    )?;
    for style in elements(of(styles, "results")) {
        let id = of(style, "style_id");
        let skus = of(style, "skus").as_object();
        let mut skus = skus.into_iter().flat_map(serde_json::Map::keys).peekable();
        if elements(of(style, "photos")).is_empty() || skus.peek().is_none() {
            return Err(format!(
                "style {id} has no photos or skus, not even the empty ones"
            ));
        }
        if let Some(sku) = skus.find(|sku| *sku != "null" && sku.parse::<u64>().is_err()) {
            return Err(format!("style {id} has the sku {sku:?}"));
        }
    }
    Ok(())
}

fn products(page: &Value, asked: &Asked) -> Result<(), String> {
    at_most(elements(page), asked.count)?;
    let id = |product: &Value| of(product, "id").as_u64();
    if elements(page).is_sorted_by(|before, after| id(before) < id(after)) {
        Ok(())
    } else {
        Err("the ids do not ascend".to_owned())
    }
}

fn at_most(found: &[Value], asked: u64) -> Result<(), String> {
    if found.len() as u64 <= asked {
        return Ok(());
    }
    let found = found.len();
    Err(format!(
        "there are {found} results where {asked} were asked for"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Workload;

    const REVIEW: &str = r#"{"review_id":5,"rating":3,"summary":"s","recommend":true,"response":null,"body":"b","date":"2021-03-17T13:28:37.620Z","reviewer_name":"n","helpfulness":5,"photos":[{"id":1,"url":"https://x"}]}"#;
    const RIGHT_META: &str = r#"{"product_id":"2","ratings":{"2":"1","5":"4"},"recommended":{"false":"2","true":"3"},"characteristics":{"Quality":{"id":5,"value":"4.2000000000000000"},"Fit":{"id":6,"value":null}}}"#;
    const RIGHT_STYLES: &str = r#"{"product_id":"2","results":[{"style_id":1,"name":"n","original_price":"140","sale_price":null,"default?":true,"photos":[{"thumbnail_url":"https://x","url":"https://y"}],"skus":{"1":{"quantity":8,"size":"XS"}}},{"style_id":2,"name":"n","original_price":"140","sale_price":"100","default?":false,"photos":[{"thumbnail_url":null,"url":null}],"skus":{"null":{"quantity":null,"size":null}}}]}"#;
    const RIGHT_PRODUCT: &str = r#"{"id":2,"name":"n","slogan":"s","description":"d","category":"c","default_price":"140","features":[{"feature":"Fabric","value":"Canvas"},{"feature":"Cut","value":null}]}"#;

    fn judged(request: &str, body: &str) -> Result<(), String> {
        let text = format!(
            "about = 'x'\nplan = {{ rate = 1, duration = '1s' }}\nrequest = [{{ kind = {request} }}]"
        );
        let workload = Workload::parse("x", &text).unwrap();
        let asked = Asked {
            id: 2,
            page: 1,
            count: 5,
            ..Asked::default()
        };
        check(&workload.requests[0], &asked, body.as_bytes())
    }

    fn list_of(reviews: &[String]) -> String {
        let reviews = reviews.join(",");
        format!(r#"{{"product":"2","page":0,"count":5,"results":[{reviews}]}}"#)
    }

    fn review(id: u64, date: &str, helpfulness: u64) -> String {
        REVIEW
            .replace("\"review_id\":5", &format!("\"review_id\":{id}"))
            .replace("2021-03-17", date)
            .replace(
                "\"helpfulness\":5",
                &format!("\"helpfulness\":{helpfulness}"),
            )
    }

    fn listed_product() -> String {
        RIGHT_PRODUCT
            .split(",\"features\"")
            .next()
            .unwrap()
            .to_owned()
            + "}"
    }

    #[test]
    fn right_bodies_are_accepted() {
        for (request, body) in [
            ("'list'", list_of(&[])),
            ("'list'", list_of(&[REVIEW.to_owned()])),
            ("'meta'", RIGHT_META.to_owned()),
            (
                "'meta'",
                r#"{"product_id":"2","ratings":{},"recommended":{},"characteristics":{}}"#
                    .to_owned(),
            ),
            ("'styles'", RIGHT_STYLES.to_owned()),
            ("'styles'", r#"{"product_id":"2","results":[]}"#.to_owned()),
            ("'product'", RIGHT_PRODUCT.to_owned()),
            ("'related'", "[2,3,8,7,3]".to_owned()),
            ("'products'", format!("[{}]", listed_product())),
            ("'helpful'", String::new()),
            ("'post'", "Created".to_owned()),
        ] {
            assert_eq!(judged(request, &body), Ok(()), "{body}");
        }
    }

    #[test]
    fn the_order_of_a_list_is_checked() {
        let newest = [
            review(3, "2021-03-17", 1),
            review(9, "2021-03-16", 9),
            review(8, "2021-03-16", 10),
        ];
        let helpful = [
            review(3, "2020-01-01", 9),
            review(9, "2021-01-01", 8),
            review(1, "2020-12-31", 8),
        ];
        for (request, right, wrong) in [
            ("'list', sort = 'newest'", &newest, &helpful),
            ("'list', sort = 'helpful'", &helpful, &newest),
            ("'list', sort = 'relevant'", &helpful, &newest),
            ("'list'", &helpful, &newest),
        ] {
            assert_eq!(judged(request, &list_of(right)), Ok(()));
            let error = judged(request, &list_of(wrong)).unwrap_err();
            assert!(error.contains("not in the order of"), "{error}");
        }
        let twice = [REVIEW.to_owned(), REVIEW.to_owned()];
        assert!(judged("'list'", &list_of(&twice)).is_err());
    }

    /// The kind of the request, a part of its right body, the faulty part, and what is said of it.
    const FAULTS: &str = r#"
list ; "product":"2" ; "product":"3" ; product is "3" where "2"
list ; "product":"2" ; "product":2 ; product has the wrong type
list ; "page":0 ; "page":1 ; page is 1 where 0
list ; "count":5 ; "count":6 ; count is 6 where 5
list ; "rating":3 ; "rating":6 ; has the rating 6
list ; "rating":3 ; "rating":"3" ; rating has the wrong type
list ; "recommend":true ; "recommend":1 ; recommend has the wrong type
list ; "response":null, ;  ; response is missing
list ; "response":null ; "response":"null" ; the word null
list ; "body":"b" ; "body":null ; body has the wrong type
list ; 2021-03-17T13:28:37.620Z ; 2021-03-17 ; has the date
list ; "photos":[ ; "email":"x","photos":[ ; email is unknown
list ; [{"id":1, ; [{"id":2,"url":"a"},{"id":1, ; do not ascend
list ; ]} ; ] ; expected `,` or `}`
list ; REVIEW ; SIX ; 6 results where 5
meta ; "2","ratings" ; "20","ratings" ; product_id is "20"
meta ; "5":"4" ; "6":"4" ; has 6: "4"
meta ; "5":"4" ; "5":4 ; 5 has the wrong type
meta ; "5":"4" ; "5":"3" ; the sum of recommended is 5 where 4
meta ; "false":"2" ; "no":"2" ; has no: "2"
meta ; "5":"4" ; "5":"4","1":"0" ; has 1: "0"
meta ; 4.2000000000000000 ; 4.2 ; Quality is 4.2
meta ; 4.2000000000000000 ; 5.2000000000000000 ; Quality is 5.2
meta ; ,"value":null ;  ; value is missing in Fit
styles ; "default?":true ; "default?":1 ; default? has the wrong type
styles ; "sale_price":null, ;  ; sale_price is missing
styles ; {"1":{"quantity":8,"size":"XS"}} ; {} ; no photos or skus
styles ; {"1": ; {"XS": ; has the sku "XS"
styles ; "quantity":8 ; "quantity":"8" ; quantity has the wrong type
product ; "id":2 ; "id":3 ; id is 3 where 2
product ; "140" ; 140 ; default_price has the wrong type
related ; 2 ; 0 ; is 0
related ; 2 ; "2" ; the body has the wrong type
products ; [] ; TWICE ; do not ascend
report ;  ; done ; a body where none"#;

    #[test]
    fn every_fault_is_found() {
        let six: Vec<String> = (0..6).map(|id| review(9 - id, "2021-03-17", 1)).collect();
        let twice = format!("[{},{}]", listed_product(), listed_product());
        for line in FAULTS.trim().lines() {
            let line = line.replace("REVIEW", REVIEW);
            let line = line.replace("SIX", &six.join(",")).replace("TWICE", &twice);
            let [kind, from, to, expected] = line.split(" ; ").collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let right = match kind {
                "list" => list_of(&[REVIEW.to_owned()]),
                "meta" => RIGHT_META.to_owned(),
                "styles" => RIGHT_STYLES.to_owned(),
                "product" => RIGHT_PRODUCT.to_owned(),
                "related" => "[1,2]".to_owned(),
                "products" => "[]".to_owned(),
                _ => String::new(),
            };
            let body = right.replacen(from, to, 1);
            assert_ne!(body, right, "{line}");
            let error = judged(&format!("'{kind}'"), &body).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
