"""The brick orders: takes orders, and writes each down together with the event that tells of it (a transactional
outbox). What happens next is another brick's work, and the customer does not wait for it."""

import uuid

import brick

BATCH = 50
database = brick.Database(
    "CREATE TABLE placed (id TEXT PRIMARY KEY, item TEXT NOT NULL, email TEXT NOT NULL)",
    """CREATE TABLE outbox (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
                            item TEXT NOT NULL, email TEXT NOT NULL)""",
)


def place(request):
    """POST /api/orders"""
    wish = request.json()
    item, email = wish.get("item"), wish.get("email")
    if not isinstance(item, str) or not isinstance(email, str) or "@" not in email:
        raise brick.Problem(422, "invalid_order", "expected an item and an email such as ann@example.org")
    order, event = str(uuid.uuid4()), str(uuid.uuid4())
    with database as tx:
        tx.execute("INSERT INTO placed (id, item, email) VALUES (?, ?, ?)", (order, item, email))
        tx.execute(
            "INSERT INTO outbox (id, kind, item, email) VALUES (?, 'order.placed', ?, ?)", (event, item, email)
        )
    request.log("placed", order=order)
    return 202, {"id": order}


def waiting(_request):
    """GET /outbox: events that are to be worked off, oldest first. No route of the edge leads here."""
    with database as tx:
        rows = tx.execute("SELECT id, kind, item, email FROM outbox ORDER BY number LIMIT ?", (BATCH,))
        return {"items": [dict(zip(("id", "kind", "item", "email"), row)) for row in rows]}


def done(request):
    """POST /outbox/done: events that have been worked off."""
    ids = request.json().get("ids")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise brick.Problem(422, "invalid_ids", "expected a list of ids")
    with database as tx:
        tx.executemany("DELETE FROM outbox WHERE id = ?", [(one,) for one in ids])
    return 204, None


ROUTES = {("POST", "/api/orders"): place, ("GET", "/outbox"): waiting, ("POST", "/outbox/done"): done}

if __name__ == "__main__":
    brick.run(ROUTES)
