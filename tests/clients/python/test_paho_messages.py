"""paho-mqtt: publishing, subscribing, retained messages and wills, over every version."""

import itertools

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho_client import V5, VERSION_NAMES, VERSIONS, Client

MEBIBYTE = bytes(range(256)) * 4096


@pytest.fixture(params=VERSIONS, ids=VERSION_NAMES.get)
def version(request):
    return request.param


@pytest.fixture(params=["tcp", "websockets"])
def transport(request, broker):
    if request.param == "websockets" and broker.websocket_port is None:
        pytest.skip("MICRO_MQ_TEST_WS names no WebSocket listener")
    return request.param


def test_every_qos_both_ways(broker, name, version, transport):
    with Client(broker, version, f"{name}s", transport=transport) as subscriber, Client(
        broker, version, f"{name}p", transport=transport
    ) as publisher:
        for granted in (0, 1, 2):
            assert subscriber.subscribe(f"{name}/{granted}", qos=granted) == [granted]
        for published, granted in itertools.product((0, 1, 2), repeat=2):
            assert publisher.publish(f"{name}/{granted}", f"{published}", qos=published) == 0
            message = subscriber.receive()
            assert message.topic == f"{name}/{granted}"
            assert message.payload == b"%d" % published
            assert message.qos == min(published, granted)
            assert not message.retain and not message.dup


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_order_is_kept(broker, name, version, qos):
    payloads = [b"%d" % number for number in range(300)]
    with Client(broker, version, f"{name}s") as subscriber, Client(broker, version, f"{name}p") as publisher:
        subscriber.subscribe(name, qos=qos)
        for payload in payloads:
            publisher.send(name, payload, qos=qos)
        assert subscriber.receive_payloads(len(payloads)) == payloads


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_payload_of_a_mebibyte(broker, name, version, transport, qos):
    with Client(broker, version, f"{name}s", transport=transport) as subscriber, Client(
        broker, version, f"{name}p", transport=transport
    ) as publisher:
        subscriber.subscribe(name, qos=qos)
        publisher.publish(name, MEBIBYTE, qos=qos)
        assert subscriber.receive().payload == MEBIBYTE


def test_empty_payload(broker, name, version):
    with Client(broker, version) as client:
        client.subscribe(name)
        client.publish(name, b"", qos=1)
        assert client.receive().payload == b""


def test_wildcards_and_unsubscribe(broker, name, version):
    with Client(broker, version) as client:
        client.subscribe(f"{name}/+/c", f"{name}/tree/#")
        for topic in ("a/c", "a/b", "tree", "tree/a/b", "/c", "a/b/c"):
            client.publish(f"{name}/{topic}", topic)
        expected = [f"{name}/{topic}" for topic in ("a/c", "tree", "tree/a/b", "/c")]
        assert [client.receive().topic for _ in expected] == expected
        client.unsubscribe(f"{name}/+/c")
        client.publish(f"{name}/a/c", "not for us any more")
        client.publish(f"{name}/tree/end")
        assert client.receive().topic == f"{name}/tree/end"


def test_wildcard_at_the_start_does_not_match_dollar_topics(broker, name, version):
    with Client(broker, version) as all_topics, Client(broker, version) as system_topics:
        # [MQTT-4.7.2-1]: the broker's own topics reach only who names `$SYS`.
        all_topics.subscribe("#", "+/broker/version")
        system_topics.subscribe("$SYS/broker/#")
        assert system_topics.receive().topic.startswith("$SYS/broker/")
        all_topics.publish(name)
        # Other tests share the broker, so other topics may come first; none of them starts with `$`.
        topics = iter(lambda: all_topics.receive().topic, name)
        assert not [topic for topic in topics if topic.startswith("$")]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_retained_message_is_kept_replaced_and_cleared(broker, name, version, qos):
    with Client(broker, version) as publisher, Client(broker, version) as live:
        live.subscribe(name)
        publisher.publish(name, b"old", qos=qos, retain=True)
        publisher.publish(name, b"new", qos=qos, retain=True)
        for payload in (b"old", b"new"):
            message = live.receive()
            # [MQTT-3.3.1-9], [MQTT-3.3.1-12]: RETAIN is 0 for a subscription that was there before.
            assert (message.payload, message.retain) == (payload, False)
        with Client(broker, version) as late:
            late.subscribe(name)
            message = late.receive()
            assert (message.payload, message.retain, message.qos) == (b"new", True, qos)
        publisher.publish(name, b"", qos=qos, retain=True)
        with Client(broker, version) as later:
            later.subscribe(name)
            publisher.publish(name, b"fence")
            message = later.receive()
            assert (message.payload, message.retain) == (b"fence", False)


def test_retained_messages_of_a_wildcard_all_arrive(broker, name, version):
    count = 500
    with Client(broker, version) as publisher:
        for number in range(count):
            publisher.send(f"{name}/{number}", b"%d" % number, qos=1, retain=True)
        publisher.publish(f"{name}/last", b"last", retain=True)
        with Client(broker, version) as subscriber:
            subscriber.subscribe(f"{name}/#", qos=1)
            messages = [subscriber.receive() for _ in range(count + 1)]
        assert {message.topic for message in messages} == {
            *(f"{name}/{number}" for number in range(count)),
            f"{name}/last",
        }
        assert all(message.retain for message in messages)
        for message in messages:
            publisher.send(message.topic, b"", qos=1, retain=True)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_will_of_a_lost_connection(broker, name, version, transport, qos):
    will = {"topic": f"{name}/will", "payload": b"gone", "qos": qos, "retain": True}
    with Client(broker, version, f"{name}w") as watcher:
        watcher.subscribe(f"{name}/will", qos=2)
        Client(broker, version, f"{name}d", will=will, transport=transport).drop()
        message = watcher.receive()
        assert (message.topic, message.payload, message.qos) == (f"{name}/will", b"gone", qos)
    with Client(broker, version, f"{name}l") as late:
        late.subscribe(f"{name}/will")
        assert late.receive().retain
        late.publish(f"{name}/will", b"", retain=True)


def test_no_will_after_disconnect(broker, name, version):
    with Client(broker, version, f"{name}w") as watcher:
        watcher.subscribe(f"{name}/#")
        with Client(broker, version, f"{name}d", will={"topic": f"{name}/will", "payload": b"gone"}):
            pass
        # A connection that was lost after that one left: its will comes, and comes first.
        Client(broker, version, f"{name}e", will={"topic": f"{name}/fence", "payload": b"gone"}).drop()
        assert watcher.receive().topic == f"{name}/fence"


def test_disconnect_with_will(broker, name):
    will_wanted = ReasonCode(PacketTypes.DISCONNECT, identifier=0x04)
    with Client(broker, V5, f"{name}w") as watcher:
        watcher.subscribe(f"{name}/will")
        client = Client(broker, V5, f"{name}d", will={"topic": f"{name}/will", "payload": b"bye", "qos": 1})
        client.disconnect(reasoncode=will_wanted)
        assert watcher.receive().payload == b"bye"
