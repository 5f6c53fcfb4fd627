"""Counts the cases of tests/instructions with callgrind, and compares them with the record. See scripts/instructions.sh."""

import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

# Hash tables have random keys, so that equal work takes up to 1 % more or less; the medians of three runs, of programs
# built in different folders, were up to 1.7 % apart. What lies above this is no chance.
WORSE_PERCENT = 5.0
# So much better should be recorded, or the next regression hides behind it.
BETTER_PERCENT = 5.0
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
    parser.add_argument("--record", action="store_true")
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
            instructions, units = callgrind(program, case, pathlib.Path(folder) / f"{cases.index(case)}.{run}")
            return instructions / units

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = {case: [pool.submit(once, case, run) for run in range(RUNS)] for case in cases}
            return {case: statistics.median(run.result() for run in of) for case, of in runs.items()}


def circumstances():
    """What else may move the counts."""
    return f"{output(['valgrind', '--version']).strip()}, {' '.join(platform.libc_ver())}"


def read_record(path):
    if not path.exists():
        return None, {}
    lines = path.read_text().splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    remark = lines[1].removeprefix("# With ").removesuffix(".")
    return remark, {case: float(instructions) for case, instructions in rows}


def write_record(path, counted, all_cases):
    _, record = read_record(path)
    record |= counted
    path.parent.mkdir(exist_ok=True)
    rows = [f"{case}\t{record[case]:.2f}\n" for case in all_cases if case in record]
    head = (
        "# Instructions per packet, message, filter or topic name. Written by scripts/instructions.sh --record.\n"
        f"# With {circumstances()}.\n"
    )
    path.write_text(head + "".join(rows))
    print(f"recorded in {path}")


def compare(counted, record):
    """Prints a line for each case; returns those that are worse, better and not recorded."""
    worse, better, unknown = [], [], []
    print(f"{'case':<34}{'recorded':>12}{'now':>12}{'change':>9}")
    for case, now in counted.items():
        before = record.get(case)
        if before is None:
            unknown.append(case)
            print(f"{case:<34}{'-':>12}{now:>12.1f}")
            continue
        change = (now / before - 1) * 100
        verdict = ""
        if change > WORSE_PERCENT:
            worse.append(case)
            verdict = "  worse"
        elif change < -BETTER_PERCENT:
            better.append(case)
            verdict = "  better"
        print(f"{case:<34}{before:>12.1f}{now:>12.1f}{change:>+8.1f}%{verdict}")
    return worse, better, unknown


def judge(path, counted, all_cases):
    remark, record = read_record(path)
    worse, better, unknown = compare(counted, record)
    if remark is None:
        print(f"nothing is recorded for this compiler ({path.name}), so nothing is compared; --record does it")
        return 0
    if remark != circumstances():
        print(f"recorded with {remark}; these counts are with {circumstances()}")
    gone = [case for case in record if case not in all_cases]
    if better:
        print(f"better by more than {BETTER_PERCENT:g} %, to be recorded (--record): {', '.join(better)}")
    for names, what in ((worse, f"more than {WORSE_PERCENT:g} % worse"), (unknown, "not recorded"), (gone, "gone")):
        if names:
            print(f"{what}: {', '.join(names)}")
    if worse or unknown or gone:
        print("scripts/instructions.sh --profile CASE shows where a case's instructions go; --record records these")
    failed = len(worse) + len(unknown) + len(gone)
    print(f"{len(counted) - len(worse) - len(unknown)} cases hold, {failed} do not")
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
    all_cases = output([given.program, "--list"]).split()
    if given.list:
        print("\n".join(all_cases))
        return 0
    if given.profile:
        if given.profile not in all_cases:
            sys.exit(f"instructions.sh: no case '{given.profile}' (see --list)")
        show_profile(given.program, given.profile)
        return 0
    cases = [case for case in all_cases if not given.only or any(fnmatch.fnmatch(case, one) for one in given.only)]
    if not cases:
        sys.exit(f"instructions.sh: no case matches {', '.join(given.only)} (see --list)")
    counted = count(given.program, cases)
    if given.record:
        write_record(given.records, counted, all_cases)
        return 0
    return judge(given.records, counted, all_cases)


if __name__ == "__main__":
    sys.exit(main())
