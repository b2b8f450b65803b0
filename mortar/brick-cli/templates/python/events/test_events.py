"""Each brick alone, what it needs mocked."""

import unittest

import brick
import kit
import mailer
import orders


class Orders(unittest.TestCase):
    def test_an_order_leaves_an_event_until_it_is_done(self):
        running = kit.Running(orders.ROUTES)
        self.addCleanup(running.stop)
        wish = {"item": "lamp", "email": "ann@example.org"}
        self.assertEqual(running.ask("POST", "/api/orders", wish)[0], 202)
        (event,) = running.ask("GET", "/outbox")[1]["items"]
        self.assertEqual(event["kind"], "order.placed")
        self.assertEqual(running.ask("POST", "/outbox/done", {"ids": [event["id"]]})[0], 204)
        self.assertEqual(running.ask("GET", "/outbox")[1]["items"], [])
        self.assertEqual(running.ask("POST", "/api/orders", {"item": "lamp"})[0], 422)


class Mailer(unittest.TestCase):
    def test_an_event_that_comes_again_and_again_is_mailed_once(self):
        def away(_request):
            raise brick.Problem(503, "away", "the answer gets lost")

        event = {"id": "e1", "kind": "order.placed", "item": "lamp", "email": "ann@example.org"}
        routes = {("GET", "/outbox"): lambda _request: {"items": [event]}, ("POST", "/outbox/done"): away}
        needed = kit.mock("orders", routes)
        self.addCleanup(needed.stop)
        for _ in range(2):
            self.assertRaises(brick.Problem, mailer.work_off)
        running = kit.Running(mailer.ROUTES)
        self.addCleanup(running.stop)
        (mail,) = running.ask("GET", "/api/mails")[1]["items"]
        self.assertEqual(mail["email"], "ann@example.org")


if __name__ == "__main__":
    unittest.main()
