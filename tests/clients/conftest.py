"""What all pytest suites share: where the broker is, and names that no other test uses."""

import os
import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest


@dataclass(frozen=True)
class Broker:
    host: str
    port: int
    websocket_host: str | None
    websocket_port: int | None
    websocket_path: str | None


@pytest.fixture(scope="session")
def broker() -> Broker:
    tcp = os.environ.get("MICRO_MQ_TEST_TCP")
    if tcp is None:
        pytest.exit("MICRO_MQ_TEST_TCP=HOST:PORT names no broker; scripts/test.sh starts one", returncode=2)
    host, _, port = tcp.rpartition(":")
    websocket = urlsplit(os.environ.get("MICRO_MQ_TEST_WS", ""))
    return Broker(host, int(port), websocket.hostname, websocket.port, websocket.path or None)


@pytest.fixture
def name() -> str:
    """A topic level and client identifier of this test alone."""
    return f"t{uuid.uuid4().hex[:16]}"
