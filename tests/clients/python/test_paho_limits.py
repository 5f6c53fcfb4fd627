"""paho-mqtt: the default limits admit what clients do in practice."""

import pytest
from paho_client import V5, V311, VERSION_NAMES, VERSIONS, Client

LONG_IDENTIFIERS = [
    "plant 7/line 3/" + "sensor " * 26 + "end",
    "Straße/" + "ünï cödé/" * 21 + "ende",
    ("温度センサー/Датчик " * 20)[:200],
    "a" * 200,
]


@pytest.fixture(params=[V311, V5], ids=VERSION_NAMES.get)
def version(request):
    return request.param


@pytest.mark.parametrize("identifier", LONG_IDENTIFIERS, ids=["spaces and slashes", "umlauts", "cjk, cyrillic", "long"])
def test_client_identifier_of_200_characters(broker, name, version, identifier):
    assert len(identifier) == 200
    identifier = f"{name}{identifier}"[:200]
    options = {"clean": False, "session_expiry": 3600 if version == V5 else None}
    with Client(broker, version, identifier, **options) as client:
        client.subscribe(name, qos=1)
    with Client(broker, version, identifier, **options) as client:
        assert client.session_present
        client.publish(name, identifier)
        assert client.receive().payload == identifier.encode()
    with Client(broker, version, identifier, clean=True) as client:
        assert not client.session_present


@pytest.mark.parametrize("character", ["x", "é", "温"])
def test_topic_name_of_60000_bytes(broker, name, version, character):
    size = len(character.encode())
    topic = f"{name}/" + character * ((60_000 - len(name) - 1) // size)
    topic += "x" * (60_000 - len(topic.encode()))
    assert len(topic.encode()) == 60_000
    with Client(broker, version) as client:
        client.subscribe(topic, f"{name}/+")
        client.publish(topic, b"1", qos=1, retain=True)
        assert client.receive().topic == topic
        client.publish(topic, b"", qos=1, retain=True)


def test_keep_alive_of_zero(broker, name, version):
    with Client(broker, version, keep_alive=0) as client:
        client.subscribe(name)
        client.publish(name, b"still here")
        assert client.receive().payload == b"still here"


@pytest.mark.parametrize("any_version", VERSIONS, ids=VERSION_NAMES.get)
def test_payload_of_8_mebibytes(broker, name, any_version):
    payload = bytes(8 * 1024 * 1024)
    with Client(broker, any_version) as client:
        client.subscribe(name)
        client.publish(name, payload)
        assert client.receive().payload == payload


def test_many_filters_in_one_subscribe(broker, name, version):
    with Client(broker, version) as client:
        filters = [f"{name}/{number}" for number in range(1000)]
        assert client.subscribe(*filters, qos=1) == [1] * 1000
        client.publish(f"{name}/999")
        assert client.receive().topic == f"{name}/999"
        client.unsubscribe(*filters)


def test_ping_is_answered(broker, version):
    """With a second of keep alive paho sends PINGREQs, and gives up a connection that does not answer them."""
    with Client(broker, version, keep_alive=1) as client:
        client.wait_ping_response()
        client.wait_ping_response()
