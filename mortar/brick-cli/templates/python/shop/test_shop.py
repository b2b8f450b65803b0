"""Each brick alone, what it needs mocked."""

import unittest

import catalogue
import kit
import orders
import pages


class Catalogue(unittest.TestCase):
    def setUp(self):
        self.brick = kit.Running(catalogue.ROUTES)
        self.addCleanup(self.brick.stop)

    def test_products_are_listed_and_read(self):
        self.assertEqual(len(self.brick.ask("GET", "/api/products")[1]["items"]), 3)
        self.assertEqual(self.brick.ask("GET", "/api/products/lamp")[1]["price_cents"], 3_900)
        self.assertEqual(self.brick.ask("GET", "/api/products/none")[0], 404)


class Orders(unittest.TestCase):
    def setUp(self):
        lamp = {"name": "Lamp", "price_cents": 3_900}
        self.needed = kit.mock("catalogue", {("GET", "/api/products/lamp"): lambda _request: lamp})
        self.addCleanup(self.needed.stop)
        self.brick = kit.Running(orders.ROUTES)
        self.addCleanup(self.brick.stop)

    def test_an_order_is_placed_at_the_catalogues_price_and_kept(self):
        status, order = self.brick.ask("POST", "/api/orders", {"product_id": "lamp", "quantity": 2})
        self.assertEqual((status, order["total_cents"]), (201, 7_800))
        self.assertIn(order, self.brick.ask("GET", "/api/orders")[1]["items"])

    def test_what_cannot_be_ordered_is_refused(self):
        for product, quantity, expect in (("none", 1, 404), ("lamp", 0, 422), ("lamp", 11, 422)):
            wish = {"product_id": product, "quantity": quantity}
            self.assertEqual(self.brick.ask("POST", "/api/orders", wish)[0], expect, wish)


class Pages(unittest.TestCase):
    def test_the_page_is_served(self):
        running = kit.Running(pages.ROUTES)
        self.addCleanup(running.stop)
        status, page = running.ask("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn("/api/products", page)


if __name__ == "__main__":
    unittest.main()
