"""Tests of what the shell scripts share: the closing lines of test.sh and .ci/run, what is
repeated because the machine was busy, and the installing of packages."""

import os
import pathlib
import subprocess
import tempfile
import unittest

LIB = pathlib.Path(__file__).parent
SOURCES = "".join(f". {LIB}/{name}.sh; " for name in ("common", "summary", "starvation"))

# The closing lines of each runner, and what they say.
RUNNERS = {
    "cargo": (
        "test a::b ... ok\ntest c::d ... FAILED\n\nfailures:\n\ntest result: FAILED. 7 passed; 1 failed; 0 ignored\n"
        "test result: ok. 3 passed; 0 failed; 0 ignored; finished in 1.00s\n",
        (10, 1),
        ["c::d"],
    ),
    "pytest": (
        "FAILED tests/x.py::test_one[mqttv5] - AssertionError: no\n=== 1 failed, 20 passed, 1 error in 3.20s ===\n",
        (20, 2),
        ["tests/x.py::test_one[mqttv5]"],
    ),
    "unittest": (
        "FAIL: test_x (test_y.Z.test_x)\nRan 6 tests in 0.2s\n\nFAILED (failures=1, errors=1)\n",
        (4, 2),
        ["test_x (test_y.Z.test_x)"],
    ),
    "unittest that passes": ("Ran 6 tests in 0.2s\n\nOK (skipped=1)\n", (6, 0), []),
    "node": (
        "✔ one (1.2ms)\n\x1b[31m✖ two (3.4ms)\x1b[39m\nℹ pass 1\nℹ fail 1\n✖ failing tests:\n✖ two (3.4ms)\n",
        (1, 1),
        ["two"],
    ),
    "vitest": (
        " \x1b[41m FAIL \x1b[49m src/lib/a.test.ts > one\n      \x1b[2mTests\x1b[22m  \x1b[31m1 failed\x1b[39m | 3 passed (4)\n",
        (3, 1),
        ["src/lib/a.test.ts > one"],
    ),
    "go": (
        "=== RUN   TestX\n=== RUN   TestX/tcp\n--- FAIL: TestX (0.02s)\n    --- FAIL: TestX/tcp (0.01s)\n--- PASS: TestY (0.26s)\n"
        "FAIL\nFAIL\tmicro-mq-client-tests\t0.305s\n",
        (1, 1),
        ["TestX"],
    ),
    "one of these scripts": (
        "test c::d ... FAILED\ntest result: FAILED. 7 passed; 1 failed\nfailed: unit: c::d\n"
        "did not run: node: missing npm\n90 passed, 2 failed\n",
        (90, 2),
        ["unit: c::d", "node: missing npm"],
    ),
}


def shell(script, *arguments, **environment):
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{SOURCES}{script}", "test", *arguments],
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


class Summary(unittest.TestCase):
    def test_each_runner_is_understood(self):
        for runner, (text, counts, names) in RUNNERS.items():
            with self.subTest(runner=runner), tempfile.NamedTemporaryFile("w") as log:
                log.write(text)
                log.flush()
                self.assertEqual(shell('count_tests "$1"', log.name).stdout.split(), [str(count) for count in counts])
                self.assertEqual(shell('failed_tests "$1"', log.name).stdout.splitlines(), names)

    def test_all_runs_although_one_failed(self):
        ran = shell(
            "run_suite one false;"
            "run_suite two echo 'test x ... FAILED\ntest result: FAILED. 1 passed; 1 failed';"
            "did_not_run three 'missing npm';"
            "run_suite four true;"
            "run_suite five echo 'test result: ok. 5 passed; 0 failed';"
            "print_summary"
        )
        self.assertEqual(ran.returncode, 1)
        self.assertEqual(
            ran.stdout.split("==> summary\n")[1].splitlines(),
            [
                "one: 0 passed, 1 failed",
                "two: 1 passed, 1 failed",
                "three: did not run",
                "four: 0 passed, 1 failed",
                "five: 5 passed, 0 failed",
                "failed: one: it ended with status 1",
                "failed: two: x",
                "failed: four: it ran no test",
                "did not run: three: missing npm",
                "6 passed, 4 failed",
            ],
        )

    def test_nothing_failed(self):
        ran = shell("run_suite five echo 'test result: ok. 5 passed; 0 failed'; print_summary")
        self.assertEqual((ran.returncode, ran.stdout.splitlines()[-1]), (0, "5 passed, 0 failed"))


# What cargo test says of two tests that fail, and of the same, one after the other.
FAILS = """test a::slow ... FAILED
test a::wrong ... FAILED
test result: FAILED. 7 passed; 2 failed; 0 ignored
error: test failed, to rerun pass `-p x --test it`"""
AGAIN = """test a::slow ... ok
test a::wrong ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored
error: test failed, to rerun pass `-p x --test it`"""

# "WALL WAITED BUSY OWN" before and after 100 s on two cores.
BEFORE = "1000 0 5000 10"
BUSY = "101000 90000 205000 50010"
OWN = "101000 90000 205000 195010"
IDLE = "101000 2000 205000 50010"


class Starvation(unittest.TestCase):
    def closing_lines(self, first=FAILS, again=AGAIN, after=BUSY, status="101"):
        """Of a suite that says `first`, and `again` where it is asked for some tests alone; how it ended, and what it was
        asked for then."""
        with tempfile.TemporaryDirectory() as folder:
            ran = shell(
                "nproc() { echo 2; }; "
                'cpu_figures() { if [ -e "$FOLDER/ran" ]; then echo "$AFTER"; else echo "$BEFORE"; fi; }; '
                'suite() { touch "$FOLDER/ran"; if (($# == 0)); then echo "$FIRST"; return "$STATUS"; fi; '
                'echo "$*" >"$FOLDER/asked"; echo "$AGAIN"; return 101; }; '
                "run_unless_starved unit suite; print_summary",
                FOLDER=folder,
                FIRST=first,
                AGAIN=again,
                BEFORE=BEFORE,
                AFTER=after,
                STATUS=status,
            )
            asked = pathlib.Path(folder, "asked")
            asked = asked.read_text().strip() if asked.exists() else None
        return ran.stdout.split("==> summary\n")[1].splitlines(), ran.returncode, asked

    def test_what_failed_is_repeated_alone_and_named_with_the_figures(self):
        lines, status, asked = self.closing_lines()
        self.assertEqual(asked, "-- --exact --test-threads=1 a::slow a::wrong")
        figures = "90 % of the time waited for a core, 75 % of the cores were with others"
        self.assertEqual(
            lines,
            [
                "unit: 8 passed, 1 failed",
                f"failed beside a busy machine ({figures}), passed alone: unit: a::slow",
                "failed: unit: a::wrong",
                "8 passed, 1 failed",
            ],
        )
        self.assertEqual(status, 1)

    def test_all_of_it_may_pass(self):
        lines, status, _ = self.closing_lines(again=AGAIN.replace("FAILED", "ok"))
        self.assertEqual((lines[0], lines[-1], status), ("unit: 9 passed, 0 failed", "9 passed, 0 failed", 0))
        self.assertEqual(len([line for line in lines if line.startswith("failed beside a busy machine (")]), 2)

    def test_nothing_is_repeated_that_failed_with_the_machine_to_itself(self):
        for after in (OWN, IDLE):
            with self.subTest(after=after):
                lines, status, asked = self.closing_lines(after=after)
                self.assertEqual((lines[0], status, asked), ("unit: 7 passed, 2 failed", 1, None))
                self.assertEqual(len([line for line in lines if line.startswith("failed: unit: a::")]), 2)

    def test_nothing_is_repeated_that_is_not_a_test_that_failed(self):
        build = "error: could not compile `x` (lib) due to 1 previous error"
        killed = "error: test failed, to rerun pass `-p x --test other`"
        aborted = "  process didn't exit successfully: `target/debug/deps/it-1` (signal: 6, SIGABRT: process abort signal)"
        for first in (build, f"{FAILS}\n{killed}", f"{FAILS}\n{aborted}"):
            with self.subTest(first=first):
                _, status, asked = self.closing_lines(first=first)
                self.assertEqual((status, asked), (1, None))

    def test_one_that_the_repetition_does_not_run_stays_failed(self):
        lines, status, _ = self.closing_lines(again="error: could not compile")
        self.assertEqual((lines[0], status), ("unit: 7 passed, 2 failed", 1))

    def test_a_suite_that_passes_is_as_ever(self):
        lines, status, asked = self.closing_lines(first="test result: ok. 5 passed; 0 failed", status="0")
        self.assertEqual((lines, status, asked), (["unit: 5 passed, 0 failed", "5 passed, 0 failed"], 0, None))

    def test_the_script_around_says_it_too(self):
        line = "failed beside a busy machine (89 % of it), passed alone: unit: a::slow"
        ran = shell('run_suite one printf "%s\\n" "$1" "9 passed, 0 failed"; print_summary', line)
        summary = ran.stdout.split("==> summary\n")[1].splitlines()
        self.assertEqual(summary, ["one: 9 passed, 0 failed", line, "9 passed, 0 failed"])

    def test_the_machine_is_read(self):
        ran = shell(
            "before=$(cpu_figures); python3 -c 'sum(range(30_000_000))'; after=$(cpu_figures); "
            'echo "$before $after"; starvation "$before" "$after" "$(nproc)" >&2 || true'
        )
        figures = [int(figure) for figure in ran.stdout.splitlines()[0].split()]
        self.assertEqual(len(figures), 8, ran.stdout)
        before, after = figures[:4], figures[4:]
        self.assertTrue(all(earlier <= later for earlier, later in zip(before, after)), figures)
        # What the child used is its own, and the cores worked for that long.
        self.assertGreater(after[3], before[3])
        self.assertGreater(after[2], before[2])


class Installing(unittest.TestCase):
    """With programs that note what they are asked for, in place of Debian's."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.policy = self.folder / "policy-rc.d"
        self.notes = self.folder / "notes"
        (self.folder / "bin").mkdir()
        # What a package asks for before it starts its service.
        self.program(
            "apt-get",
            f'status=0; [ ! -x {self.policy} ] || {self.policy} mosquitto start || status=$?; '
            f'echo "$@: $status" >>{self.notes}; [ ! -e {self.folder}/fails ]',
        )
        self.program("systemctl", f'echo "systemctl $*" >>{self.notes}')

    def program(self, name, text):
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def install(self, *packages):
        return subprocess.run(
            [LIB / "install_packages.sh", *packages],
            env=os.environ
            | {
                "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
                "MICRO_MQ_POLICY_FILE": str(self.policy),
                "MICRO_MQ_LOCK_FILE": str(self.folder / "lock"),
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def write_policy(self, status):
        self.policy.write_text(f"#!/bin/sh\nexit {status}\n")
        self.policy.chmod(0o755)

    def assert_nothing_was_started(self, *packages):
        noted = self.notes.read_text().splitlines()
        self.assertIn(f"install -y -qq --no-install-recommends {' '.join(packages)}: 101", noted)

    def test_no_service_is_started_and_nothing_remains(self):
        self.assertEqual(self.install("mosquitto", "npm").returncode, 0)
        self.assert_nothing_was_started("mosquitto", "npm")
        self.assertIn("systemctl disable --quiet mosquitto", self.notes.read_text())
        self.assertFalse(self.policy.exists())

    def test_nothing_remains_when_it_fails(self):
        (self.folder / "fails").touch()
        self.assertNotEqual(self.install("mosquitto").returncode, 0)
        self.assertFalse(self.policy.exists())

    def test_a_policy_that_forbids_stays(self):
        self.write_policy(101)
        before = self.policy.stat()
        self.assertEqual(self.install("npm").returncode, 0)
        self.assert_nothing_was_started("npm")
        self.assertNotIn("systemctl", self.notes.read_text())
        after = self.policy.stat()
        self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns))

    def test_a_policy_that_permits_is_covered_and_stays(self):
        self.write_policy(0)
        before = self.policy.stat()
        installed = self.install("mosquitto")
        if subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL).returncode == 0:
            self.assertEqual(installed.returncode, 0, installed.stdout)
            self.assert_nothing_was_started("mosquitto")
        else:
            self.assertNotEqual(installed.returncode, 0)
            self.assertIn("install by hand: mosquitto", installed.stdout)
            self.assertFalse(self.notes.exists())
        after = self.policy.stat()
        self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns))

    def test_what_a_run_that_was_killed_left_behind_goes(self):
        self.policy.write_text(
            "#!/bin/sh\n# Written by scripts/lib/install_packages.sh of Micro MQ, for as long as it runs.\nexit 101\n"
        )
        self.policy.chmod(0o755)
        self.assertEqual(self.install("mosquitto").returncode, 0)
        self.assert_nothing_was_started("mosquitto")
        self.assertFalse(self.policy.exists())


class Mirror(unittest.TestCase):
    def check(self, expected, **files):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "sources.list.d").mkdir()
            for name, text in files.items():
                place = "sources.list" if name == "list" else f"sources.list.d/debian.{name}"
                (pathlib.Path(folder) / place).write_text(text)
            run = shell("debian_mirror bookworm", MICRO_MQ_APT_FOLDER=folder)
        self.assertEqual((run.returncode, run.stdout), (0, expected))

    def test_it_is_found_in_a_line_and_in_a_paragraph(self):
        other = "Types: deb\nURIs: http://other.example/repo\nSuites: stable\nComponents: main\n\n"
        paragraph = "Types: deb\n# a note\nURIs: http://mirror.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n"
        self.check("http://mirror.example/debian\n", sources=other + paragraph)
        self.check("http://mirror.example/debian\n", sources=paragraph + "\n" + other)
        line = "deb http://other.example/repo stable main\ndeb [arch=amd64 signed-by=/x y.gpg] http://mirror.example/debian bookworm main\n"
        self.check("http://mirror.example/debian\n", list=line)
        self.check("", sources=other)
        self.check("", list="# deb http://mirror.example/debian bookworm main\ndeb http://mirror.example/debian bookworm-security main\n")


class Services(unittest.TestCase):
    def test_what_is_not_known_is_refused(self):
        for arguments in (["fetch", "kafkaesque"], ["run", "redis"], ["stop"], ["run", "consul", "folder"]):
            with self.subTest(arguments=arguments):
                run = subprocess.run([LIB / "services.sh", *arguments], text=True, capture_output=True)
                self.assertEqual((run.returncode, run.stdout), (1, ""))
                self.assertRegex(run.stderr, r"^services\.sh: .*(unknown|missing)")

    def test_a_cluster_that_does_not_run_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            def cluster(*arguments):
                environment = os.environ | {"MICRO_MQ_CLUSTER_FOLDER": folder}
                script = LIB.parent / "cluster.sh"
                return subprocess.run([script, *arguments], env=environment, text=True, capture_output=True)

            self.assertEqual(cluster("status").stdout.count("does not run"), 5)
            self.assertEqual(cluster("down").returncode, 0)
            for arguments in ((), ("kill",), ("kill", "2"), ("kill", "4"), ("logs", "kafka"), ("up", "2"), ("restart",)):
                with self.subTest(arguments=arguments):
                    run = cluster(*arguments)
                    self.assertEqual((run.returncode, run.stdout), (1, ""))
                    self.assertTrue(run.stderr.startswith("cluster.sh: "), run.stderr)

    def test_a_program_on_path_is_used_and_nothing_fetched(self):
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "consul"
            program.write_text("#!/bin/sh\n")
            program.chmod(0o755)
            run = subprocess.run(
                [LIB / "services.sh", "fetch", "consul"],
                env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "MICRO_MQ_CACHE": f"{folder}/cache"},
                text=True,
                capture_output=True,
            )
            self.assertEqual((run.returncode, run.stdout, run.stderr), (0, f"{program}\n", ""))
            self.assertFalse((pathlib.Path(folder) / "cache").exists())


if __name__ == "__main__":
    unittest.main()
