"""Kafka and nodes as processes of their own, on free ports of 127.0.0.1."""

import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

import pytest

from mqtt import Client

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MICRO_MQ_TEST_BINARY", str(ROOT / "target/debug/micro-mq"))
START_PATIENCE = 120.0


def until(is_so, patience, what):
    """Waits until something is so, looking now and then."""
    deadline = time.monotonic() + patience
    while True:
        found = is_so()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {patience} s: {what}"
        time.sleep(0.02)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Process:
    """One that a test has started, and ends."""

    def __init__(self, command, log):
        self.log = log
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log.open("ab"), stderr=subprocess.STDOUT)

    def signal(self, number):
        self.process.send_signal(number)

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        if self.is_running():
            self.signal(signal.SIGKILL)
            self.process.wait(10)

    def said(self):
        return self.log.read_text(errors="replace")


class Kafka:
    """A broker, whose data outlive its process."""

    def __init__(self, folder):
        self.folder = folder
        self.port, self.controller_port = free_ports(2)
        self.process = None

    def start(self):
        script = str(ROOT / "scripts/lib/services.sh")
        ports = [str(self.port), str(self.controller_port)]
        self.process = Process([script, "run", "kafka", str(self.folder / "data"), *ports], self.folder / "kafka.log")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False


class Node(Process):
    """A node of the cluster."""

    def __init__(self, kafka, name, folder, *settings):
        self.name = name
        self.port, self.admin = free_ports(2)
        keys = {
            "listener.tcp.bind": f"127.0.0.1:{self.port}",
            "listener.websocket.enabled": "false",
            "admin.bind": f"127.0.0.1:{self.admin}",
            "store.backend": "memory",
            "node.workers": "2",
            "cluster.enabled": "true",
            "cluster.node": name,
            "kafka.brokers": f"127.0.0.1:{kafka.port}",
            "kafka.prefix": folder.name,
        }
        keys.update(setting.split("=", 1) for setting in settings)
        command = [BINARY, "run"]
        for key, value in keys.items():
            command += ["--set", f"{key}={value}"]
        super().__init__(command, folder / f"{name}-{self.port}.log")

    def get(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.admin}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_ready(self):
        assert self.is_running(), f"{self.name} has ended:\n{self.said()[-2000:]}"
        return self.get("/health/ready")[0] == 200

    def cluster(self):
        return json.loads(self.get("/api/v1/cluster")[1])

    def ledger(self):
        return json.loads(self.get("/api/v1/ledger")[1])

    def figure(self, name):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"micro_mq_{name} "):
                return int(line.split()[1])
        raise AssertionError(f"no figure {name}")

    def client(self, client_identifier, **options):
        return Client(self.port, client_identifier, **options)


class Cluster:
    """Nodes that share a prefix, and no topic with those of other tests."""

    def __init__(self, kafka, folder):
        self.kafka, self.folder, self.nodes = kafka, folder, []

    def start(self, *names, settings=()):
        started = [Node(self.kafka, name, self.folder, *settings) for name in names]
        self.nodes += started
        for node in started:
            until(node.is_ready, START_PATIENCE, f"{node.name} is ready")
        running = [node for node in self.nodes if node.is_running()]
        for node in running:
            alive = lambda: {member["node"] for member in node.cluster()["members"] if member["alive"]}
            until(lambda: alive() >= set(names), START_PATIENCE, f"{node.name} knows {names}")
        return started


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    broker = Kafka(tmp_path_factory.mktemp("kafka"))
    broker.start()
    until(broker.answers, START_PATIENCE, "Kafka answers")
    yield broker
    broker.process.kill()


prefixes = itertools.count(1)


@pytest.fixture(scope="session")
def nodes(kafka, tmp_path_factory):
    """Three nodes that all tests share which leave them as they were."""
    cluster = Cluster(kafka, tmp_path_factory.mktemp("shared"))
    yield cluster.start("a", "b", "c")
    for node in cluster.nodes:
        node.kill()


@pytest.fixture
def cluster(kafka, tmp_path_factory):
    """None yet, for a test of its own."""
    cluster = Cluster(kafka, tmp_path_factory.mktemp("own"))
    yield cluster
    for node in cluster.nodes:
        node.signal(signal.SIGCONT) if node.is_running() else None
        node.kill()
