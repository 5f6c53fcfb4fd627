"""Nodes that come, go, stop and wake."""

import signal
import time

from conftest import Node, until


def names_of(node, alive=True):
    return {member["node"] for member in node.cluster()["members"] if member["alive"] or not alive}


def test_a_node_that_stands_still_is_waited_for_until_its_view_is_stale(cluster):
    one, two, three = cluster.start("one", "two", "three")
    subscriber, publisher, late = two.client("s"), one.client("p"), three.client("late")
    subscriber.subscribe("before")
    three.signal(signal.SIGSTOP)
    began = time.monotonic()
    subscriber.subscribe("while/+", 1)
    assert time.monotonic() - began < 60
    publisher.publish("while/it/stands", b"no match", 1)
    publisher.publish("while/standing", b"first", 1)
    assert subscriber.receive().payload == b"first"
    # What it reads as it wakes is matched by what it does not know yet: it waits until it does.
    late.publish("while/waking", b"second", 1, wait=False)
    three.signal(signal.SIGCONT)
    assert subscriber.receive().payload == b"second"


def test_of_two_nodes_with_one_name_the_later_is_the_member(cluster):
    first, other = cluster.start("twin", "other")
    later = Node(cluster.kafka, "twin", cluster.folder)
    cluster.nodes.append(later)
    until(later.is_ready, 120, "the later one is ready")
    assert first.process.wait(60) == 1
    assert 'another node has said hello as "twin"' in first.said()
    subscriber, publisher = later.client("s"), other.client("p")
    subscriber.subscribe("t")
    publisher.publish("t", b"x", 1)
    assert subscriber.receive().payload == b"x"


def test_a_node_that_ends_leaves_nothing_behind(cluster):
    stays, goes = cluster.start("stays", "goes")
    subscriber = goes.client("s")
    for number in range(20):
        subscriber.subscribe(f"left/{number}")
    until(lambda: stays.cluster()["routes"] == 20, 60, "the routes are known")
    goes.signal(signal.SIGTERM)
    assert goes.process.wait(60) == 0
    until(lambda: names_of(stays, alive=False) == {"stays"}, 60, "it is no member any more")
    assert stays.cluster()["routes"] == 0
    assert stays.client("p").publish("left/1", b"x", 1) == b"\x10"


def test_kafka_that_stands_still_holds_what_has_to_be_acknowledged(cluster):
    one, two = cluster.start("one", "two")
    subscriber, publisher, local = two.client("s"), one.client("p"), one.client("l")
    subscriber.subscribe("t/#")
    local.subscribe("t/#", 0)
    publisher.publish("t/before", b"0", 1)
    assert subscriber.receive().payload == local.receive().payload == b"0"
    cluster.kafka.process.signal(signal.SIGSTOP)
    try:
        until(lambda: one.get("/health/ready")[0] == 503, 60, "its health says that Kafka is away")
        assert "kafka" in one.get("/health/ready")[1]
        identifiers = [publisher.publish("t/held", b"%d" % number, 1, wait=False) for number in range(1, 11)]
        other = one.client("o")
        other.publish("t/local", b"qos 0", 0)
        assert local.receive().payload == b"qos 0"
        assert not publisher.acknowledged
    finally:
        cluster.kafka.process.signal(signal.SIGCONT)
    for identifier in identifiers:
        publisher.wait(identifier, 60)
    received = [subscriber.receive(60).payload for _ in range(11)]
    assert [payload for payload in received if payload != b"qos 0"] == [b"%d" % number for number in range(1, 11)]
    until(one.is_ready, 60, "it is ready again")
