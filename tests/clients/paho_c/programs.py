"""Runs Paho C's paho_c_pub, and paho_c_sub and paho_cs_sub (asynchronous and synchronous), each with a deadline."""

import contextlib
import re
import subprocess
import threading

DEADLINE_SECONDS = 20
VERSIONS = ["311", "5"]
SUBSCRIBERS = ["paho_c_sub", "paho_cs_sub"]

# Topic name and payload; in front of them one of the subscribers prints a length.
MESSAGE = re.compile(rb"(?:\d+ )?([^\t]+)\t(.*)\n")


class Programs:
    """The programs, told where the broker is and which version to speak."""

    def __init__(self, url, version):
        self._where = ["-c", url, "-V", version]

    def publish(self, topic, *arguments):
        """paho_c_pub with one message."""
        command = ["paho_c_pub", *self._where, "-t", topic, *arguments]
        done = subprocess.run(command, capture_output=True, timeout=DEADLINE_SECONDS)
        output = (done.stdout + done.stderr).decode()
        assert done.returncode == 0, f"paho_c_pub ended with {done.returncode}: {output}"

    @contextlib.contextmanager
    def publisher(self, lines, topic, *arguments):
        """paho_c_pub with a message for each line, for as long as the block lasts: it takes no end of its input."""
        command = ["paho_c_pub", *self._where, "-t", topic, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        try:
            process.stdin.write("".join(f"{line}\n" for line in lines).encode())
            process.stdin.flush()
            yield
        finally:
            process.kill()
            process.wait()
            process.stdin.close()

    @contextlib.contextmanager
    def subscriber(self, program, topic_filter, *arguments):
        """A subscriber; it is connected and subscribed some time after the block begins."""
        # Line buffered, or what it prints into a pipe would stay with it until it ends.
        command = ["stdbuf", "-oL", program, *self._where, "-t", topic_filter, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            yield Subscriber(process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Subscriber:
    """A subscriber that runs."""

    def __init__(self, process):
        self.process = process

    def receive(self):
        """Topic name and payload of the next message."""
        # A watchdog ends the read, so that a silent broker is a failure and no hang.
        watchdog = threading.Timer(DEADLINE_SECONDS, self.process.kill)
        watchdog.start()
        printed = []
        try:
            for line in self.process.stdout:
                printed.append(line)
                if message := MESSAGE.fullmatch(line):
                    topic, payload = message.groups()
                    return topic.decode(), payload.decode()
        finally:
            watchdog.cancel()
        raise AssertionError(f"it ended or fell silent before the next message; it printed {printed}")
