"""The brick {{name}}, alone."""

import unittest

import hello
import kit


class Hello(unittest.TestCase):
    def setUp(self):
        self.brick = kit.Running(hello.ROUTES)
        self.addCleanup(self.brick.stop)

    def test_a_guest_is_greeted_by_name(self):
        self.assertEqual(self.brick.ask("GET", "/hello?name=Ann"), (200, {"message": "Hello, Ann!"}))

    def test_what_is_not_there_is_a_problem(self):
        status, problem = self.brick.ask("GET", "/nothing")
        self.assertEqual((status, problem["code"]), (404, "not_found"))


if __name__ == "__main__":
    unittest.main()
