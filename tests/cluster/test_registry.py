"""A node registers itself with a real Consul, and serves its clients whether that is there or not."""

import json
import pathlib
import signal
import types
import urllib.request

import pytest

from conftest import ROOT, START_PATIENCE, Node, Process, free_ports, until

NO_KAFKA = types.SimpleNamespace(port=1)


class Consul:
    def __init__(self, folder):
        self.folder, self.ports = folder, free_ports(3)
        self.process = None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    def start(self):
        command = [str(ROOT / "scripts/lib/services.sh"), "run", "consul", str(self.folder), *map(str, self.ports)]
        self.process = Process(command, self.folder / "consul.log")

    def listed(self):
        """The nodes of the service by name, each with whether it is passing."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.address}/v1/health/service/micro-mq", timeout=10) as answer:
                entries = json.load(answer)
        except OSError:
            return None
        return {
            entry["Service"]["Meta"]["node"]: (
                all(check["Status"] == "passing" for check in entry["Checks"]),
                entry["Service"]["Meta"],
                (entry["Service"]["Address"], entry["Service"]["Port"]),
            )
            for entry in entries
        }


@pytest.fixture
def consul(tmp_path: pathlib.Path):
    consul = Consul(tmp_path)
    consul.start()
    until(lambda: consul.listed() is not None, START_PATIENCE, "Consul answers")
    yield consul
    consul.process.kill()


def test_a_node_is_registered_and_outlives_its_registry(consul, tmp_path):
    settings = ("cluster.enabled=false", "registry.provider=consul", f'registry.addresses=["{consul.address}"]')
    node = Node(NO_KAFKA, "node-1", tmp_path, *settings)
    try:
        until(node.is_ready, START_PATIENCE, "the node is ready")
        until(lambda: "node-1" in (consul.listed() or {}), START_PATIENCE, "it is registered")
        is_passing, meta, address = consul.listed()["node-1"]
        assert is_passing and address == ("127.0.0.1", node.port)
        assert (meta["mqtt"], meta["admin"]) == (f"127.0.0.1:{node.port}", f"127.0.0.1:{node.admin}")
        until(lambda: node.figure("registry_members_passing") == 1, START_PATIENCE, "it sees itself")
        assert json.loads(node.get("/health/ready")[1]) == {"status": "ready"}

        consul.process.kill()
        until(lambda: node.figure("registry_up") == 0, START_PATIENCE, "the node misses its registry")
        ready = json.loads(node.get("/health/ready")[1])
        assert ready["status"] == "ready" and ready["registry"].startswith("consul: "), ready
        assert node.figure("registry_members_passing") == 1, "the last known members stay"
        subscriber, publisher = node.client("subscriber"), node.client("publisher")
        subscriber.subscribe("t", 1)
        publisher.publish("t", b"served", 1)
        assert subscriber.receive().payload == b"served"
        for client in (subscriber, publisher):
            client.disconnect()

        consul.start()
        until(lambda: "node-1" in (consul.listed() or {}), START_PATIENCE, "it is registered again")
        until(lambda: node.figure("registry_up") == 1, START_PATIENCE, "the registry answers again")

        node.signal(signal.SIGTERM)
        assert node.process.wait(START_PATIENCE) == 0
        until(lambda: consul.listed() == {}, START_PATIENCE, "it has taken itself out")
    finally:
        node.kill()
