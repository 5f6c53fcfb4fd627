"""Which crates and modules know which. Started by scripts/doors.sh, which says how."""

import argparse
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The crates by their folders, each with those of the workspace that it may know.
CRATES = {
    "codec": set(),
    "actors/core": {"mqtt-codec"},
    "actors/store": set(),
    "actors/registry": set(),
    "actors/links": set(),
    "actors/cluster": {"mqtt-codec", "micro-mq-core"},
    "auth-actor": {"mqtt-codec"},
    "auth-actor/service": {"mqtt-codec", "auth-actor"},
    "actors": {"mqtt-codec", "micro-mq-core", "micro-mq-store", "micro-mq-cluster", "auth-actor"},
    "node/api": set(),
    "node": {
        "mqtt-codec", "micro-mq-core", "micro-mq-registry", "auth-actor", "auth-service", "micro-mq-actors",
        "micro-mq-api",
    },
    "bench": {"mqtt-codec"},
}
# What decides, and what keeps, knows no actor and no runtime, by no way round.
RUNTIMES = ("actix", "actix-rt", "tokio", "tokio-util")
WITHOUT = {"actors/core": RUNTIMES, "actors/store": RUNTIMES, "actors/cluster": (*RUNTIMES, "rdkafka")}
# Crates whose lib.rs names its modules in layers, with an empty line between two: a module knows those of the layers
# above its own, and none below.
LAYERED = {"actors", "actors/core", "actors/store", "actors/registry", "actors/links", "actors/cluster"}

TEST_ITEM = re.compile(r"#\[cfg\((?:test|any\(test[^\]]*)\)\]\s*(?:#\[[^\]]*\]\s*)*")
MODULE_LINE = re.compile(r"^(?:pub(?:\([^)]*\))? )?mod (\w+);", re.MULTILINE)


def without_comments_and_texts(source):
    """Lines stay where they are; what a comment or a literal says goes."""
    pattern = re.compile(
        r"""//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\[^']*|[^'\\\n])'""", re.DOTALL
    )
    return pattern.sub(lambda found: "\n" * found[0].count("\n"), source)


def end_of_item(source, start):
    """Where the item ends that begins here: at its `;`, or with its braces."""
    depth = 0
    for at in range(start, len(source)):
        letter = source[at]
        if letter == "{":
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                return at + 1
        elif letter == ";" and depth == 0:
            return at + 1
    return len(source)


def without_tests(source):
    while found := TEST_ITEM.search(source):
        end = end_of_item(source, found.end())
        source = source[: found.start()] + "\n" * source[found.start() : end].count("\n") + source[end:]
    return source


def expand(path):
    """`a::{b, c::{d, e}}` as `a::b`, `a::c::d` and `a::c::e`, each with the place in the text where it ends."""
    path = path.strip()
    brace = path.find("{")
    if brace < 0:
        return [path.split(" as ")[0].strip()]
    head, depth, parts, begin = path[:brace], 0, [], brace + 1
    for at in range(brace, len(path)):
        depth += {"{": 1, "}": -1}.get(path[at], 0)
        if (path[at] == "," and depth == 1) or depth == 0:
            parts.append(path[begin:at])
            begin = at + 1
        if depth == 0:
            break
    return [leaf for part in parts if part.strip() for leaf in expand(head + part.strip())]


@dataclass
class Crate:
    """The modules at the top of a crate, and where each names another."""

    name: str
    layers: list = field(default_factory=list)
    # From a module to those that it knows, each with a place where it does.
    arrows: dict = field(default_factory=dict)

    def add(self, source, target, place):
        if source != target:
            self.arrows.setdefault(source, {}).setdefault(target, place)

    def modules(self):
        return [module for layer in self.layers for module in layer]


def module_of(folder, file):
    """The names of a file's module from the top of its crate; none of lib.rs and main.rs."""
    names = list(file.relative_to(folder).with_suffix("").parts)
    if names[-1] in ("mod", "lib", "main"):
        names.pop()
    return names


def absolute(path, module):
    """The names behind `crate::`, of a path that a module at this place writes."""
    names = path.split("::")
    if names[0] == "crate":
        return names[1:]
    here = list(module)
    while names and names[0] in ("super", "self"):
        if names[0] == "super" and here:
            here.pop()
        names = names[1:]
    return here + names


def read_crate(name, folder):
    """The arrows of a crate; `folder` is that of its sources."""
    crate = Crate(name)
    tops = [top for top in (folder / "lib.rs", folder / "main.rs") if top.exists()]
    reexports, test_modules = {}, set()
    for top in tops:
        text = without_comments_and_texts(top.read_text())
        kept = without_tests(text)
        test_modules |= set(MODULE_LINE.findall(text)) - set(MODULE_LINE.findall(kept))
        for block in re.split(r"\n[ \t]*\n", kept):
            if layer := MODULE_LINE.findall(block):
                crate.layers.append(layer)
        for found in re.finditer(r"\bpub(?:\([^)]*\))? use ([^;]+);", kept):
            for leaf in expand(re.sub(r"\s+", " ", found[1])):
                names = leaf.removeprefix("crate::").removeprefix("self::").split("::")
                reexports[names[-1]] = names[0]
    modules = set(crate.modules())
    for file in sorted(folder.rglob("*.rs")):
        module = module_of(folder, file)
        if not module or "tests" in module or module[0] in test_modules or module[0] not in modules:
            continue
        text = without_tests(without_comments_and_texts(file.read_text()))
        for path, line in paths(text):
            names = absolute(path, module)
            target = names[0] if names and names[0] in modules else reexports.get(names[0] if names else None)
            if target in modules:
                crate.add(module[0], target, f"{file.relative_to(ROOT)}:{line}" if ROOT in file.parents else str(file))
    return crate


def paths(text):
    """Every path that begins at the crate or above, with its line."""
    for found in re.finditer(r"\buse ((?:crate|super|self)::[^;]+);", text):
        line = text.count("\n", 0, found.start()) + 1
        for leaf in expand(re.sub(r"\s+", " ", found[1])):
            yield leaf, line
    rest = re.sub(r"\buse [^;]+;", lambda found: "\n" * found[0].count("\n"), text)
    for found in re.finditer(r"\b(?:crate|super)(?:::\w+)+", rest):
        yield found[0], rest.count("\n", 0, found.start()) + 1


def cycles(arrows):
    """The sets of modules that know each other, each by some way."""
    reached = {}
    for start in arrows:
        seen, todo = set(), list(arrows[start])
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo.extend(arrows.get(module, ()))
        reached[start] = seen
    found = {frozenset([one, *(other for other in seen if one in reached.get(other, ()))])
             for one, seen in reached.items() if one in seen}
    return sorted(map(sorted, found))


def faults_within(crate, is_layered):
    """What leads where it may not between the modules of a crate, a line each."""
    faults = []
    for cycle in cycles(crate.arrows):
        faults.append(f"{crate.name}: a cycle of {', '.join(cycle)}")
        for source in cycle:
            for target, place in sorted(crate.arrows[source].items()):
                if target in cycle:
                    faults.append(f"    {source} -> {target}: {place}")
    if is_layered:
        layer_of = {module: at for at, layer in enumerate(crate.layers) for module in layer}
        for source, targets in sorted(crate.arrows.items()):
            for target, place in sorted(targets.items()):
                if layer_of[target] > layer_of[source]:
                    faults.append(f"{crate.name}: {source} -> {target} leads to a layer below: {place}")
    return faults


def faults_between(folder, allowed, names):
    """The crates of the workspace that a crate knows and may not; those of its tests do not count."""
    manifest = tomllib.loads((ROOT / folder / "Cargo.toml").read_text())
    known = set(manifest.get("dependencies", {})) & names
    return [f"{folder}: knows {name}, and may not" for name in sorted(known - allowed)]


def faults_below(folder, unwanted):
    """What a crate may not even know through others."""
    tree = ["cargo", "tree", "--quiet", "--locked", "--edges=normal", "--prefix=none", "--format={lib}"]
    manifest = tomllib.loads((ROOT / folder / "Cargo.toml").read_text())
    listed = subprocess.run(
        [*tree, "--package", manifest["package"]["name"]], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
    )
    found = {name.strip() for name in listed.stdout.split()}
    return [f"{folder}: knows {name}, if only by way of another" for name in unwanted
            if name.replace("-", "_") in found]


# The most lines that a file may have, and a function; tests as well.
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 80

FUNCTION = re.compile(r"^( *)(?:pub(?:\([^)]*\))? )?(?:(?:const|async|unsafe) )*fn (\w+)", re.MULTILINE)


def faults_of_size(file):
    """What in a file is too long, as rustfmt lays it out: a function ends with the brace below its first letter."""
    text = file.read_text()
    place, faults = file.relative_to(ROOT), []
    if (lines := text.count("\n")) > FILE_LINES_MAX:
        faults.append(f"{place}: {lines} lines; {FILE_LINES_MAX} at most")
    for found in FUNCTION.finditer(text):
        opened = re.compile(r"[{;]").search(text, found.end())
        if opened is None or opened[0] == ";":
            continue
        end = text.find(f"\n{found[1]}}}\n", found.start())
        line_end = text.find("\n", opened.end())
        if text[opened.end() : line_end].strip().endswith("}") or end < 0:
            continue
        lines = text.count("\n", found.start(), end) + 2
        if lines > FUNCTION_LINES_MAX:
            at = text.count("\n", 0, found.start()) + 1
            faults.append(f"{place}:{at}: {found[2]} has {lines} lines; {FUNCTION_LINES_MAX} at most")
    return faults


# Counters are there to be shown: nothing is decided by them. Who reads them shows them, or checks them.
COUNTER_READ = re.compile(r"\b(?:counters|ledger)\b(?:\.\w+)*\.(?:get|load)\(\)")
READERS = ("actors/src/metrics", "actors/src/simulation", "actors/src/admin.rs", "actors/src/sessions/actor.rs")


def faults_of_counters(file):
    """Where a counter is read by whoever is not to know it."""
    place = str(file.relative_to(ROOT))
    if not place.startswith(("actors/src", "actors/core/src")) or place.startswith(READERS) or "tests" in place:
        return []
    text = without_tests(without_comments_and_texts(file.read_text()))
    if place.endswith("testing.rs"):
        return []
    lines = [text.count("\n", 0, found.start()) + 1 for found in COUNTER_READ.finditer(text)]
    return [f"{place}:{line}: a counter is read, and nothing may be decided by one" for line in lines]


def sources():
    """All of the product's and of its tests' Rust, but what others wrote."""
    listed = subprocess.run(
        ["git", "ls-files", "*.rs"], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
    ).stdout.split()
    return [ROOT / name for name in listed if (ROOT / name).exists()]


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--arrows", action="store_true")
    wants_arrows = parser.parse_args().arrows
    names = {tomllib.loads((ROOT / folder / "Cargo.toml").read_text())["package"]["name"] for folder in CRATES}
    faults = []
    for folder, allowed in CRATES.items():
        crate = read_crate(folder, ROOT / folder / "src")
        if wants_arrows:
            print(f"{folder}:")
            for module in crate.modules():
                print(f"    {module} -> {', '.join(sorted(crate.arrows.get(module, {}))) or '(none)'}")
        faults += faults_between(folder, allowed, names)
        faults += faults_within(crate, folder in LAYERED)
        if folder in WITHOUT:
            faults += faults_below(folder, WITHOUT[folder])
    for file in sources():
        faults += faults_of_size(file) + faults_of_counters(file)
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
