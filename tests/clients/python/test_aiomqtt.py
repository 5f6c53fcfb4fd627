"""aiomqtt: the main behaviours through the asyncio client that many applications use, over every version."""

import asyncio
import contextlib
import socket

import aiomqtt
import pytest
from aiomqtt import ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions
from paho_client import properties, publish_properties, received_properties

DEADLINE_SECONDS = 20
MEBIBYTE = bytes(range(256)) * 4096


@pytest.fixture(params=[ProtocolVersion.V31, ProtocolVersion.V311, ProtocolVersion.V5], ids=["3.1", "3.1.1", "5.0"])
def version(request):
    return request.param


@pytest.fixture
def connect(broker):
    """Makes clients; `durable` ones have a session that outlives the connection by an hour."""

    def client(version, identifier=None, *, durable=False, **options):
        if version == ProtocolVersion.V5:
            expiry = {"SessionExpiryInterval": 3600} if durable else {}
            options["clean_start"] = not durable
            options["properties"] = properties(PacketTypes.CONNECT, expiry | options.pop("connect", {}))
        elif identifier is not None:
            options["clean_session"] = not durable
        return aiomqtt.Client(
            broker.host, broker.port, identifier=identifier, protocol=version, timeout=DEADLINE_SECONDS, **options
        )

    return client


def run(scenario):
    """Runs a test's coroutine, all of it within one deadline."""
    asyncio.run(asyncio.wait_for(scenario, 3 * DEADLINE_SECONDS))


async def receive(client):
    return await asyncio.wait_for(anext(client.messages), DEADLINE_SECONDS)


async def lose(client):
    """Cuts the network connection of a client, whose `async with` block then ends with an error."""
    client._client.socket().shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(aiomqtt.MqttError):
        await receive(client)


def test_every_qos_both_ways(connect, name, version):
    async def scenario():
        async with connect(version, f"{name}s") as subscriber, connect(version, f"{name}p") as publisher:
            for granted in (0, 1, 2):
                await subscriber.subscribe(f"{name}/{granted}", qos=granted)
            for published in (0, 1, 2):
                for granted in (0, 1, 2):
                    await publisher.publish(f"{name}/{granted}", f"{published}", qos=published)
                    message = await receive(subscriber)
                    assert str(message.topic) == f"{name}/{granted}"
                    assert (message.payload, message.qos) == (b"%d" % published, min(published, granted))

    run(scenario())


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_payload_of_a_mebibyte(connect, name, version, qos):
    async def scenario():
        async with connect(version, name) as client:
            await client.subscribe(name, qos=qos)
            await client.publish(name, MEBIBYTE, qos=qos)
            assert (await receive(client)).payload == MEBIBYTE

    run(scenario())


def test_many_publishes_at_once(connect, name, version):
    async def scenario():
        count = 500
        async with connect(version, name) as client:
            await client.subscribe(f"{name}/#", qos=1)
            await asyncio.gather(*(client.publish(f"{name}/{n}", b"%d" % n, qos=1) for n in range(count)))
            payloads = {(await receive(client)).payload for _ in range(count)}
            assert payloads == {b"%d" % n for n in range(count)}

    run(scenario())


def test_retained_message_is_set_received_and_cleared(connect, name, version):
    async def scenario():
        async with connect(version, f"{name}p") as publisher:
            await publisher.publish(name, b"kept", qos=1, retain=True)
            async with connect(version, f"{name}s") as subscriber:
                await subscriber.subscribe(name, qos=1)
                message = await receive(subscriber)
                assert (message.payload, message.retain) == (b"kept", True)
            await publisher.publish(name, b"", qos=1, retain=True)
            async with connect(version, f"{name}s") as subscriber:
                await subscriber.subscribe(name, qos=1)
                await publisher.publish(name, b"fence", qos=1)
                assert (await receive(subscriber)).payload == b"fence"

    run(scenario())


def test_will_of_a_lost_connection(connect, name, version):
    async def scenario():
        async with connect(version, f"{name}w") as watcher:
            await watcher.subscribe(f"{name}/will", qos=1)
            will = aiomqtt.Will(f"{name}/will", b"gone", qos=1)
            with contextlib.suppress(aiomqtt.MqttError):
                async with connect(version, f"{name}d", will=will) as client:
                    await lose(client)
            message = await receive(watcher)
            assert (message.payload, message.qos) == (b"gone", 1)

    run(scenario())


@pytest.mark.parametrize("qos", [1, 2])
def test_offline_queue_is_delivered_on_resume(connect, name, version, qos):
    async def scenario():
        async with connect(version, name, durable=True) as client:
            await client.subscribe(name, qos=2)
        async with connect(version, f"{name}p") as publisher:
            for number in range(20):
                await publisher.publish(name, b"%d" % number, qos=qos)
        async with connect(version, name, durable=True) as client:
            messages = [await receive(client) for _ in range(20)]
            assert [message.payload for message in messages] == [b"%d" % number for number in range(20)]
        async with connect(version, name):
            pass

    run(scenario())


def test_takeover(connect, name, version):
    async def scenario():
        with contextlib.suppress(aiomqtt.MqttError):
            async with connect(version, name) as first:
                async with connect(version, name) as second:
                    with pytest.raises(aiomqtt.MqttError):
                        await receive(first)
                    await second.subscribe(name, qos=1)
                    await second.publish(name, b"alive", qos=1)
                    assert (await receive(second)).payload == b"alive"

    run(scenario())


def test_shared_subscription_gives_each_message_to_one_member(connect, name, version):
    async def scenario():
        count = 100
        received = []

        async def collect(member, share):
            async for message in member.messages:
                share.append(message.payload)
                received.append(message.payload)
                if len(received) == count:
                    complete.set()

        complete = asyncio.Event()
        first_share, second_share = [], []
        async with connect(version, f"{name}a") as first, connect(version, f"{name}b") as second:
            await first.subscribe(f"$share/group/{name}", qos=1)
            await second.subscribe(f"$share/group/{name}", qos=1)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(collect(first, first_share)),
                    group.create_task(collect(second, second_share)),
                ]
                async with connect(version, f"{name}p") as publisher:
                    for number in range(count):
                        await publisher.publish(name, b"%d" % number, qos=1)
                await asyncio.wait_for(complete.wait(), DEADLINE_SECONDS)
                for task in tasks:
                    task.cancel()
        assert sorted(received, key=int) == [b"%d" % number for number in range(count)]
        assert first_share and second_share

    run(scenario())


def test_properties_of_5_0(connect, name):
    async def scenario():
        sent = {
            "PayloadFormatIndicator": 1,
            "ContentType": "text/plain",
            "ResponseTopic": f"{name}/answer",
            "CorrelationData": b"\x00\xff",
            "UserProperty": [("b", "1"), ("a", "2"), ("b", "3")],
        }
        async with connect(ProtocolVersion.V5, name) as client:
            identifier = properties(PacketTypes.SUBSCRIBE, {"SubscriptionIdentifier": 42})
            granted = await client.subscribe(name, options=SubscribeOptions(qos=1), properties=identifier)
            assert [code.value for code in granted] == [1]
            await client.publish(
                name, "payload", qos=1, properties=publish_properties(**sent, MessageExpiryInterval=100)
            )
            received = received_properties(await receive(client))
            assert 0 < received.pop("MessageExpiryInterval") <= 100
            assert received == sent | {"SubscriptionIdentifier": [42]}

    run(scenario())


def test_identifier_with_spaces_and_slashes(connect, name, version):
    async def scenario():
        # 3.1 limits itself to 23 characters.
        length = 23 if version == ProtocolVersion.V31 else 200
        identifier = (f"{name[:8]} a/b " + "ñ/ 測 " * 50)[:length]
        async with connect(version, identifier) as client:
            await client.subscribe(name)
            await client.publish(name, b"x", qos=1)
            assert (await receive(client)).payload == b"x"

    run(scenario())
