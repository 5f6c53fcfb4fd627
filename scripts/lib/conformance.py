"""Joins the statements of MQTT with the tests that show them. Started by scripts/conformance.sh, which says how."""

import argparse
import difflib
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATEMENTS = ROOT / "tests" / "conformance"
TESTS = ROOT / "node" / "tests" / "it"
DOCUMENT = ROOT / "docs" / "conformance.md"

COLUMNS = ["number", "binds", "about", "why-not-shown"]
BINDS = {"both", "server"}
# What a version is called, where its statements stand, and how a test cites them.
VERSIONS = [("5.0", "mqtt-5.0.tsv", "MQTT-"), ("3.1.1", "mqtt-3.1.1.tsv", "MQTT311-")]

CITATION = re.compile(r"\[(MQTT(?:311)?-\d[\d.]*-\d+)\]")
TEST_ATTRIBUTE = re.compile(r"#\[(?:\w+::)*test\b")
IGNORE_ATTRIBUTE = re.compile(r"#\[ignore\b")
FUNCTION = re.compile(r"\s*(?:pub(?:\([^)]*\))? )?(?:async )?fn (\w+)")

HEAD = """\
# Conformance

Every normative statement of MQTT {versions} that binds a server, and the tests that show it.

This file is written by `scripts/conformance.sh`, from the statements in [tests/conformance](../tests/conformance) and
the doc comments of the tests in [node/tests/it](../node/tests/it), which name the statements that they show:
`[MQTT-3.1.0-1]` of 5.0, `[MQTT311-3.1.0-1]` of 3.1.1. `scripts/conformance.sh --check` fails if a statement has neither
a test nor a reason why none can show it, and if a test names a statement that there is not.

Each test runs a whole node and speaks to it over sockets. To run all of them, one folder, or one test of the tables:

```sh
cargo test -p micro-mq --test it
cargo test -p micro-mq --test it conformance
cargo test -p micro-mq --test it -- --exact {example}
```

The words are ours and only say what a statement is about; what holds is what the
[standard](https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html) says under its number.
"""


@dataclass
class Statement:
    """One line of a list."""

    number: str
    about: str
    why_not_shown: str


@dataclass
class Test:
    """A function that `cargo test` runs."""

    path: Path
    name: str
    ignored: bool
    cites: list[str]

    def link(self) -> str:
        """As the document names it."""
        return f"[{self.name}](../{self.path.relative_to(ROOT).as_posix()})"

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT).as_posix()}: {self.name}"


@dataclass
class Findings:
    """What is wrong, in the order found."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        self.lines.append(line)


def read_statements(path: Path, prefix: str, findings: Findings) -> list[Statement]:
    """The statements of one list, in its order."""
    name = path.relative_to(ROOT).as_posix()
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    if first.split("\t") != COLUMNS:
        findings.add(f"{name}:1: the columns are {first.split(chr(9))}, not {COLUMNS}")
        return []
    statements, seen = [], set()
    for line_number, line in enumerate(rest, 2):
        cells = line.split("\t")
        if len(cells) != len(COLUMNS):
            findings.add(f"{name}:{line_number}: {len(cells)} columns, not {len(COLUMNS)}")
            continue
        number, binds, about, why_not_shown = cells
        if not CITATION.fullmatch(f"[{number}]") or not number.startswith(prefix):
            findings.add(f"{name}:{line_number}: {number!r} is no number of this list")
        if number in seen:
            findings.add(f"{name}:{line_number}: {number} stands there twice")
        if binds not in BINDS:
            findings.add(f"{name}:{line_number}: binds {binds!r}, not one of {sorted(BINDS)}")
        if not about:
            findings.add(f"{name}:{line_number}: {number} does not say what it is about")
        seen.add(number)
        statements.append(Statement(number, about, why_not_shown))
    return statements


def module_of(path: Path) -> str:
    """The module that a file is, as cargo test names it."""
    parts = path.relative_to(TESTS).with_suffix("").parts
    return "::".join(parts[:-1] if parts[-1] == "mod" else parts)


def read_tests(path: Path) -> list[Test]:
    """The tests of a file. Attributes and doc comments are what stands right above a function."""
    tests, above = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        stripped = line.strip()
        if stripped.startswith(("///", "#[")):
            above.append(stripped)
            continue
        function = FUNCTION.match(line)
        if function and any(TEST_ATTRIBUTE.match(it) for it in above):
            docs = " ".join(it for it in above if it.startswith("///"))
            tests.append(
                Test(
                    path=path,
                    name=f"{module_of(path)}::{function.group(1)}",
                    ignored=any(IGNORE_ATTRIBUTE.match(it) for it in above),
                    cites=list(dict.fromkeys(CITATION.findall(docs))),
                )
            )
        above = []
    return tests


def cell(text: str) -> str:
    """A text of a list as it may stand in a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def table(statements: list[Statement], shown_by: dict[str, list[Test]]) -> str:
    """The lines of one version."""
    lines = ["| statement | about | shown by |", "| --- | --- | --- |"]
    for it in statements:
        tests = ", ".join(test.link() for test in shown_by.get(it.number, []))
        shown = tests or f"*not shown:* {cell(it.why_not_shown)}"
        lines.append(f"| {it.number} | {cell(it.about)} | {shown} |")
    return "\n".join(lines)


def judge(statements: list[Statement], tests: list[Test], findings: Findings) -> dict[str, list[Test]]:
    """Adds what is missing or wrong. Answers the tests of each statement."""
    known = {it.number for it in statements}
    shown_by: dict[str, list[Test]] = {}
    for test in tests:
        for number in test.cites:
            if number not in known:
                findings.add(f"{test}: cites {number}, which no list has")
            elif test.ignored:
                findings.add(f"{test}: is ignored, but cites {number}")
            shown_by.setdefault(number, []).append(test)
        if not test.cites and (TESTS / "conformance") in test.path.parents:
            findings.add(f"{test}: cites no statement")
    for it in statements:
        if it.number not in shown_by and not it.why_not_shown:
            findings.add(f"{it.number}: no test shows it ({it.about})")
        elif it.number in shown_by and it.why_not_shown:
            names = ", ".join(test.name for test in shown_by[it.number])
            findings.add(f"{it.number}: has a reason why it is not shown, but {names} shows it")
    return shown_by


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/conformance.sh")
    parser.add_argument("--check", action="store_true", help="change nothing, fail if anything is missing or wrong")
    check = parser.parse_args().check

    findings = Findings()
    lists = [
        (version, read_statements(STATEMENTS / name, prefix, findings))
        for version, name, prefix in VERSIONS
        if (STATEMENTS / name).exists()
    ]
    tests = sorted(
        (test for path in TESTS.rglob("*.rs") for test in read_tests(path)),
        key=lambda test: test.name,
    )
    shown_by = judge([it for _, statements in lists for it in statements], tests, findings)

    example = next((test.name for test in tests if test.cites), "connect::session_present")
    parts = [HEAD.format(versions=" and ".join(version for version, _ in lists), example=example)]
    for version, statements in lists:
        shown = sum(1 for it in statements if it.number in shown_by)
        counts = f"{len(statements)} statements: {shown} shown by tests, {len(statements) - shown} not, with the reason."
        parts.append(f"## MQTT {version}\n\n{counts}\n\n{table(statements, shown_by)}\n")
    document = "\n".join(parts)

    if check:
        there = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
        if there != document:
            findings.add(f"{DOCUMENT.relative_to(ROOT)}: not what scripts/conformance.sh writes:")
            changes = difflib.unified_diff(there.splitlines(), document.splitlines(), "is", "would be", "", "", 0, "")
            findings.lines.extend(list(changes)[:20])
    else:
        DOCUMENT.write_text(document, encoding="utf-8")
    for line in findings.lines:
        print(line, file=sys.stderr)
    return 1 if findings.lines else 0


if __name__ == "__main__":
    sys.exit(main())
