"""The brick mailer: works the outbox of orders off. An event may come twice (the answer to "done" can get lost), so
what was mailed is written down, and mailed once."""

import os

import brick

POLL_S = int(os.environ.get("POLL_MS", "1000")) / 1000  # [config.mailer] in brick.toml
database = brick.Database(
    "CREATE TABLE mail (number INTEGER PRIMARY KEY, event TEXT NOT NULL UNIQUE, email TEXT NOT NULL, subject TEXT NOT NULL)",
)


def mail(event):
    """"Sends" the mail: a real one would go to a mail server here."""
    subject = f"Your order: {event['item']}"
    with database as tx:
        row = (event["id"], event["email"], subject)
        new = tx.execute("INSERT OR IGNORE INTO mail (event, email, subject) VALUES (?, ?, ?)", row)
        if new.rowcount:
            brick.log("mailed", to=event["email"], subject=subject)


def work_off():
    """One round; how many events it took."""
    events = brick.call("orders", "GET", "/outbox")["items"]
    for event in events:
        mail(event)
    if events:
        brick.call("orders", "POST", "/outbox/done", {"ids": [event["id"] for event in events]})
    return len(events)


def work(stop):
    """Rounds until the brick is asked to stop; while orders is away the events wait there."""
    while not stop.wait(POLL_S):
        try:
            work_off()
        except brick.Problem as problem:
            brick.log(f"the outbox waits: {problem}", "warn")


def mails(_request):
    """GET /api/mails"""
    with database as tx:
        rows = tx.execute("SELECT email, subject FROM mail ORDER BY number DESC LIMIT 50")
        return {"items": [dict(zip(("email", "subject"), row)) for row in rows]}


ROUTES = {("GET", "/api/mails"): mails}

if __name__ == "__main__":
    brick.run(ROUTES, work)
