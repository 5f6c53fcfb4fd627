"""Brokers under measurement: each is started for one run, on free loopback ports, and ended by its process."""

import random
import socket
import subprocess
import time
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 15

MOSQUITTO_CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
log_type none
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 0
max_inflight_bytes 0
max_queued_bytes 0
"""


class BrokerError(Exception):
    """A broker did not start, or ended by itself."""


def free_port() -> int:
    """A port below those that the kernel gives to clients, so that no client of a former run holds it."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = random.randrange(10_000, max(lowest, 10_001))
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            continue
    raise BrokerError("found no free port")


class Broker:
    """A running broker; use it in a `with` statement. `folder` takes its log and whatever it stores."""

    name: str

    def __init__(self, folder: Path):
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    def command(self) -> list[str]:
        """How it is started."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """Its process, while it runs."""
        assert self.process is not None, "only a started broker has a process"
        return self.process.pid

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self.folder / f"{self.name}.log"

    def __enter__(self) -> "Broker":
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self.wait_for_port()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_exception) -> None:
        self.stop()

    def wait_for_port(self) -> None:
        """Until it accepts connections."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise BrokerError(f"{self.name} ended with status {self.process.returncode}: {self.last_lines()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise BrokerError(f"{self.name} accepts no connection after {START_SECONDS} s") from None
                time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to one that does not end in time."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_lines(self) -> str:
        """The end of its log, for an error message."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "its log is empty"


class Mosquitto(Broker):
    """mosquitto without log and with its queue and inflight limits lifted."""

    name = "mosquitto"

    def command(self) -> list[str]:
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text(MOSQUITTO_CONFIGURATION.format(port=self.port))
        return ["mosquitto", "-c", str(configuration)]


class MicroMq(Broker):
    """The node with its default configuration, apart from ports and what the caller sets."""

    name = "micro-mq"

    def __init__(self, folder: Path, program: Path, settings: list[str]):
        super().__init__(folder)
        self.program = program
        self.settings = settings

    def command(self) -> list[str]:
        settings = [
            f"listener.tcp.bind=127.0.0.1:{self.port}",
            f"listener.websocket.bind=127.0.0.1:{free_port()}",
            f"admin.bind=127.0.0.1:{free_port()}",
            *self.settings,
        ]
        return [str(self.program), "run", *(word for setting in settings for word in ("--set", setting))]
