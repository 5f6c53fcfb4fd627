"""Paho C, over TCP and WebSocket. Of a WebSocket frame it reads the first packet, and waits for the next frame."""

import pytest
from programs import SUBSCRIBERS, VERSIONS, Programs


@pytest.fixture(params=["tcp", "websocket"])
def url(request, broker):
    if request.param == "tcp":
        return f"tcp://{broker.host}:{broker.port}"
    if broker.websocket_host is None:
        pytest.skip("MICRO_MQ_TEST_WS names no WebSocket")
    return f"ws://{broker.websocket_host}:{broker.websocket_port}{broker.websocket_path}"


@pytest.fixture(params=VERSIONS)
def programs(request, url):
    return Programs(url, request.param)


@pytest.mark.parametrize("program", SUBSCRIBERS)
def test_retained_messages_together(programs, name, program):
    payloads = {f"{name}/{index}": f"{index}" * length for index, length in enumerate([1, 100, 130, 2000])}
    for topic, payload in payloads.items():
        programs.publish(topic, "-m", payload, "-r", "-q", "1", "-i", f"{name}p")
    with programs.subscriber(program, f"{name}/#", "-q", "1", "-i", f"{name}s") as subscriber:
        assert dict(subscriber.receive() for _ in payloads) == payloads
    for topic in payloads:
        programs.publish(topic, "-n", "-r", "-q", "1", "-i", f"{name}p")


@pytest.mark.parametrize("program", SUBSCRIBERS)
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_lines_arrive_in_order(programs, name, program, qos):
    lines = [str(number) for number in range(100)]
    with programs.subscriber(program, f"{name}/#", "-q", qos, "-i", f"{name}s") as subscriber:
        # It has subscribed when it gets this.
        programs.publish(f"{name}/kept", "-m", "kept", "-r", "-q", "1", "-i", f"{name}p")
        assert subscriber.receive() == (f"{name}/kept", "kept")
        with programs.publisher(lines, f"{name}/lines", "-q", qos, "-i", f"{name}p"):
            assert [subscriber.receive() for _ in lines] == [(f"{name}/lines", line) for line in lines]
    programs.publish(f"{name}/kept", "-n", "-r", "-q", "1", "-i", f"{name}p")


@pytest.mark.parametrize("program", SUBSCRIBERS)
def test_payload_of_100_kilobytes(programs, name, program, tmp_path):
    file = tmp_path / "payload"
    file.write_text("0123456789" * 10_000)
    topic = f"{name}/large"
    programs.publish(topic, "-f", str(file), "-r", "-q", "1", "-i", f"{name}p")
    # Without a wildcard it prints no topic name.
    with programs.subscriber(program, f"{name}/#", "-q", "1", "-i", f"{name}s") as subscriber:
        assert subscriber.receive() == (topic, file.read_text())
    programs.publish(topic, "-n", "-r", "-q", "1", "-i", f"{name}p")
