"""The brick catalogue: what can be bought."""

import brick

PRODUCTS = {
    "kiln": {"id": "kiln", "name": "Kiln", "price_cents": 89_900},
    "trowel": {"id": "trowel", "name": "Trowel", "price_cents": 1_950},
    "lamp": {"id": "lamp", "name": "Lamp", "price_cents": 3_900},
}


def products(_request):
    """GET /api/products"""
    return {"items": list(PRODUCTS.values())}


def product(request):
    """GET /api/products/{id}"""
    found = PRODUCTS.get(request.params["id"])
    if not found:
        raise brick.Problem(404, "unknown_product", f"there is no product \"{request.params['id']}\"")
    return found


ROUTES = {("GET", "/api/products"): products, ("GET", "/api/products/{id}"): product}

if __name__ == "__main__":
    brick.run(ROUTES)
