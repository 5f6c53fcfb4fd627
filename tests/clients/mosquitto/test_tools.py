"""The programs that everybody tries first, over 3.1, 3.1.1 and 5.0."""

import json
import signal
import threading

import pytest
from tools import DEADLINE_SECONDS, VERSIONS, Tools

MEBIBYTE = b"0123456789abcdef" * 65536


@pytest.fixture(params=VERSIONS)
def tools(request, broker):
    return Tools(broker, request.param)


@pytest.fixture
def tools_5(broker):
    return Tools(broker, "mqttv5")


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_publish_and_subscribe(tools, name, qos):
    with tools.subscriber("-t", f"{name}/#", "-q", qos, "-i", f"{name}s") as subscriber:
        tools.publish("-t", f"{name}/a b/ü", "-m", "grüße", "-q", qos, "-i", f"{name}p")
        message = subscriber.receive()
        assert message["topic"] == f"{name}/a b/ü"
        assert (message["payload"], message["qos"], message["retain"]) == ("grüße", int(qos), 0)


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_lines_arrive_in_order(tools, name, qos):
    lines = [str(number) for number in range(100)]
    with tools.subscriber("-t", name, "-q", qos) as subscriber:
        tools.publish("-t", name, "-l", "-q", qos, input="\n".join(lines).encode())
        assert [subscriber.receive()["payload"] for _ in lines] == lines


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_payload_of_a_mebibyte(tools, name, qos, tmp_path):
    file = tmp_path / "payload"
    file.write_bytes(MEBIBYTE)
    with tools.subscriber("-t", name, "-q", qos) as subscriber:
        tools.publish("-t", name, "-f", str(file), "-q", qos)
        assert subscriber.receive()["payload"].encode() == MEBIBYTE


def test_retained_message_is_set_received_and_cleared(tools, name):
    tools.publish("-t", name, "-m", "kept", "-r", "-q", "1")
    (message,) = tools.receive(1, "-t", name, "-q", "1")
    assert (message["payload"], message["retain"]) == ("kept", 1)
    tools.publish("-t", name, "-n", "-r", "-q", "1")
    with tools.subscriber("-t", name, "-q", "1") as subscriber:
        tools.publish("-t", name, "-m", "fence", "-q", "1")
        message = subscriber.receive()
        assert (message["payload"], message["retain"]) == ("fence", 0)


def test_will_of_a_killed_client(tools, name):
    will = ["--will-topic", f"{name}/will", "--will-payload", "gone", "--will-qos", "1"]
    with tools.subscriber("-t", f"{name}/will", "-q", "1") as watcher:
        with tools.subscriber("-t", name, *will) as client:
            client.process.send_signal(signal.SIGKILL)
            message = watcher.receive()
            assert (message["payload"], message["qos"]) == ("gone", 1)


def test_offline_queue_is_delivered_on_resume(tools, name):
    session = ["-c", "-i", name, "-q", "1", "-t", name]
    if tools.version == "mqttv5":
        session += ["-x", "3600"]
    tools.subscribe_and_leave(*session)
    for number in range(5):
        tools.publish("-t", name, "-m", str(number), "-q", "1")
    assert [message["payload"] for message in tools.receive(5, *session)] == list("01234")
    tools.subscribe_and_leave("-i", name, "-t", name)


def test_shared_subscription_gives_each_message_to_one_member(tools, name):
    count = 50
    group = ["-t", f"$share/g/{name}/work", "-t", f"{name}/end", "-q", "1"]
    with tools.subscriber(*group) as first, tools.subscriber(*group) as second:
        numbers = "\n".join(str(number) for number in range(count))
        tools.publish("-t", f"{name}/work", "-l", "-q", "1", input=numbers.encode())
        tools.publish("-t", f"{name}/end", "-m", "end", "-q", "1")
        shares = [list(iter(lambda member=member: member.receive()["payload"], "end")) for member in (first, second)]
        assert sorted(shares[0] + shares[1], key=int) == [str(number) for number in range(count)]
        assert shares[0] and shares[1]


def test_topic_name_of_60000_bytes(tools, name):
    topic = f"{name}/" + "x" * (60_000 - len(name) - 1)
    with tools.subscriber("-t", f"{name}/+", "-q", "1") as subscriber:
        tools.publish("-t", topic, "-m", "x", "-q", "1")
        assert subscriber.receive()["topic"] == topic


def test_identifier_with_spaces_and_slashes(tools, name):
    # 3.1 limits itself to 23 characters, and so does its mosquitto_sub.
    length = 23 if tools.version == "mqttv31" else 200
    identifier = (f"{name[:8]} a/b " + "long / " * 40)[:length]
    with tools.subscriber("-t", name, "-i", identifier) as subscriber:
        tools.publish("-t", name, "-m", "x")
        assert subscriber.receive()["payload"] == "x"


def test_request_and_response(tools_5, name):
    """mosquitto_rr sends the request and waits at its response topic; a mosquitto_sub reads the request."""
    answers = []
    with tools_5.subscriber("-t", f"{name}/request", "-q", "1") as responder:
        arguments = ["-t", f"{name}/request", "-e", f"{name}/answer", "-m", "2+2", "-q", "1"]
        asking = threading.Thread(target=lambda: answers.append(tools_5.request(*arguments)))
        asking.start()
        request = responder.receive()
        assert request["payload"] == "2+2"
        assert request["properties"]["response-topic"] == f"{name}/answer"
        tools_5.publish("-t", f"{name}/answer", "-m", "4", "-q", "1")
        asking.join(2 * DEADLINE_SECONDS)
    assert answers == [b"4"]


def test_properties_of_5_0(tools_5, name):
    sent = {
        "payload-format-indicator": 1,
        "content-type": "text/plain",
        "response-topic": "a/b",
        "correlation-data": "abc",
    }
    options = [word for key, value in sent.items() for word in ("-D", "publish", key, str(value))]
    users = [("b", "1"), ("a", "2"), ("b", "3")]
    options += [word for pair in users for word in ("-D", "publish", "user-property", *pair)]
    with tools_5.subscriber("-t", name, "-D", "subscribe", "subscription-identifier", "9") as subscriber:
        tools_5.publish("-t", name, "-m", "x", *options, "-D", "publish", "message-expiry-interval", "100")
        line = subscriber.wait_for_message()
        # [MQTT-3.3.2-18]: their order is kept, and so are duplicates, which a parsed object could not show.
        assert '"user-properties":{"b":"1","a":"2","b":"3"}' in line
        received = json.loads(line)["properties"]
        assert 0 < received.pop("message-expiry-interval") <= 100
        for key, value in sent.items():
            assert received[key] == value


def test_system_topics_under_mosquitto_names(tools):
    topics = [
        "version",
        "uptime",
        "clients/connected",
        "messages/received",
        "publish/messages/sent",
        "subscriptions/count",
    ]
    filters = [word for topic in topics for word in ("-t", f"$SYS/broker/{topic}")]
    messages = tools.receive(len(topics), *filters)
    assert {message["topic"] for message in messages} == {f"$SYS/broker/{topic}" for topic in topics}


@pytest.mark.parametrize("qos", ["1", "2"])
def test_publish_that_matches_nothing(tools_5, name, qos):
    printed = tools_5.publish("-d", "-t", f"{name}/nobody", "-m", "x", "-q", qos).decode()
    if qos == "1":
        assert "PUBACK (Mid: 1, RC:16)" in printed
    else:
        # 0x10 is no failure: the exchange goes on to its end.
        assert "PUBCOMP (Mid: 1, RC:0)" in printed
