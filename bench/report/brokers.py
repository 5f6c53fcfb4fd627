"""Brokers under measurement: each is started for one run, on free loopback ports, and ended by its process."""

import random
import shlex
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 15
METRICS_SECONDS = 10
# Messages for a subscriber whose outbox holds no more.
DROPPED = 'micro_mq_messages_dropped_total{reason="outbox_full"}'

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

RUMQTTD_CONFIGURATION = """\
id = 0
[router]
id = 0
max_connections = 50000
max_outgoing_packet_count = 1000
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "v4"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 0
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 1000
dynamic_filters = true
"""

# Its plug-ins of access rules, counters and an HTTP interface are switched off: none of the others has them on.
RMQTTD_CONFIGURATION = """\
node.id = 1
rpc.server_addr = "127.0.0.1:{other_port}"
log.to = "off"
plugins.dir = "{folder}"
plugins.default_startups = []
plugins.disabled_default_startups = ["rmqtt-acl", "rmqtt-counter", "rmqtt-http-api"]
listener.tcp.external.addr = "127.0.0.1:{port}"
listener.tcp.external.nodelay = true
listener.tcp.external.backlog = 4096
listener.tcp.external.max_connections = 1024000
listener.tcp.external.max_handshaking_limit = 10000
listener.tcp.external.allow_anonymous = true
listener.tcp.external.min_keepalive = 0
listener.tcp.external.allow_zero_keepalive = true
listener.tcp.external.max_inflight = 65535
listener.tcp.external.max_mqueue_len = 1000000
listener.tcp.external.mqueue_rate_limit = "4294967295,1s"
listener.tcp.external.max_awaiting_rel = 0
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
    # What mqtt-bench has to be told for it.
    generator_options: tuple[str, ...] = ()

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

    def write(self, name: str, configuration: str) -> Path:
        """Writes its configuration, with port and folder filled in, and says where."""
        file = self.folder / name
        for mark, value in (("{port}", self.port), ("{other_port}", free_port()), ("{folder}", self.folder)):
            configuration = configuration.replace(mark, str(value))
        file.write_text(configuration)
        return file

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

    def dropped(self) -> int | None:
        """Messages that it says it dropped for slow subscribers; None if it does not say."""
        return None

    def last_lines(self) -> str:
        """The end of its log, for an error message."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "its log is empty"


class Mosquitto(Broker):
    """mosquitto without log and with its queue and inflight limits lifted."""

    name = "mosquitto"

    def command(self) -> list[str]:
        return ["mosquitto", "-c", str(self.write("mosquitto.conf", MOSQUITTO_CONFIGURATION))]


class Rumqttd(Broker):
    """rumqttd, published as a crate, with its limits far away; it refuses clients without a keep alive."""

    name = "rumqttd"
    generator_options = ("--keep-alive", "3600")

    def command(self) -> list[str]:
        return ["rumqttd", "--quiet", "--config", str(self.write("rumqttd.toml", RUMQTTD_CONFIGURATION))]


class Rmqttd(Broker):
    """rmqttd, published as a crate, with its limits far away and anonymous access."""

    name = "rmqttd"

    def command(self) -> list[str]:
        return ["rmqttd", "--config", str(self.write("rmqtt.toml", RMQTTD_CONFIGURATION))]


class Named(Broker):
    """Any other broker: a command in which {port} and {folder} stand for what they are."""

    def __init__(self, folder: Path, name: str, template: str):
        super().__init__(folder)
        self.name = name
        self.template = template

    def command(self) -> list[str]:
        filled = self.template.replace("{port}", str(self.port)).replace("{folder}", str(self.folder))
        return shlex.split(filled)


class Relay(Broker):
    """The stateless relay of mqtt-bench: what the machine needs for the same bytes."""

    def __init__(self, folder: Path, generator: Path, threads: int, shape: list[str]):
        super().__init__(folder)
        self.name = f"relay-{threads}"
        self.generator = generator
        self.threads = threads
        self.shape = shape

    def command(self) -> list[str]:
        where = ["--listen", f"127.0.0.1:{self.port}", "--threads", str(self.threads)]
        return [str(self.generator), "relay", *where, "--shape", *self.shape]


class MicroMq(Broker):
    """The node with its default configuration, apart from ports, workers, and what the caller sets.

    Nothing outlives its process, as with its peers, unless the caller sets `store.backend=disk`.
    """

    def __init__(self, folder: Path, program: Path, workers: int, settings: list[str]):
        super().__init__(folder)
        self.name = f"micro-mq-{workers}"
        self.program = program
        self.settings = [f"node.workers={workers}", "store.backend=memory", *settings]
        self.admin_port = free_port()

    def command(self) -> list[str]:
        settings = [
            f"listener.tcp.bind=127.0.0.1:{self.port}",
            f"listener.websocket.bind=127.0.0.1:{free_port()}",
            f"admin.bind=127.0.0.1:{self.admin_port}",
            *self.settings,
        ]
        return [str(self.program), "run", *(word for setting in settings for word in ("--set", setting))]

    def dropped(self) -> int | None:
        address = f"http://127.0.0.1:{self.admin_port}/metrics"
        try:
            with urllib.request.urlopen(address, timeout=METRICS_SECONDS) as answer:
                return dropped_of(answer.read().decode())
        except OSError as error:
            raise BrokerError(f"{self.name} tells no metrics: {error}") from error


def dropped_of(metrics: str) -> int | None:
    """The count in the text form of metrics."""
    values = [line.split()[-1] for line in metrics.splitlines() if line.startswith(f"{DROPPED} ")]
    return int(float(values[0])) if values else None
