//! A whole product as JSON: read from a body with every fault at its place, and written.
//!
//! Styles and skus are objects by their ids, so that a merge patch can name one of them. Must not know the
//! store. Invariant: what is written is read back as the same product.

use crate::json::JsonWriter;
use crate::model::ProductId;
use crate::model::catalogue::{
    CataloguePart, WholeFeature, WholePhoto, WholeProduct, WholeSku, WholeStyle,
};
use crate::reads::parameters;
use crate::store::SkuUpdate;
use crate::validation::{FaultLocation, ValidationError, ValidationErrors};
use crate::writes::document::{Json, Members};

/// A product that was read, or all that is wrong with it.
pub(super) type ReadDocument = Result<WholeProduct, Vec<ValidationError>>;

/// An object of the document, whose members are taken one after the other.
struct DocumentPart<'d> {
    members: Members,
    /// Its place, as a JSON pointer.
    pointer: String,
    faults: &'d mut ValidationErrors,
}

/// The keys of the styles and of their skus, as the document spells them.
type SpelledKeys = Vec<(String, Vec<String>)>;

/// The place of a member of the object at a place.
fn member_of(pointer: &str, name: &str) -> String {
    let name = name.replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{name}")
}

impl DocumentPart<'_> {
    fn fault(&mut self, name: &str, what: &str) {
        add_fault(self.faults, member_of(&self.pointer, name), what);
    }

    /// Takes a member; `null` is as good as none.
    fn take(&mut self, name: &str) -> Option<Json> {
        let given = self.members.remove(name);
        given.filter(|given| *given != Json::Null)
    }

    /// A text, which may be missing where there is another one for it.
    fn text(&mut self, name: &str, missing: Option<&str>) -> String {
        match (self.take(name), missing) {
            (Some(Json::Text(text)), _) => return text,
            (None, Some(missing)) => return missing.to_owned(),
            (None, None) => self.fault(name, "is missing"),
            (Some(_), _) => self.fault(name, "must be a text"),
        }
        String::new()
    }

    fn nullable(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            None => return None,
            Some(Json::Text(text)) => return Some(text),
            Some(_) => self.fault(name, "must be a text or null"),
        }
        None
    }

    /// A price as a text, or as a whole number.
    fn price(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            None => return None,
            Some(Json::Text(text)) => return Some(text),
            Some(Json::Number(Some(price))) => return Some(price.to_string()),
            Some(_) => self.fault(name, "must be a text such as \"140.00\""),
        }
        // A price, so that this is its only fault.
        Some("0".to_owned())
    }

    fn required_price(&mut self, name: &str) -> String {
        self.price(name).unwrap_or_else(|| {
            self.fault(name, "is missing");
            "0".to_owned()
        })
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.take(name) {
            None => return false,
            Some(Json::Flag(flag)) => return flag,
            Some(_) => self.fault(name, "must be true or false"),
        }
        false
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let given = self.take(name)?;
        if let Json::Number(Some(number)) = given {
            return Some(number);
        }
        self.fault(name, "must be a whole number, zero or more");
        Some(1)
    }

    fn list(&mut self, name: &str) -> Vec<Json> {
        match self.take(name) {
            None => return Vec::new(),
            Some(Json::List(list)) => return list,
            Some(_) => self.fault(name, "must be a list"),
        }
        Vec::new()
    }

    fn object(&mut self, name: &str) -> Members {
        match self.take(name) {
            None => return Members::new(),
            Some(Json::Object(members)) => return members,
            Some(_) => self.fault(name, "must be an object by ids"),
        }
        Members::new()
    }

    /// Reads a part at a place below, unless it is no object.
    fn below<T>(
        &mut self,
        pointer: String,
        json: Json,
        read: impl FnOnce(&mut DocumentPart<'_>) -> T,
    ) -> Option<T> {
        let Json::Object(members) = json else {
            add_fault(self.faults, pointer, "must be an object");
            return None;
        };
        let mut part = DocumentPart {
            members,
            pointer,
            faults: self.faults,
        };
        let read = read(&mut part);
        part.finish();
        Some(read)
    }

    /// Reads the objects of a list.
    fn each<T>(&mut self, name: &str, read: fn(&mut DocumentPart<'_>) -> T) -> Vec<T> {
        let list = self.list(name).into_iter().enumerate();
        let place = member_of(&self.pointer, name);
        list.filter_map(|(index, json)| self.below(format!("{place}/{index}"), json, read))
            .collect()
    }

    /// Reads the objects by ids, with the keys as they are spelled.
    fn each_by_id<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&mut DocumentPart<'_>, u64) -> T,
    ) -> Vec<(String, T)> {
        let place = member_of(&self.pointer, name);
        let mut all = Vec::new();
        for (key, json) in self.object(name) {
            let pointer = member_of(&place, &key);
            let Some(id) = parameters::id(&key) else {
                let what = "must be named by its id, a positive whole number";
                add_fault(self.faults, pointer, what);
                continue;
            };
            all.extend(
                self.below(pointer, json, |part| read(part, id))
                    .map(|one| (key, one)),
            );
        }
        all
    }

    /// Names the members that nothing was made of.
    fn finish(&mut self) {
        for name in std::mem::take(&mut self.members).into_keys() {
            self.fault(&name, "is not known here");
        }
    }
}

fn add_fault(faults: &mut ValidationErrors, pointer: String, what: &str) {
    let detail = format!("{pointer} {what}");
    faults.add(FaultLocation::Pointer(pointer), detail);
}

/// Reads the product of an object, whose `id` may be missing where the path has it.
pub(super) fn read(members: Members, in_path: Option<ProductId>) -> ReadDocument {
    let mut faults = ValidationErrors::default();
    let mut part = DocumentPart {
        members,
        pointer: String::new(),
        faults: &mut faults,
    };
    let id = product_id(&mut part, in_path);
    let mut keys = SpelledKeys::new();
    let mut styles = Vec::new();
    let read = |part: &mut DocumentPart<'_>, id| style(part, id);
    for (key, (style, skus)) in part.each_by_id("styles", read) {
        keys.push((key, skus));
        styles.push(style);
    }
    let product = WholeProduct {
        id,
        name: part.text("name", None),
        slogan: part.text("slogan", Some("")),
        description: part.text("description", Some("")),
        category: part.text("category", Some("")),
        default_price: part.required_price("default_price"),
        features: part.each("features", |part| WholeFeature {
            feature: part.text("feature", None),
            value: part.nullable("value"),
        }),
        styles,
        related: related(&mut part),
    };
    part.finish();
    for fault in product.faults() {
        add_fault(&mut faults, pointer_of(fault.part, &keys), fault.reason);
    }
    if faults.is_empty() {
        Ok(product)
    } else {
        Err(faults.into_vec())
    }
}

fn product_id(part: &mut DocumentPart<'_>, in_path: Option<ProductId>) -> ProductId {
    let in_body = part.number("id").map(ProductId);
    match (in_body, in_path) {
        (Some(body), Some(path)) if body != path => {
            part.fault("id", "differs from the one in the path");
            path
        }
        (_, Some(id)) | (Some(id), None) => id,
        (None, None) => {
            part.fault("id", "is missing");
            ProductId(1)
        }
    }
}

fn related(part: &mut DocumentPart<'_>) -> Vec<ProductId> {
    let mut related = Vec::new();
    for (index, json) in part.list("related").into_iter().enumerate() {
        if let Json::Number(Some(id)) = json {
            related.push(ProductId(id));
        } else {
            let pointer = format!("/related/{index}");
            add_fault(part.faults, pointer, "must be the id of a product");
        }
    }
    related
}

/// A style, and the keys of its skus.
fn style(part: &mut DocumentPart<'_>, id: u64) -> (WholeStyle, Vec<String>) {
    let sku = |part: &mut DocumentPart<'_>, id| WholeSku {
        id,
        size: part.text("size", None),
        quantity: part.number("quantity").unwrap_or_else(|| {
            part.fault("quantity", "is missing");
            0
        }),
    };
    let (keys, skus) = part.each_by_id("skus", sku).into_iter().unzip();
    let style = WholeStyle {
        id,
        name: part.text("name", None),
        original_price: part.required_price("original_price"),
        sale_price: part.price("sale_price"),
        default: part.flag("default?"),
        photos: part.each("photos", |part| WholePhoto {
            url: part.text("url", None),
            thumbnail_url: part.text("thumbnail_url", None),
        }),
        skus,
    };
    (style, keys)
}

/// The place of a part in the document.
fn pointer_of(part: CataloguePart, keys: &SpelledKeys) -> String {
    let style = |at: usize| {
        let key = keys.get(at).map_or("", |(key, _)| key);
        format!("/styles/{key}")
    };
    match part {
        CataloguePart::Id => "/id".to_owned(),
        CataloguePart::DefaultPrice => "/default_price".to_owned(),
        CataloguePart::Related(at) => format!("/related/{at}"),
        CataloguePart::StyleId(at) => style(at),
        CataloguePart::OriginalPrice(at) => format!("{}/original_price", style(at)),
        CataloguePart::SalePrice(at) => format!("{}/sale_price", style(at)),
        CataloguePart::SkuId(at, index) => {
            let skus = keys.get(at).map(|(_, skus)| skus.as_slice());
            let key = skus.and_then(|skus| skus.get(index));
            format!("{}/skus/{}", style(at), key.map_or("", String::as_str))
        }
    }
}

/// Reads the new values of a stock keeping unit.
pub(super) fn read_sku(members: Members) -> Result<SkuUpdate, Vec<ValidationError>> {
    let mut faults = ValidationErrors::default();
    let mut part = DocumentPart {
        members,
        pointer: String::new(),
        faults: &mut faults,
    };
    let update = SkuUpdate {
        quantity: part.number("quantity"),
        size: part.nullable("size"),
    };
    part.finish();
    if update == SkuUpdate::default() && faults.is_empty() {
        add_fault(
            &mut faults,
            "/quantity".to_owned(),
            "is missing, and so is /size",
        );
    }
    if faults.is_empty() {
        Ok(update)
    } else {
        Err(faults.into_vec())
    }
}

/// Returns the document of a product.
pub(super) fn write(product: &WholeProduct) -> Vec<u8> {
    let mut json = JsonWriter::with_capacity(2048);
    json.raw(r#"{"id":"#).number(product.id.0);
    for (name, text) in [
        ("name", &product.name),
        ("slogan", &product.slogan),
        ("description", &product.description),
        ("category", &product.category),
        ("default_price", &product.default_price),
    ] {
        json.raw(",").text(name).raw(":").text(text);
    }
    json.raw(r#","features":["#);
    json.joined(&product.features, |json, one| {
        json.raw(r#"{"feature":"#)
            .text(&one.feature)
            .raw(r#","value":"#)
            .text_or_null(one.value.as_deref())
            .raw("}");
    });
    json.raw(r#"],"styles":{"#);
    json.joined(&product.styles, write_style);
    json.raw(r#"},"related":["#);
    json.joined(&product.related, |json, id| {
        json.number(id.0);
    });
    json.raw("]}");
    json.into_bytes()
}

fn write_style(json: &mut JsonWriter, style: &WholeStyle) {
    json.number_text(style.id)
        .raw(r#":{"name":"#)
        .text(&style.name)
        .raw(r#","original_price":"#)
        .text(&style.original_price)
        .raw(r#","sale_price":"#)
        .text_or_null(style.sale_price.as_deref())
        .raw(r#","default?":"#)
        .raw(if style.default { "true" } else { "false" })
        .raw(r#","photos":["#);
    json.joined(&style.photos, |json, photo| {
        json.raw(r#"{"thumbnail_url":"#)
            .text(&photo.thumbnail_url)
            .raw(r#","url":"#)
            .text(&photo.url)
            .raw("}");
    });
    json.raw(r#"],"skus":{"#);
    json.joined(&style.skus, |json, sku| {
        json.number_text(sku.id)
            .raw(r#":{"quantity":"#)
            .number(sku.quantity)
            .raw(r#","size":"#)
            .text(&sku.size)
            .raw("}");
    });
    json.raw("}}");
}

/// Applies a merge patch (RFC 7396) to a value.
pub(super) fn merge(value: Json, patch: Json) -> Json {
    let Json::Object(patch) = patch else {
        return patch;
    };
    let mut members = match value {
        Json::Object(members) => members,
        _ => Members::new(),
    };
    for (name, patch) in patch {
        let before = members.remove(&name);
        if patch != Json::Null {
            let merged = merge(before.unwrap_or(Json::Null), patch);
            members.insert(name, merged);
        }
    }
    Json::Object(members)
}

#[cfg(test)]
mod tests;
