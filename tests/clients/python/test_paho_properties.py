"""paho-mqtt: what MQTT 5.0 adds to the messages, and what it lets both sides announce."""

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions
from paho_client import V5, V311, Client, properties, publish_properties, received_properties

def subscription_identifier(number):
    return properties(PacketTypes.SUBSCRIBE, {"SubscriptionIdentifier": number})


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_properties_arrive_unaltered_and_alone(broker, name, qos):
    sent = {
        "PayloadFormatIndicator": 1,
        "ContentType": "application/json",
        "ResponseTopic": f"{name}/answer",
        "CorrelationData": bytes(range(256)),
        "UserProperty": [("b", "1"), ("a", "ä€𝄞"), ("b", "1"), ("", ""), ("a", "2")],
    }
    with Client(broker, V5) as subscriber, Client(broker, V5) as publisher:
        subscriber.subscribe(name)
        publisher.publish(name, "payload", qos=qos, properties=publish_properties(**sent))
        # [MQTT-3.3.2-18]: user properties keep their order, duplicates included.
        assert received_properties(subscriber.receive()) == sent
        publisher.publish(name, "bare", qos=qos)
        assert received_properties(subscriber.receive()) == {}


def test_properties_of_a_will_and_of_a_retained_message(broker, name):
    carried = {"ContentType": "text/plain", "CorrelationData": b"c", "UserProperty": [("k", "1"), ("k", "2")]}
    will = {
        "topic": name,
        "payload": b"gone",
        "qos": 1,
        "retain": True,
        "properties": properties(PacketTypes.WILLMESSAGE, carried),
    }
    with Client(broker, V5) as watcher:
        watcher.subscribe(name)
        Client(broker, V5, will=will).drop()
        assert received_properties(watcher.receive()) == carried
        with Client(broker, V5) as late:
            late.subscribe(name)
            message = late.receive()
            assert message.retain and received_properties(message) == carried
        watcher.publish(name, b"", retain=True)


def test_subscriber_of_3_1_1_gets_the_message_without_properties(broker, name):
    with Client(broker, V311) as subscriber, Client(broker, V5) as publisher:
        subscriber.subscribe(name)
        publisher.publish(name, b"x", properties=publish_properties(ContentType="a", UserProperty=[("k", "v")]))
        assert subscriber.receive().payload == b"x"


def test_message_expiry_is_counted_down_and_obeyed(broker, name):
    with Client(broker, V5, name, clean=False, session_expiry=3600) as client:
        client.subscribe(f"{name}/queue", qos=1)
    with Client(broker, V5) as publisher:
        publisher.publish(f"{name}/queue", b"expires", properties=publish_properties(MessageExpiryInterval=1))
        publisher.publish(f"{name}/queue", b"stays", properties=publish_properties(MessageExpiryInterval=1000))
        # A retained message that is as short-lived, and a little younger, tells when the queued one is gone.
        publisher.publish(f"{name}/r", b"r", retain=True, properties=publish_properties(MessageExpiryInterval=1))
        while retained(broker, f"{name}/r", publisher, f"{name}/fence"):
            pass
    with Client(broker, V5, name, clean=False, session_expiry=0) as client:
        message = client.receive()
        assert message.payload == b"stays"
        # [MQTT-3.3.2-6]: less the time it waited.
        assert 900 < message.properties.MessageExpiryInterval < 1000


def retained(broker, topic, publisher, fence):
    """Whether a new subscriber is sent a retained message of this topic."""
    with Client(broker, V5) as client:
        client.subscribe(topic, fence)
        publisher.publish(fence, b"fence")
        return client.receive().topic == topic


def test_topic_alias_to_the_server(broker, name):
    with Client(broker, V5) as subscriber, Client(broker, V5) as publisher:
        subscriber.subscribe(f"{name}/#")
        highest = publisher.announced("TopicAliasMaximum", 0)
        assert highest > 0
        for alias, topic in ((1, "a"), (highest, "b")):
            publisher.publish(f"{name}/{topic}", "named", properties=publish_properties(TopicAlias=alias))
            publisher.publish("", "by alias", properties=publish_properties(TopicAlias=alias))
        publisher.publish(f"{name}/c", "renamed", properties=publish_properties(TopicAlias=1))
        publisher.publish("", "by alias", properties=publish_properties(TopicAlias=1))
        topics = [subscriber.receive().topic for _ in range(6)]
        assert topics == [f"{name}/{topic}" for topic in "aabbcc"]


@pytest.mark.parametrize("beyond", ["zero", "above the maximum", "unknown"])
def test_topic_alias_that_is_not_valid(broker, name, beyond):
    with Client(broker, V5) as client:
        highest = client.announced("TopicAliasMaximum", 0)
        alias, topic, reasons = {
            "zero": (0, name, {0x82, 0x94}),
            "above the maximum": (highest + 1, name, {0x94}),
            "unknown": (1, "", {0x82}),
        }[beyond]
        client.send_the_last(topic, "x", properties=raw_alias(alias))
        assert client.wait_disconnected().value in reasons


def raw_alias(alias):
    result = publish_properties(TopicAlias=1)
    # paho refuses to set what MQTT forbids, so it is put beneath its check.
    object.__setattr__(result, "TopicAlias", alias)
    return result


def test_subscription_identifiers(broker, name):
    with Client(broker, V5) as client:
        client.subscribe(f"{name}/+", qos=1, properties=subscription_identifier(7))
        client.subscribe(f"{name}/a", qos=1, properties=subscription_identifier(268_435_455))
        client.subscribe(f"{name}/none", qos=1)
        client.publish(f"{name}/a", b"x")
        client.publish(f"{name}/fence", b"fence")
        identifiers, fence_seen = [], False
        while not fence_seen:
            message = client.receive()
            fence_seen = message.payload == b"fence"
            identifiers += [] if fence_seen else message.properties.SubscriptionIdentifier
        # In one message or in two [MQTT-3.3.4-4], [MQTT-3.3.4-5]; each identifier once.
        assert sorted(identifiers) == [7, 268_435_455]
        assert message.properties.SubscriptionIdentifier == [7]
        # [MQTT-3.8.4-3]: a subscription that replaces the first one, with no identifier.
        client.subscribe(f"{name}/+", qos=1)
        client.publish(f"{name}/b", b"y")
        assert not hasattr(client.receive().properties, "SubscriptionIdentifier")


def test_no_local(broker, name):
    with Client(broker, V5) as client, Client(broker, V5) as other:
        client.subscribe(name, noLocal=True)
        client.publish(name, b"mine")
        other.publish(name, b"theirs")
        assert client.receive().payload == b"theirs"


def test_no_local_is_refused_in_a_shared_subscription(broker, name):
    with Client(broker, V5) as client:
        client.paho.subscribe(f"$share/{name}/{name}", options=SubscribeOptions(qos=1, noLocal=True))
        # [MQTT-3.8.3-4]
        assert client.wait_disconnected().value == 0x82


@pytest.mark.parametrize("as_published", [False, True])
def test_retain_as_published(broker, name, as_published):
    with Client(broker, V5) as client:
        client.subscribe(name, retainAsPublished=as_published)
        client.publish(name, b"x", retain=True)
        assert client.receive().retain == as_published
        client.publish(name, b"", retain=True)
        assert client.receive().retain == as_published


@pytest.mark.parametrize("handling, at_first, at_second", [(0, True, True), (1, True, False), (2, False, False)])
def test_retain_handling(broker, name, handling, at_first, at_second):
    with Client(broker, V5) as client, Client(broker, V5) as publisher:
        publisher.publish(name, b"retained", retain=True)
        for expected in (at_first, at_second):
            client.subscribe(name, qos=1, retainHandling=handling)
            publisher.publish(name, b"fence")
            received = client.receive().payload
            assert (received == b"retained") == expected
            if expected:
                assert client.receive().payload == b"fence"
        publisher.publish(name, b"", retain=True)


def test_reason_codes_when_nothing_matches(broker, name):
    with Client(broker, V5) as client:
        assert client.publish(f"{name}/nobody", b"x", qos=1) == 0x10
        assert client.subscribe(name) == [2]
        assert client.publish(name, b"x", qos=1) == 0x00
        assert client.unsubscribe(name, f"{name}/never") == [0x00, 0x11]
        assert client.publish(name, b"x", qos=1) == 0x10


def test_assigned_client_identifier(broker, name):
    with Client(broker, V5, "", clean=False, session_expiry=3600) as first, Client(broker, V5, "") as second:
        identifier = first.properties.AssignedClientIdentifier
        assert identifier and identifier != second.properties.AssignedClientIdentifier
        first.subscribe(name, qos=1)
    with Client(broker, V5, identifier, clean=False, session_expiry=0) as client:
        assert client.session_present
        assert not hasattr(client.properties, "AssignedClientIdentifier")


def test_receive_maximum_of_the_client(broker, name):
    with Client(broker, V5, connect={"ReceiveMaximum": 2}, manual_ack=True) as client:
        client.subscribe(name, qos=1)
        with Client(broker, V5) as publisher:
            for number in range(5):
                publisher.publish(name, b"%d" % number)
        window = [client.receive(), client.receive()]
        client.subscribe(f"{name}/fence")
        # [MQTT-3.3.4-9]: no third one before an acknowledgement.
        assert client.messages.empty()
        for number in range(2, 5):
            client.paho.ack(window.pop(0).mid, 1)
            window.append(client.receive())
            assert window[-1].payload == b"%d" % number


def test_maximum_packet_size_of_the_client(broker, name):
    with Client(broker, V5, connect={"MaximumPacketSize": 1000}) as client, Client(broker, V5) as publisher:
        client.subscribe(name, qos=1)
        publisher.publish(name, b"x" * 2000)
        publisher.publish(name, b"fits")
        # [MQTT-3.1.2-24], [MQTT-3.1.2-25]: the other one counts as sent.
        assert client.receive().payload == b"fits"


def test_maximum_packet_size_of_the_server(broker, name):
    with Client(broker, V5) as client:
        limit = client.announced("MaximumPacketSize", None)
        if limit is None:
            pytest.skip("this broker announces no maximum packet size")
        client.send_the_last(name, bytes(limit))
        # The server may close while the packet is still being written, so a reset can hide its DISCONNECT.
        client.wait_disconnected()


def test_announced_limits_are_usable(broker, name):
    with Client(broker, V5, connect={"SessionExpiryInterval": 0xFFFF_FFFF}, clean=True) as client:
        assert client.announced("ReceiveMaximum", 65_535) > 0
        assert client.announced("MaximumQoS", 2) == 2
        assert client.announced("RetainAvailable", 1) == 1
        assert client.announced("WildcardSubscriptionAvailable", 1) == 1
        assert client.announced("SubscriptionIdentifierAvailable", 1) == 1
        assert client.announced("SharedSubscriptionAvailable", 1) == 1
        assert client.announced("SessionExpiryInterval", 0xFFFF_FFFF) > 0
        client.disconnect(properties=properties(PacketTypes.DISCONNECT, {"SessionExpiryInterval": 0}))


def test_request_and_response(broker, name):
    with Client(broker, V5) as responder, Client(broker, V5) as requester:
        responder.subscribe(f"{name}/request")
        requester.subscribe(f"{name}/answers")
        asked = publish_properties(ResponseTopic=f"{name}/answers", CorrelationData=b"\x00\x01")
        requester.publish(f"{name}/request", b"2+2", qos=1, properties=asked)
        request = responder.receive()
        answer = publish_properties(CorrelationData=request.properties.CorrelationData)
        responder.publish(request.properties.ResponseTopic, b"4", qos=1, properties=answer)
        response = requester.receive()
        assert (response.payload, response.properties.CorrelationData) == (b"4", b"\x00\x01")
