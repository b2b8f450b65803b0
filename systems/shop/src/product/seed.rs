//! The catalogue of the first start: made from word lists, the same on every machine.

use super::ProductForm;

const KINDS: [(&str, &str, i64); 10] = [
    ("Lamp", "lighting", 3_900),
    ("Vase", "decoration", 2_400),
    ("Teapot", "kitchen", 3_200),
    ("Mug", "kitchen", 1_400),
    ("Bowl", "kitchen", 1_900),
    ("Planter", "garden", 2_800),
    ("Tile set", "building", 5_500),
    ("Candle holder", "lighting", 1_700),
    ("Bookend", "decoration", 2_600),
    ("Bird bath", "garden", 7_400),
];
const FINISHES: [&str; 20] = [
    "Terracotta",
    "Slate",
    "Ochre",
    "Ivory",
    "Moss",
    "Cobalt",
    "Charcoal",
    "Rust",
    "Sand",
    "Celadon",
    "Ash",
    "Umber",
    "Pearl",
    "Indigo",
    "Copper",
    "Olive",
    "Chalk",
    "Plum",
    "Honey",
    "Basalt",
];

/// The first `count` products, `quantity` pieces each; at most 200.
pub(super) fn products(count: u32, quantity: i64) -> Vec<ProductForm> {
    let all = FINISHES.iter().enumerate().flat_map(|(shade, finish)| {
        KINDS.iter().map(move |(kind, category, price)| ProductForm {
            name: format!("{finish} {kind}"),
            description: format!(
                "{kind} of fired clay, {} finish. Made by hand, no two are alike.",
                finish.to_lowercase()
            ),
            category: (*category).to_owned(),
            price_cents: price + 50 * shade as i64,
            quantity,
        })
    });
    all.take(count as usize).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::products;

    #[test]
    fn the_catalogue_has_two_hundred_different_products() {
        let all = products(500, 1);
        let names: HashSet<&str> = all.iter().map(|product| product.name.as_str()).collect();
        assert_eq!((all.len(), names.len()), (200, 200));
    }
}
