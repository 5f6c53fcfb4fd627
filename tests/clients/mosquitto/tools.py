"""Runs mosquitto_pub, mosquitto_sub and mosquitto_rr, each with a deadline."""

import contextlib
import json
import subprocess
import threading

DEADLINE_SECONDS = 20
VERSIONS = ["mqttv31", "mqttv311", "mqttv5"]


class Tools:
    """The three programs, told where the broker is and which version to speak."""

    def __init__(self, broker, version):
        self.version = version
        self._where = ["-h", broker.host, "-p", str(broker.port), "-V", version]

    def publish(self, *arguments, input=None):
        """mosquitto_pub; answers what it printed."""
        return self._run("mosquitto_pub", *arguments, input=input)

    def request(self, *arguments):
        """mosquitto_rr; answers the response's payload."""
        return self._run("mosquitto_rr", "-N", "-W", str(DEADLINE_SECONDS), *arguments)

    def receive(self, count, *arguments):
        """mosquitto_sub until it has `count` messages; answers them as it prints them in JSON."""
        output = self._run("mosquitto_sub", "-W", str(DEADLINE_SECONDS), "-C", str(count), "-F", "%j", *arguments)
        return parse(output)

    def subscribe_and_leave(self, *arguments):
        """mosquitto_sub that ends as soon as it is subscribed."""
        self._run("mosquitto_sub", "-W", str(DEADLINE_SECONDS), "-E", *arguments)

    @contextlib.contextmanager
    def subscriber(self, *arguments, count=None):
        """A mosquitto_sub that is subscribed once the block begins."""
        limit = [] if count is None else ["-C", str(count)]
        # Line buffered, or what it prints into a pipe would stay with it until it ends.
        command = ["stdbuf", "-oL", "mosquitto_sub", "-d", "-F", "%j", *limit, *self._where, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        subscriber = Subscriber(process)
        try:
            subscriber.wait_for("Subscribed (mid")
            yield subscriber
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def _run(self, program, *arguments, input=None):
        done = subprocess.run(
            [program, *self._where, *arguments], input=input, capture_output=True, timeout=2 * DEADLINE_SECONDS
        )
        assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr.decode()}"
        return done.stdout


class Subscriber:
    """A mosquitto_sub that runs; its debug lines and its messages come in one stream."""

    def __init__(self, process):
        self.process = process

    def wait_for(self, text):
        """The next line that contains `text`."""
        # A watchdog ends the read, so that a silent broker is a failure and no hang.
        watchdog = threading.Timer(DEADLINE_SECONDS, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                if text in (decoded := line.decode()):
                    return decoded
        finally:
            watchdog.cancel()
        raise AssertionError(f"mosquitto_sub ended or fell silent before it printed {text!r}")

    def wait_for_message(self):
        """The next line that holds a message, as printed."""
        return self.wait_for('{"tst"')

    def receive(self):
        return json.loads(self.wait_for_message())


def parse(output):
    return [json.loads(line) for line in output.splitlines()]
