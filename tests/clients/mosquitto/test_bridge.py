"""A mosquitto broker bridged to the node: mosquitto sets the bridge bit (protocol level | 0x80) in its CONNECT."""

import contextlib
import socket
import subprocess
import time
from dataclasses import dataclass

import pytest
from tools import DEADLINE_SECONDS, Tools

PROTOCOLS = ["mqttv31", "mqttv311", "mqttv50"]


@dataclass(frozen=True)
class Address:
    host: str
    port: int


@contextlib.contextmanager
def bridged_mosquitto(broker, name, protocol, folder):
    """A mosquitto that sends `NAME/up/#` to the broker under test and gets `NAME/down/#` from it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"""
listener {port} 127.0.0.1
allow_anonymous true
log_dest stdout
log_type all
connection {name}
address {broker.host}:{broker.port}
bridge_protocol_version {protocol}
try_private true
notifications false
cleansession true
restart_timeout 1
topic {name}/up/# out 1
topic {name}/down/# in 1
"""
    )
    log = (folder / "mosquitto.log").open("wb")
    # Line buffered, or the log would stay with mosquitto until it ends.
    command = ["stdbuf", "-oL", "-eL", "mosquitto", "-c", str(configuration)]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield Address("127.0.0.1", port), folder / "mosquitto.log"
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)
        log.close()


def wait_until_bridged(log, protocol):
    """Until the bridge has its SUBACK: before, what is published at the other side may pass it by."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while b"Received SUBACK" not in log.read_bytes():
        assert time.monotonic() < deadline, f"the bridge over {protocol} did not subscribe:\n{log.read_text()}"
        time.sleep(0.02)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bridge_both_ways(broker, name, protocol, tmp_path):
    here = Tools(broker, "mqttv311")
    with bridged_mosquitto(broker, name, protocol, tmp_path) as (address, log):
        wait_until_bridged(log, protocol)
        there = Tools(address, "mqttv311")
        with here.subscriber("-t", f"{name}/up/#", "-q", "1") as subscriber:
            there.publish("-t", f"{name}/up/a", "-m", "from mosquitto", "-q", "1")
            assert subscriber.receive()["payload"] == "from mosquitto"
        with there.subscriber("-t", f"{name}/down/#", "-q", "1") as subscriber:
            here.publish("-t", f"{name}/down/a", "-m", "to mosquitto", "-q", "1")
            assert subscriber.receive()["payload"] == "to mosquitto"
