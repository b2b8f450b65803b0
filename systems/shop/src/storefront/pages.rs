//! The pages: plain HTML that works without script, except for the cart, which is the browser's own.

use axum::response::Html;
use brickwork::{Problem, axum, path_segment};

use super::html::text;
use super::session::Session;
use super::{Catalogue, Order, Product};
use crate::money::display;

const CATEGORIES: [&str; 5] = ["building", "decoration", "garden", "kitchen", "lighting"];

/// The frame of every page.
fn page(session: Option<&Session>, title: &str, body: &str) -> Html<String> {
    let account = match session {
        Some(session) => format!(
            "<a href=\"/orders\">Your orders</a><span class=\"who\">{}</span>
             <form method=\"post\" action=\"/signout\"><button class=\"plain\">Sign out</button></form>",
            text(&session.name)
        ),
        None => "<a href=\"/signup\">Sign up</a><a href=\"/signin\">Sign in</a>".to_owned(),
    };
    let signed_in = session.is_some();
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title} · Kiln &amp; Clay</title>
<link rel=\"icon\" href=\"/assets/shop.svg\"><link rel=\"stylesheet\" href=\"/assets/shop.css\"><script type=\"module\" src=\"/assets/shop.js\"></script></head>
<body data-signed-in=\"{signed_in}\"><a class=\"skip\" href=\"#main\">Skip to content</a>
<header><a class=\"brand\" href=\"/\">Kiln &amp; Clay</a>
<form class=\"search\" role=\"search\" action=\"/\"><input name=\"q\" type=\"search\" aria-label=\"Search products\"
 placeholder=\"Search\"><button>Search</button></form>
<nav aria-label=\"Account\">{account}<a href=\"/cart\">Cart <span id=\"cart-count\" class=\"count\">0</span></a></nav></header>
<main id=\"main\">{body}</main><footer>A reference system of Brickwork.</footer></body></html>",
        title = text(title),
    ))
}

fn card(product: &Product) -> String {
    format!(
        "<li class=\"card\"><a href=\"/products/{href}\"><span class=\"tile {category}\" aria-hidden=\"true\"></span>
         <span class=\"name\">{name}</span></a><span class=\"price\">{price}</span>{add}</li>",
        href = path_segment(&product.id),
        category = text(&product.category),
        name = text(&product.name),
        price = display(product.price_cents),
        add = add_button(product),
    )
}

fn add_button(product: &Product) -> String {
    if product.quantity == 0 {
        return "<span class=\"gone\">Sold out</span>".to_owned();
    }
    format!(
        "<button class=\"add\" data-id=\"{id}\" data-name=\"{name}\" data-price=\"{price}\">Add to cart</button>",
        id = text(&product.id),
        name = text(&product.name),
        price = product.price_cents,
    )
}

/// Search results.
pub(super) fn catalogue(
    session: Option<&Session>,
    q: &str,
    category: &str,
    found: &Catalogue,
) -> Html<String> {
    let tabs: String = CATEGORIES
        .iter()
        .map(|name| {
            let current = if *name == category {
                " aria-current=\"page\""
            } else {
                ""
            };
            format!("<a href=\"/?category={name}\"{current}>{name}</a>")
        })
        .collect();
    let heading = if q.is_empty() {
        "Everything of fired clay".to_owned()
    } else {
        format!("“{}”", text(q))
    };
    let list: String = found.items.iter().map(card).collect();
    let empty = if found.items.is_empty() {
        "<p class=\"empty\">Nothing found. Try fewer words.</p>"
    } else {
        ""
    };
    let more = found.next.as_deref().map_or_else(String::new, |cursor| {
        let (q, category, cursor) = (path_segment(q), path_segment(category), path_segment(cursor));
        format!(
            "<p class=\"more\"><a href=\"/?q={q}&amp;category={category}&amp;cursor={cursor}\">More</a></p>"
        )
    });
    let body = format!(
        "<nav class=\"tabs\" aria-label=\"Categories\"><a href=\"/\">all</a>{tabs}</nav><h1>{heading}</h1>{empty}
         <ul class=\"grid\">{list}</ul>{more}"
    );
    page(session, "Catalogue", &body)
}

/// One product, and what goes with it.
pub(super) fn product(
    session: Option<&Session>,
    product: &Product,
    others: &[Product],
    express: bool,
) -> Html<String> {
    let recommended = if others.is_empty() {
        String::new()
    } else {
        let list: String = others.iter().map(card).collect();
        format!("<h2>Goes well with it</h2><ul class=\"grid\">{list}</ul>")
    };
    let body = format!(
        "<article class=\"product\"><span class=\"tile large {category}\" aria-hidden=\"true\"></span><div><h1>{name}</h1>
         <p>{description}</p><p class=\"price\">{price}</p><p class=\"stock\">{quantity} in stock</p>{add}{buy}
         <p id=\"checkout-state\" role=\"status\"></p></div></article>
         {recommended}",
        category = text(&product.category),
        name = text(&product.name),
        description = text(&product.description),
        price = display(product.price_cents),
        quantity = product.quantity,
        add = add_button(product),
        buy = if express && product.quantity > 0 {
            format!(" <button class=\"buy\" data-id=\"{}\">Buy now</button>", text(&product.id))
        } else {
            String::new()
        },
    );
    page(session, &product.name, &body)
}

/// The cart; the script fills it from local storage.
pub(super) fn cart(session: Option<&Session>) -> Html<String> {
    let action = if session.is_some() {
        "<button id=\"place\" class=\"primary\">Place order</button>"
    } else {
        "<a class=\"primary\" href=\"/signin\">Sign in to check out</a>"
    };
    let body = format!(
        "<h1>Cart</h1><p id=\"cart-empty\" class=\"empty\">Your cart is empty.</p>
         <div id=\"cart-full\" hidden><table><thead><tr><th>Product</th><th>Pieces</th><th>Price</th><th></th></tr></thead>
         <tbody id=\"cart-lines\"></tbody></table><p class=\"sum\">Sum <strong id=\"cart-sum\"></strong></p>
         <h2>Checkout</h2>{action}</div><p id=\"checkout-state\" role=\"status\"></p>"
    );
    page(session, "Cart", &body)
}

fn alert(problem: Option<&str>) -> String {
    problem.map_or_else(String::new, |problem| {
        format!("<p class=\"alert\" role=\"alert\">{}</p>", text(problem))
    })
}

/// The sign-in form.
pub(super) fn signin(session: Option<&Session>, email: &str, problem: Option<&str>) -> Html<String> {
    let body = format!(
        "<form class=\"account\" method=\"post\" action=\"/signin\"><h1>Sign in</h1>{alert}
         <label>E-mail <input name=\"email\" type=\"email\" autocomplete=\"username\" required value=\"{email}\"></label>
         <label>Password <input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>
         <button class=\"primary\">Sign in</button><p>New here? <a href=\"/signup\">Sign up</a></p></form>",
        alert = alert(problem),
        email = text(email),
    );
    page(session, "Sign in", &body)
}

/// The sign-up form.
pub(super) fn signup(session: Option<&Session>, problem: Option<&str>) -> Html<String> {
    let body = format!(
        "<form class=\"account\" method=\"post\" action=\"/signup\"><h1>Sign up</h1>{alert}
         <label>Name <input name=\"name\" autocomplete=\"name\" required maxlength=\"100\"></label>
         <label>E-mail <input name=\"email\" type=\"email\" autocomplete=\"username\" required></label>
         <label>Address <input name=\"address\" autocomplete=\"street-address\" required maxlength=\"300\"></label>
         <label>Password <input name=\"password\" type=\"password\" autocomplete=\"new-password\" minlength=\"8\"
         maxlength=\"128\" required></label><button class=\"primary\">Sign up</button></form>",
        alert = alert(problem),
    );
    page(session, "Sign up", &body)
}

/// One's orders.
pub(super) fn orders(session: &Session, orders: &[Order]) -> Html<String> {
    let rows: String = orders
        .iter()
        .map(|order| {
            format!(
                "<tr><td><a href=\"/orders/{id}\">{at}</a></td><td>{status}</td><td>{pieces}</td><td>{sum}</td></tr>",
                id = path_segment(&order.id),
                at = text(order.placed_at.get(..16).unwrap_or(&order.placed_at)),
                status = text(&order.status),
                pieces = order.lines.iter().map(|line| line.quantity).sum::<i64>(),
                sum = display(order.total_cents),
            )
        })
        .collect();
    let body = if orders.is_empty() {
        "<h1>Your orders</h1><p class=\"empty\">You have not ordered anything yet.</p>".to_owned()
    } else {
        format!(
            "<h1>Your orders</h1><table><thead><tr><th>Placed</th><th>Status</th><th>Pieces</th><th>Sum</th></tr></thead>
             <tbody>{rows}</tbody></table>"
        )
    };
    page(Some(session), "Your orders", &body)
}

/// One order.
pub(super) fn order(session: &Session, order: &Order) -> Html<String> {
    let rows: String = order
        .lines
        .iter()
        .map(|line| {
            let sum = display(line.price_cents * line.quantity);
            format!(
                "<tr><td>{}</td><td>{}</td><td>{sum}</td></tr>",
                text(&line.name),
                line.quantity
            )
        })
        .collect();
    let shipment = order.shipment.as_deref().unwrap_or("not known right now");
    let body = format!(
        "<h1>Your order</h1><p class=\"stock\">{id}</p><p>Status <strong>{status}</strong>, parcel
         <strong>{shipment}</strong></p><table><thead><tr><th>Product</th><th>Pieces</th><th>Price</th></tr></thead>
         <tbody>{rows}</tbody></table><p class=\"sum\">Sum <strong>{sum}</strong></p>",
        id = text(&order.id),
        status = text(&order.status),
        shipment = text(shipment),
        sum = display(order.total_cents),
    );
    page(Some(session), "Order", &body)
}

/// What went wrong.
pub(super) fn failure(problem: &Problem, trace_id: Option<&str>) -> Html<String> {
    let trace = trace_id.map_or_else(String::new, |id| {
        format!("<p class=\"stock\">Trace {}</p>", text(id))
    });
    let body = format!(
        "<h1>{title}</h1><p role=\"alert\">{detail}</p>{trace}<p><a href=\"/\">Back to the catalogue</a></p>",
        title = text(&problem.title),
        detail = text(problem.summary()),
    );
    page(None, &problem.title, &body)
}
