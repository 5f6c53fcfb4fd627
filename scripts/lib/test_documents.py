"""What the documents say can be checked: that links lead somewhere, that the limits are those of the configuration and
have the counters that they name, that systemd understands the unit."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest

ROOT = pathlib.Path(__file__).parents[2]
SHIPPED = tomllib.loads((ROOT / "conf/micro-mq.toml").read_text())
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def documents():
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    return [ROOT / name for name in tracked.stdout.split() if (ROOT / name).exists()]


def anchors(document):
    """The names of its headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def shipped(key):
    """A key's default; nothing where there is no such key."""
    value = SHIPPED
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def rows(document):
    """The cells of all table rows of a document, without its headings."""
    lines = re.findall(r"^\| (.+) \|$", document.read_text(), re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines if not set(line) <= set("-| ")]


class Documents(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for document in documents():
            for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                linked = (document.parent / path).resolve() if path else document
                with self.subTest(document=document.name, target=target):
                    self.assertTrue(linked.exists(), "there is no such file")
                    if anchor and linked.suffix == ".md":
                        self.assertIn(anchor, anchors(linked))

    def test_keys_of_the_readme_are_there(self):
        sections = "|".join(SHIPPED)
        for name in ("README.md", "docs/limits.md", "docs/auth.md"):
            text = (ROOT / name).read_text()
            for key in re.findall(rf"`((?:{sections})\.[a-z0-9_.]+)`", text):
                with self.subTest(document=name, key=key):
                    self.assertTrue(shipped(key) is not None or key == "auth.file", "there is no such key")


class Limits(unittest.TestCase):
    TABLE = [row for row in rows(ROOT / "docs/limits.md") if re.fullmatch(r"`[a-z_.0-9]+`", row[1] if row[1:] else "")]

    def test_there_are_some(self):
        self.assertGreater(len(self.TABLE), 20)

    def test_defaults_are_those_of_the_configuration(self):
        for limit, key, default, *_ in self.TABLE:
            number = re.match(r"([\d,]+)(?: ([KMG]iB))?\b", default)
            if number is None:
                continue
            said = int(number[1].replace(",", "")) * UNITS.get(number[2], 1)
            with self.subTest(limit=limit):
                self.assertEqual(said, shipped(key.strip("`")))

    def test_counters_exist(self):
        folders = (ROOT / "actors/core/src", ROOT / "actors/src", ROOT / "node/src")
        sources = "".join(path.read_text() for folder in folders for path in folder.rglob("*.rs"))
        for cells in self.TABLE:
            for counter, reason in re.findall(r'`([a-z_0-9]+)_total(?:\{[a-z]+="([a-z_]+)"\})?`', cells[-1]):
                with self.subTest(counter=counter):
                    # Those of events are a list of names, which get their ending where they are rendered.
                    named = re.search(rf'"(micro_mq_)?{counter}_total|^ +{counter},$', sources, re.MULTILINE)
                    self.assertTrue(named, "there is no such counter")
                    self.assertTrue(not reason or f'"{reason}"' in sources, "there is no such reason")


class Compose(unittest.TestCase):
    def test_each_variable_is_a_key(self):
        compose = (ROOT / "docker/docker-compose.yml").read_text()
        variables = re.findall(r"^ +MICRO_MQ__([A-Z_0-9]+):", compose, re.MULTILINE)
        self.assertGreater(len(variables), 8)
        with open(ROOT / "conf/micro-mq.toml", "rb") as file:
            shipped = tomllib.load(file)
        for variable in variables:
            found = shipped
            for name in variable.lower().split("__"):
                with self.subTest(variable=variable):
                    self.assertIn(name, found)
                found = found[name]


@unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze here")
class Unit(unittest.TestCase):
    def test_systemd_understands_it(self):
        text = (ROOT / "conf/micro-mq.service").read_text()
        with tempfile.TemporaryDirectory() as folder:
            # What it starts is not installed here; any program stands for it.
            unit = pathlib.Path(folder) / "micro-mq.service"
            unit.write_text(text.replace("/usr/local/bin/micro-mq", sys.executable))
            verified = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", unit], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        complaints = [line for line in verified.stdout.splitlines() if "micro-mq" in line]
        self.assertEqual((verified.returncode, complaints), (0, []), verified.stdout)


if __name__ == "__main__":
    unittest.main()
