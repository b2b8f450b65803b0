"""The brick orders: takes orders, at the price that the catalogue says, and keeps them."""

import os
import urllib.parse
import uuid

import brick

QUANTITY_MAX = int(os.environ.get("QUANTITY_MAX", "10"))  # [config.orders] in brick.toml
database = brick.Database(
    """CREATE TABLE placed (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, product TEXT NOT NULL,
                            quantity INTEGER NOT NULL, total_cents INTEGER NOT NULL)""",
)


def place(request):
    """POST /api/orders"""
    wish = request.json()
    product_id, quantity = wish.get("product_id"), wish.get("quantity")
    if not isinstance(product_id, str) or not isinstance(quantity, int) or not 1 <= quantity <= QUANTITY_MAX:
        raise brick.Problem(422, "invalid_order", f"expected a product_id and a quantity of 1 to {QUANTITY_MAX}")
    product = request.call("catalogue", "GET", "/api/products/" + urllib.parse.quote(product_id, safe=""))
    order = {
        "id": str(uuid.uuid4()),
        "product": product["name"],
        "quantity": quantity,
        "total_cents": product["price_cents"] * quantity,
    }
    with database as tx:
        tx.execute(
            "INSERT INTO placed (id, product, quantity, total_cents) VALUES (:id, :product, :quantity, :total_cents)",
            order,
        )
    request.log("placed", order=order["id"], total_cents=order["total_cents"])
    return 201, order


def orders(_request):
    """GET /api/orders"""
    with database as tx:
        rows = tx.execute("SELECT id, product, quantity, total_cents FROM placed ORDER BY number DESC LIMIT 50")
        return {"items": [dict(zip(("id", "product", "quantity", "total_cents"), row)) for row in rows]}


ROUTES = {("GET", "/api/orders"): orders, ("POST", "/api/orders"): place}

if __name__ == "__main__":
    brick.run(ROUTES)
