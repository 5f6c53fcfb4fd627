"""What is published at one node is received at another."""

import os

import pytest

from conftest import until

ROUNDS = int(os.environ.get("MICRO_MQ_BARRIER_ROUNDS", "300"))


def test_a_subscription_holds_at_every_node_once_it_is_acknowledged(nodes):
    subscribers = [node.client(f"barrier-subscriber-{number}") for number, node in enumerate(nodes)]
    publishers = [node.client(f"barrier-publisher-{number}") for number, node in enumerate(nodes)]
    for number in range(ROUNDS):
        subscriber, publisher = subscribers[number % 3], publishers[(number + 1 + number // 3 % 2) % 3]
        topic, qos = f"barrier/{number}", number % 3
        subscriber.subscribe(topic if number % 2 else f"+/{number}", qos)
        publisher.publish(topic, b"%d" % number, qos, wait=False)
        assert subscriber.receive().payload == b"%d" % number, f"round {number}"
        subscriber.unsubscribe(topic if number % 2 else f"+/{number}")
    for client in [*subscribers, *publishers]:
        client.disconnect()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publishes_come_in_order_and_once(nodes, qos):
    subscriber, publisher = nodes[1].client(f"order-s{qos}"), nodes[0].client(f"order-p{qos}")
    subscriber.subscribe(f"order/{qos}")
    sent = [b"%d" % number + bytes(number % 7 * 400) for number in range(300)]
    for number, payload in enumerate(sent):
        identifier = publisher.publish(f"order/{qos}", payload, qos, wait=False)
        if qos and number % 16 == 15:
            publisher.wait(identifier)
    received = [subscriber.receive() for _ in sent]
    assert [message.payload for message in received] == sent
    assert {message.qos for message in received} == {qos}
    publisher.publish(f"order/{qos}", b"the end", qos)
    assert subscriber.receive().payload == b"the end"


def test_who_has_no_match_reads_nothing(nodes):
    subscriber, publisher = nodes[1].client("some-s"), nodes[0].client("some-p")
    subscriber.subscribe("some/+")
    before = [node.figure("cluster_received_total") for node in nodes]
    for number in range(50):
        assert publisher.publish("some/thing", b"x", 1) in (b"", b"\x00")
    assert publisher.publish("nobody/wants/this", b"x", 1) == b"\x10"
    for _ in range(50):
        subscriber.receive()
    after = [node.figure("cluster_received_total") for node in nodes]
    assert [late - early for early, late in zip(before, after)] == [0, 50, 0]


def test_what_is_forwarded_is_received_and_each_ledger_balances(nodes):
    def of_all(name):
        return sum(node.figure(f"cluster_{name}_total") for node in nodes)

    subscribers = [node.client(f"sum-s{number}") for number, node in enumerate(nodes)]
    for subscriber in subscribers:
        subscriber.subscribe("sum/#", 1)
    before = sum(node.ledger()["matched"] for node in nodes)
    publishers = [node.client(f"sum-p{number}") for number, node in enumerate(nodes)]
    for number in range(90):
        publishers[number % 3].publish(f"sum/{number}", b"x", number % 2)
    for subscriber in subscribers:
        for _ in range(90):
            subscriber.receive()
    until(lambda: of_all("forwarded") == of_all("received"), 60, "all that was forwarded is received")
    balanced = lambda: all(node.ledger()["balanced"] for node in nodes)
    until(balanced, 60, "every ledger balances")
    assert sum(node.ledger()["matched"] for node in nodes) - before == 270


def test_the_largest_packet_crosses_nodes(nodes):
    subscriber, publisher = nodes[2].client("large-s"), nodes[0].client("large-p")
    subscriber.subscribe("large")
    payload = os.urandom(900_000)
    publisher.publish("large", payload, 1)
    assert subscriber.receive().payload == payload
