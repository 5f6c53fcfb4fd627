"""Tests of what the shell scripts share: the closing lines of test.sh and .ci/run, and the installing of packages."""

import os
import pathlib
import subprocess
import tempfile
import unittest

LIB = pathlib.Path(__file__).parent

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
        ["bash", "-euo", "pipefail", "-c", f'. {LIB}/common.sh; . {LIB}/summary.sh; {script}', "test", *arguments],
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


if __name__ == "__main__":
    unittest.main()
