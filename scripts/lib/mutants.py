"""What scripts/mutants.sh does with files and figures: the copy that is mutated, the sample, the verdict."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

SURVIVORS_MAX = 0.05
# What cargo-mutants calls them.
SURVIVED = "MissedMutant"
WORDS = {"CaughtMutant": "caught", "Timeout": "timeout", "Unviable": "unviable", SURVIVED: "survived"}


def copy_tree(root: Path, tree: Path) -> None:
    """Makes `tree` equal to what git knows of `root`, uncommitted changes included. Files that did not change are not
    touched, so that cargo builds only what did."""
    listed = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True).stdout.decode().split("\0")
    wanted = {name for name in names if name and (root / name).is_file()}
    for name in wanted:
        content, target = (root / name).read_bytes(), tree / name
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    for target in [path for path in tree.rglob("*") if path.is_file()]:
        if str(target.relative_to(tree)) not in wanted:
            target.unlink()


def without_place(name: str) -> str:
    """A mutant's name without line and column, which change with every edit above it."""
    return re.sub(r":\d+:\d+: ", ": ", name, count=1)


def keyed(names: list[str]) -> dict[str, str]:
    """Each mutant's key: its name without its place, numbered where several are called the same."""
    keys, seen = {}, {}
    for name in names:
        bare = without_place(name)
        seen[bare] = seen.get(bare, 0) + 1
        keys[name] = bare if seen[bare] == 1 else f"{bare} ({seen[bare]})"
    return keys


def pattern(names: list[str]) -> str:
    return "|".join(f"^{re.escape(name)}$" for name in names)


def names_in(folder: Path) -> list[str]:
    """All mutants of what the program consists of; what only its simulation has looks at it, and is no part of it."""
    listed = json.loads((folder / "listed.json").read_text())
    return [mutant["name"] for mutant in listed if not is_of_simulation(folder / "tree", mutant)]


def is_of_simulation(tree: Path, mutant: dict) -> bool:
    if not mutant["function"]:
        return False
    lines = (tree / mutant["file"]).read_text().splitlines()
    span = mutant["function"]["span"]
    return any('cfg(feature = "simulation")' in line for line in lines[span["start"]["line"] - 1 : span["end"]["line"]])


def choose(folder: Path, size: int, seed: str) -> None:
    """A random sample that the seed decides. An edit elsewhere does not change whether a mutant is in it."""
    keys = keyed(names_in(folder))
    ranked = sorted(keys, key=lambda name: hashlib.sha256(f"{seed} {keys[name]}".encode()).digest())
    chosen = set(ranked[:size])
    (folder / "chosen").write_text("".join(f"{name}\n" for name in keys if name in chosen))


def chosen_in(folder: Path) -> list[str]:
    return (folder / "chosen").read_text().splitlines()


def outcomes(folder: Path) -> dict[str, str]:
    """What became of each chosen mutant. Those that survive a stage come into the next."""
    found = {}
    for stage in ("first", "second", "third"):
        path = folder / stage / "mutants.out/outcomes.json"
        for outcome in json.loads(path.read_text())["outcomes"] if path.exists() else []:
            if isinstance(outcome["scenario"], dict):
                found[outcome["scenario"]["Mutant"]["name"]] = outcome["summary"]
    # cargo-mutants lets some kinds of mutants through whatever pattern it is given: they are no part of the sample.
    return {name: found[name] for name in chosen_in(folder)}


def kept(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("\t", 1) for line in lines)


def unexplained(folder: Path, reasons: dict[str, str]) -> list[str]:
    """The survivors that the list does not hold."""
    keys = keyed(names_in(folder))
    survivors = [name for name, summary in outcomes(folder).items() if summary == SURVIVED]
    return [name for name in survivors if keys[name] not in reasons]


def judge(folders: list[Path], kept_path: Path) -> int:
    """Prints the figures of all crates together."""
    total = dict.fromkeys(WORDS.values(), 0)
    reasons, missing = kept(kept_path), []
    for folder in folders:
        keys = keyed(names_in(folder))
        for name, summary in outcomes(folder).items():
            total[WORDS[summary]] += 1
            if summary == SURVIVED:
                print(f"survived: {name}: {reasons.get(keys[name], 'not explained')}")
        missing += [keys[name] for name in unexplained(folder, reasons)]
    viable = total["caught"] + total["timeout"] + total["survived"]
    share = total["survived"] / viable if viable else 1.0
    for key in missing:
        print(f"not in {kept_path.name}: {key}")
    print(
        f"{viable} mutants: {total['caught']} caught by a test, {total['timeout']} by the time limit, "
        f"{total['survived']} survived ({share:.1%}; {SURVIVORS_MAX:.0%} at most); "
        f"{total['unviable']} more did not compile"
    )
    return 0 if share <= SURVIVORS_MAX and not missing else 1


def main() -> int:
    match sys.argv[1:]:
        case ["copy", root, tree]:
            copy_tree(Path(root), Path(tree))
        case ["choose", folder, size, seed]:
            choose(Path(folder), int(size), seed)
        case ["chosen", folder]:
            print(pattern(chosen_in(Path(folder))))
        case ["unexplained", folder, kept_path]:
            print(pattern(unexplained(Path(folder), kept(Path(kept_path)))))
        case ["files", folder, kept_path]:
            names = unexplained(Path(folder), kept(Path(kept_path)))
            print("\n".join(sorted({f"--file={name.split(':')[0]}" for name in names})))
        case ["judge", kept_path, *folders]:
            return judge([Path(folder) for folder in folders], Path(kept_path))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
