"""Counts the cases of tests/instructions with callgrind, and judges them by the record. See scripts/instructions.sh."""

import argparse
import concurrent.futures
import fnmatch
import math
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

# What a case may take, as a multiple of its record. One run of equal code is like the next but for the random keys of
# hash tables, which are worth up to 1 %.
CASE_MAX = 1.03
# What all may take together. Chance cancels out between the cases.
MEAN_MAX = 1.01
RUNS = 3
PROFILE_LINES = 25
RUN_SECONDS_MAX = 120

# The function that tests/instructions marks what is counted with.
MARK = "*counted_part_of_case*"

# What would depend on the machine: the number of its cores and the time (jemalloc), its vector instructions (the C
# library's copies). Everything else of the caller's environment is left out, since its size moves the stack.
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "_RJEM_MALLOC_CONF": "narenas:1,dirty_decay_ms:-1,muzzy_decay_ms:-1,background_thread:false",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM,-SSSE3",
}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--records", type=pathlib.Path, required=True)
    parser.add_argument("--allowances", type=pathlib.Path)
    parser.add_argument("--add", metavar="COMMIT", help="what the program was built from")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--profile")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def output(command):
    return subprocess.run(
        command, env=ENVIRONMENT, check=True, text=True, stdout=subprocess.PIPE, timeout=RUN_SECONDS_MAX
    ).stdout


def callgrind(program, case, profile):
    """Runs a case once; returns instructions and what they are to be divided by."""
    options = ["-q", "--tool=callgrind", f"--toggle-collect={MARK}", f"--callgrind-out-file={profile}"]
    units = int(output(["valgrind", *options, program, case]))
    totals = re.search(r"^totals: (\d+)$", profile.read_text(), re.MULTILINE)
    if not totals or int(totals[1]) == 0 or units == 0:
        sys.exit(f"instructions.sh: {case}: nothing was counted")
    return int(totals[1]), units


def count(program, cases):
    """Instructions per unit of each case."""
    with tempfile.TemporaryDirectory(prefix="micro-mq-instructions.") as folder:

        def once(case, run):
            profile = pathlib.Path(folder) / f"{cases.index(case)}.{run}"
            instructions, units = callgrind(program, case, profile)
            profile.unlink()
            return instructions / units

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = {case: [pool.submit(once, case, run) for run in range(RUNS)] for case in cases}
            return {case: statistics.median(run.result() for run in of) for case, of in runs.items()}


def circumstances():
    """What else may move the counts."""
    return f"{output(['valgrind', '--version']).strip()}, {' '.join(platform.libc_ver())}"


def rows_of(path):
    """The fields of each line that is no remark; nothing without the file."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    return [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]


def add_to_record(path, counted, commit):
    """Appends what is not recorded; what is stays as it is."""
    head = (
        "# Instructions per packet, message, filter or topic name, and the commit whose code took them. Only added to.\n"
        f"# With {circumstances()}.\n"
    )
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() if path.exists() else head
    rows = [f"{case}\t{instructions:.2f}\t{commit}\n" for case, instructions in counted.items()]
    path.write_text(before + "".join(rows))
    print(f"{len(rows)} cases added to {path}")


def read_allowances(path, all_cases):
    """What single cases may take as a multiple of their record, and why."""
    allowances = {}
    for row in rows_of(path):
        if len(row) != 3 or row[0] not in all_cases or not row[2].strip():
            sys.exit(f"instructions.sh: {path}: '{'  '.join(row)}' is not a case, a factor and a reason")
        allowances[row[0]] = (float(row[1]), row[2])
    return allowances


def geometric_mean(ratios):
    return math.exp(statistics.fmean(map(math.log, ratios)))


def judge(path, allowances_path, counted, all_cases):
    """Prints a line for each case and what all took together; returns the exit status."""
    record = {case: float(instructions) for case, instructions, _ in rows_of(path)}
    if not record:
        print(f"nothing is recorded for this compiler ({path.name}), so nothing is judged; --add does it")
        record_line = None
    else:
        record_line = path.read_text().splitlines()[1].removeprefix("# With ").removesuffix(".")
    allowances = read_allowances(allowances_path, all_cases)
    worse, unknown, ratios, others = [], [], [], []
    print(f"{'case':<40}{'recorded':>12}{'now':>12}{'ratio':>8}")
    for case, now in counted.items():
        before = record.get(case)
        if before is None:
            unknown.append(case)
            print(f"{case:<40}{'-':>12}{now:>12.1f}")
            continue
        ratio = now / before
        ratios.append(ratio)
        allowed, reason = allowances.get(case, (CASE_MAX, None))
        verdict = ""
        if ratio > allowed:
            worse.append(case)
            verdict = f"  worse than {allowed:g}"
        if reason is None:
            others.append(ratio)
        elif ratio <= CASE_MAX:
            verdict += f"  needs no allowance ({allowed:g}: {reason})"
        else:
            verdict += f"  allowed {allowed:g}: {reason}"
        print(f"{case:<40}{before:>12.1f}{now:>12.1f}{ratio:>8.3f}{verdict}")
    if record_line is None:
        return 0
    if record_line != circumstances():
        print(f"recorded with {record_line}; these counts are with {circumstances()}")
    gone = [case for case in record if case not in all_cases]
    named = ((worse, "worse than they may be"), (unknown, "not recorded (--add)"), (gone, "recorded and gone"))
    for cases, what in named:
        if cases:
            print(f"{what}: {', '.join(cases)}")
    if worse:
        print("scripts/instructions.sh --profile CASE shows where a case's instructions go")
    failed = len(worse) + len(unknown) + len(gone)
    if ratios:
        print(f"largest ratio {max(ratios):.3f}; one case may have {CASE_MAX:g}")
        print(f"geometric mean of all {len(ratios)}: {geometric_mean(ratios):.4f}")
    # Of a few cases it would be judged by chance.
    if others and len(counted) == len(all_cases):
        mean = geometric_mean(others)
        failed += mean > MEAN_MAX
        verdict = "worse than" if mean > MEAN_MAX else "may be"
        print(f"geometric mean of the {len(others)} without an allowance: {mean:.4f}; {verdict} {MEAN_MAX:g}")
    print(f"{len(counted) - len(worse) - len(unknown)} passed, {failed} failed")
    return 1 if failed else 0


def annotated(profile, inclusive):
    """Cost, source file and name of each function; what is inlined into it from another file stands by itself."""
    options = [f"--inclusive={inclusive}", "--auto=no", "--show-percs=no", "--threshold=100"]
    for line in output(["callgrind_annotate", *options, profile]).splitlines():
        found = re.match(r"\s*([\d,]+)\s+(\S+?):(.+?)(?: \[[^\[]*\])?$", line)
        if found:
            yield int(found[1].replace(",", "")), pathlib.Path(found[2]).name, re.sub(r"'\d+$", "", found[3])


def by_function(costs, join):
    functions = {}
    for cost, _, function in costs:
        functions[function] = join(functions.get(function, 0), cost)
    return functions


def show_profile(program, case):
    with tempfile.TemporaryDirectory(prefix="micro-mq-instructions.") as folder:
        profile = pathlib.Path(folder) / "profile"
        instructions, units = callgrind(program, case, profile)
        own, inclusive = list(annotated(profile, "no")), list(annotated(profile, "yes"))

    def show(title, costs):
        print(f"\n{title}: instructions for each, share")
        for function, cost in sorted(costs.items(), key=lambda item: -item[1])[:PROFILE_LINES]:
            print(f"{cost / units:>10.1f} {cost / instructions:>7.2%}  {function}")

    print(f"{case}: {instructions} instructions, {instructions / units:.1f} for each of {units}")
    show("functions by themselves, what is inlined included", by_function(own, int.__add__))
    show("the same, by the source file of what is inlined", {f"{name} ({file})": cost for cost, file, name in own})
    within = by_function(inclusive, max)
    # What lies around the mark, and the mark, is all of it.
    show("functions, callees included", {name: cost for name, cost in within.items() if cost < instructions})


def main():
    given = arguments()
    program = given.program
    all_cases = output([program, "--list"]).split()
    if given.list:
        print("\n".join(all_cases))
        return 0
    if given.profile:
        if given.profile not in all_cases:
            sys.exit(f"instructions.sh: no case '{given.profile}' (see --list)")
        show_profile(program, given.profile)
        return 0
    cases = [case for case in all_cases if not given.only or any(fnmatch.fnmatch(case, one) for one in given.only)]
    if not cases:
        sys.exit(f"instructions.sh: no case matches {', '.join(given.only)} (see --list)")
    if given.add:
        recorded = {row[0] for row in rows_of(given.records)}
        cases = [case for case in cases if case not in recorded]
        add_to_record(given.records, count(program, cases), given.add)
        return 0
    return judge(given.records, given.allowances, count(program, cases), all_cases)


if __name__ == "__main__":
    sys.exit(main())
