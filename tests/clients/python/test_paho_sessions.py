"""paho-mqtt: sessions that outlive their network connection, takeover and shared subscriptions."""

import queue
import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho_client import (
    DEADLINE_SECONDS,
    V5,
    V31,
    V311,
    VERSION_NAMES,
    VERSIONS,
    Client,
    properties,
    publish_properties,
)

HOUR = 3600


@pytest.fixture(params=VERSIONS, ids=VERSION_NAMES.get)
def version(request):
    return request.param


def durable(broker, version, identifier, **options):
    """A client whose session outlives its network connection."""
    expiry = HOUR if version == V5 else None
    return Client(broker, version, identifier, clean=False, session_expiry=expiry, **options)


def forget(broker, version, identifier):
    """Ends the session of a test that is over."""
    with Client(broker, version, identifier, clean=True):
        pass


def will_properties(delay_seconds):
    return properties(PacketTypes.WILLMESSAGE, {"WillDelayInterval": delay_seconds})


def test_offline_queue_is_delivered_on_resume(broker, name, version):
    with durable(broker, version, name) as client:
        # 3.1 has no session present flag.
        assert not client.session_present
        client.subscribe(f"{name}/1", qos=1)
        client.subscribe(f"{name}/2", qos=2)
    with Client(broker, version) as publisher:
        for number in range(50):
            publisher.send(f"{name}/1", b"%d" % number, qos=1)
            publisher.send(f"{name}/2", b"%d" % number, qos=2)
        publisher.publish(f"{name}/2", b"last", qos=2)
        publisher.publish(f"{name}/1", b"last", qos=2)
    with durable(broker, version, name) as client:
        assert client.session_present == (version != V31)
        messages = [client.receive() for _ in range(102)]
        expected = [*(b"%d" % number for number in range(50)), b"last"]
        for qos in (1, 2):
            of_topic = [message for message in messages if message.topic == f"{name}/{qos}"]
            assert [message.payload for message in of_topic] == expected
            assert {message.qos for message in of_topic} == {qos}
        # The subscriptions are still there, and nothing comes twice.
        client.publish(f"{name}/1", b"live")
        assert client.receive().payload == b"live"
    forget(broker, version, name)


def test_lost_connection_keeps_the_session_too(broker, name, version):
    client = durable(broker, version, name)
    client.subscribe(name, qos=1)
    client.drop()
    with Client(broker, version) as publisher:
        publisher.publish(name, b"while away")
    with durable(broker, version, name) as client:
        assert client.receive().payload == b"while away"
    forget(broker, version, name)


def test_clean_start_discards_the_session(broker, name, version):
    with durable(broker, version, name) as client:
        client.subscribe(name, qos=1)
    with Client(broker, version) as publisher:
        publisher.publish(name, b"discarded")
    with Client(broker, version, name, clean=True) as client:
        assert not client.session_present
        client.subscribe(f"{name}/fence")
        client.publish(name, b"no subscription any more")
        client.publish(f"{name}/fence")
        assert client.receive().topic == f"{name}/fence"


def test_clean_session_ends_with_its_connection(broker, name, version):
    with Client(broker, version, name, clean=True) as client:
        client.subscribe(name, qos=1)
    with durable(broker, version, name) as client:
        assert not client.session_present
    forget(broker, version, name)


@pytest.mark.parametrize("first, second", [(V311, V5), (V5, V311), (V31, V5)])
def test_session_survives_a_change_of_version(broker, name, first, second):
    with durable(broker, first, name) as client:
        client.subscribe(name, qos=1)
    with Client(broker, V5) as publisher:
        publisher.publish(name, b"kept", properties=publish_properties(UserProperty=[("a", "1")]))
    with durable(broker, second, name) as client:
        assert client.session_present
        assert client.receive().payload == b"kept"
    forget(broker, second, name)


def test_unacknowledged_message_is_sent_again_on_resume(broker, name, version):
    first = durable(broker, version, name, manual_ack=True)
    first.subscribe(name, qos=1)
    first.publish(name, b"once more")
    original = first.receive()
    first.drop()
    with durable(broker, version, name) as second:
        again = second.receive()
        # [MQTT-4.4.0-1], [MQTT-3.3.1-1]: the original packet identifier, and DUP.
        assert (again.payload, again.mid, again.dup) == (b"once more", original.mid, True)
    forget(broker, version, name)


def test_takeover(broker, name, version):
    first = durable(broker, version, name)
    first.subscribe(name, qos=1)
    with durable(broker, version, name) as second:
        reason = first.wait_disconnected()
        if version == V5:
            assert reason.value == 0x8E
        assert second.session_present == (version != V31)
        second.publish(name, b"yours")
        assert second.receive().payload == b"yours"
    assert first.messages.empty()
    forget(broker, version, name)


def test_takeover_with_clean_start_publishes_the_will(broker, name, version):
    with Client(broker, version) as watcher:
        watcher.subscribe(f"{name}/will")
        first = durable(broker, version, name, will={"topic": f"{name}/will", "payload": b"taken over"})
        with Client(broker, version, name, clean=True) as second:
            assert not second.session_present
            first.wait_disconnected()
            assert watcher.receive().payload == b"taken over"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_shared_subscription_gives_each_message_to_one_member(broker, name, version, qos):
    count = 200
    group = f"$share/{name}/{name}/#"
    with Client(broker, version, f"{name}a") as first, Client(broker, version, f"{name}b") as second, Client(
        broker, version, f"{name}o"
    ) as outsider, Client(broker, version) as publisher:
        first.subscribe(group, qos=qos)
        second.subscribe(group, qos=qos)
        outsider.subscribe(f"{name}/#", qos=qos)
        for number in range(count):
            publisher.send(f"{name}/{number}", b"%d" % number, qos=qos)
        everything = [b"%d" % number for number in range(count)]
        assert outsider.receive_payloads(count) == everything
        shares = receive_until_complete([first, second], count)
        assert sorted(shares[0] + shares[1], key=int) == everything
        assert shares[0] and shares[1]
        # Each member got its messages in the order of the publisher.
        assert all(share == sorted(share, key=int) for share in shares)


def receive_until_complete(members, count):
    """What each of the members got, when together they got `count` messages."""
    shares = [[] for _ in members]
    deadline = time.monotonic() + DEADLINE_SECONDS
    while sum(map(len, shares)) < count:
        assert time.monotonic() < deadline, f"only {[len(share) for share in shares]} of {count} messages came"
        for member, share in zip(members, shares):
            try:
                share.append(member.messages.get(timeout=0.02).payload)
            except queue.Empty:
                pass
    return shares


def test_messages_of_a_shared_member_that_goes_reach_the_other(broker, name, version):
    count = 20
    group = f"$share/{name}/{name}"
    # This member takes messages and acknowledges none of them.
    silent = Client(broker, version, f"{name}a", manual_ack=True)
    silent.subscribe(group, qos=1)
    with Client(broker, version) as publisher, Client(broker, version, f"{name}b") as other:
        for number in range(count):
            publisher.publish(name, b"%d" % number)
        silent.receive()
        other.subscribe(group, qos=1)
        # Its session ends with its connection, so [MQTT-4.8.2-5] does not bind: QoS 1 may go to another member.
        silent.disconnect()
        publisher.publish(name, b"last")
        received = []
        while not received or received[-1] != b"last":
            received.append(other.receive().payload)
        assert received[-1] == b"last"


def test_will_delay_ends_with_resumption(broker, name):
    def mortal(suffix):
        return Client(
            broker,
            V5,
            f"{name}{suffix}",
            clean=False,
            session_expiry=HOUR,
            will={"topic": f"{name}/{suffix}", "payload": b"gone", "properties": will_properties(2)},
        )

    with Client(broker, V5) as watcher:
        watcher.subscribe(f"{name}/#")
        mortal("resumes").drop()
        started = time.monotonic()
        mortal("stays-away").drop()
        with Client(broker, V5, f"{name}resumes", clean=False, session_expiry=HOUR) as client:
            assert client.session_present
            assert watcher.receive().topic == f"{name}/stays-away"
            assert 1 < time.monotonic() - started < DEADLINE_SECONDS
    for suffix in ("resumes", "stays-away"):
        forget(broker, V5, f"{name}{suffix}")


def test_session_expires(broker, name):
    """The will, delayed by an hour, comes when the session ends, a second after the connection was lost."""
    with Client(broker, V5) as watcher:
        watcher.subscribe(f"{name}/will")
        will = {"topic": f"{name}/will", "payload": b"expired", "properties": will_properties(HOUR)}
        client = Client(broker, V5, name, clean=False, session_expiry=1, will=will)
        client.subscribe(name, qos=1)
        client.drop()
        assert watcher.receive().payload == b"expired"
    with durable(broker, V5, name) as client:
        assert not client.session_present
    forget(broker, V5, name)


def test_session_expiry_changes_at_disconnect(broker, name):
    with Client(broker, V5, name, clean=False, session_expiry=0) as client:
        assert not client.session_present
    client = durable(broker, V5, name)
    assert not client.session_present
    client.disconnect(properties=properties(PacketTypes.DISCONNECT, {"SessionExpiryInterval": 0}))
    with durable(broker, V5, name) as client:
        assert not client.session_present
    with durable(broker, V5, name) as client:
        assert client.session_present
    forget(broker, V5, name)
