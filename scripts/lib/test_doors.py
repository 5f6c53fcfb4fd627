"""What scripts/doors.sh sees, and what it does not count."""

import pathlib
import tempfile
import unittest
from unittest import mock

import doors


def crate(**files):
    """The arrows of a crate of these sources: a file per name, `__` for a folder."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name.replace("__", "/") + ".rs")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return doors.read_crate("crate", pathlib.Path(folder))


def arrows(**files):
    return {source: sorted(targets) for source, targets in crate(**files).arrows.items()}


class Arrows(unittest.TestCase):
    MODULES = "mod a;\npub mod b;\npub(crate) mod c;\n"

    def seen(self, text, **others):
        return arrows(lib=self.MODULES, a=text, b="", c="", **others).get("a", [])

    def test_by_use_and_by_path(self):
        self.assertEqual(self.seen("use crate::b::Thing;"), ["b"])
        self.assertEqual(self.seen("pub use crate::{b::{One, Two}, c};"), ["b", "c"])
        self.assertEqual(self.seen("fn f() -> crate::c::Thing { super::b::thing() }"), ["b", "c"])
        self.assertEqual(self.seen("use super::{\n    b::Thing as Other,\n    c::*,\n};"), ["b", "c"])

    def test_from_within_a_folder(self):
        files = {"a__mod": "mod inner;", "a__inner": "use super::super::b::Thing;\nuse super::own;"}
        self.assertEqual(arrows(lib=self.MODULES, b="", c="", **files), {"a": ["b"]})

    def test_what_the_crate_shows_is_its_modules(self):
        self.assertEqual(arrows(lib=self.MODULES + "pub use b::Thing;", a="use crate::Thing;", b=""), {"a": ["b"]})

    def test_not_by_comments_texts_and_tests(self):
        self.assertEqual(self.seen('/// [it](crate::b::Thing)\nconst TEXT: &str = "crate::b::x";'), [])
        self.assertEqual(self.seen("#[cfg(test)]\nmod tests {\n    use crate::b::Thing;\n    fn f() {}\n}\n"), [])
        self.assertEqual(self.seen("#[cfg(test)]\nuse crate::b::Thing;\nuse crate::c::Other;"), ["c"])
        self.assertEqual(self.seen("", a__tests="use crate::b::Thing;"), [])
        self.assertEqual(self.seen('fn f() { g(\'"\', "\\"", \'\\\'\'); crate::b::h() }'), ["b"])

    def test_the_place_is_that_of_the_line(self):
        found = crate(lib=self.MODULES, a="\n/* two\nlines */\nuse crate::b::Thing;\n", b="").arrows
        self.assertEqual(found["a"]["b"].split("/")[-1], "a.rs")


class Faults(unittest.TestCase):
    LAYERS = "pub mod leaf;\npub mod other;\n\npub mod tree;\n"

    def faults(self, **files):
        return doors.faults_within(crate(lib=self.LAYERS, **files), True)

    def test_one_way_is_right(self):
        self.assertEqual(self.faults(tree="use crate::leaf::A;", other="use crate::leaf::A;", leaf=""), [])

    def test_a_cycle(self):
        files = {"leaf": "use crate::other::A;", "other": "use crate::leaf::B;"}
        self.assertIn("a cycle of leaf, other", self.faults(**files)[0])

    def test_the_wrong_way(self):
        self.assertIn("leaf -> tree leads to a layer below", self.faults(leaf="use crate::tree::A;", tree="")[0])


class Sources(unittest.TestCase):
    def faults(self, name, text, find):
        with tempfile.TemporaryDirectory() as root, mock.patch.object(doors, "ROOT", pathlib.Path(root)):
            file = pathlib.Path(root, "actors/src", name)
            file.parent.mkdir(parents=True)
            file.write_text(text)
            return find(file)

    def test_a_function_may_have_80_lines(self):
        body = lambda lines: "    pub fn long(\n        &self,\n    ) {\n" + "        act();\n" * (lines - 4) + "    }\n"
        self.assertEqual(self.faults("a.rs", body(80), doors.faults_of_size), [])
        self.assertIn("long has 81 lines", self.faults("a.rs", body(81), doors.faults_of_size)[0])

    def test_a_file_may_have_500(self):
        self.assertEqual(self.faults("a.rs", "\n" * 500, doors.faults_of_size), [])
        self.assertIn("501 lines", self.faults("a.rs", "\n" * 501, doors.faults_of_size)[0])

    def test_nothing_is_decided_by_a_counter(self):
        text = "fn f(&self) { if self.counters.held.online.get() > 1 { g() } }\n"
        self.assertIn("a counter is read", self.faults("a.rs", text, doors.faults_of_counters)[0])
        self.assertEqual(self.faults("a.rs", "fn f(&self) { self.counters.takeovers.add(1) }\n", doors.faults_of_counters), [])


if __name__ == "__main__":
    unittest.main()
