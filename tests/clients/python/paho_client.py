"""A paho-mqtt client whose callbacks become queues, each read with a deadline."""

import queue
import socket

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

DEADLINE_SECONDS = 20

V31, V311, V5 = paho.MQTTv31, paho.MQTTv311, paho.MQTTv5
VERSIONS = [V31, V311, V5]
VERSION_NAMES = {V31: "3.1", V311: "3.1.1", V5: "5.0"}

# paho names the properties of MQTT 5.0 by these attributes.
PROPERTY_NAMES = [
    "PayloadFormatIndicator",
    "MessageExpiryInterval",
    "ContentType",
    "ResponseTopic",
    "CorrelationData",
    "SubscriptionIdentifier",
    "UserProperty",
]


def properties(packet_type: int, values: dict) -> Properties:
    result = Properties(packet_type)
    for key, value in values.items():
        setattr(result, key, value)
    return result


def publish_properties(**values) -> Properties:
    return properties(PacketTypes.PUBLISH, values)


def received_properties(message: paho.MQTTMessage) -> dict:
    """The properties that came with a message, by name."""
    carried = message.properties
    return {key: getattr(carried, key) for key in PROPERTY_NAMES if carried and hasattr(carried, key)}


class Client:
    """Connects at once; leaves with DISCONNECT at the end of a `with` block unless it left before."""

    def __init__(
        self,
        broker,
        version=V5,
        identifier="",
        *,
        transport="tcp",
        clean=True,
        session_expiry=None,
        keep_alive=60,
        will=None,
        connect=None,
        manual_ack=False,
    ):
        """`will`: keyword arguments of paho's will_set. `connect`: further CONNECT properties. `clean`: clean start
        of 5.0 and clean session before. `session_expiry`: seconds, 5.0 only."""
        self.connected, self.messages, self.disconnected = queue.Queue(), queue.Queue(), queue.Queue()
        self._subscribed, self._unsubscribed, self._published = queue.Queue(), queue.Queue(), queue.Queue()
        self._ping_responses = queue.Queue()
        self.version = version
        options = {} if version == V5 else {"clean_session": clean}
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            identifier,
            protocol=version,
            transport=transport,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
            **options,
        )
        self.paho.max_inflight_messages_set(100)
        self.paho.on_log = lambda c, u, level, text: "PINGRESP" in text and self._ping_responses.put(text)
        self.paho.on_connect = lambda c, u, flags, code, props: self.connected.put((flags, code, props))
        self.paho.on_disconnect = lambda c, u, flags, code, props: self.disconnected.put((flags, code, props))
        self.paho.on_message = lambda c, u, message: self.messages.put(message)
        self.paho.on_subscribe = lambda c, u, mid, codes, props: self._subscribed.put((mid, codes))
        self.paho.on_unsubscribe = lambda c, u, mid, codes, props: self._unsubscribed.put((mid, codes))
        self.paho.on_publish = lambda c, u, mid, code, props: self._published.put((mid, code))
        if will is not None:
            self.paho.will_set(**will)
        connect_options = {}
        if version == V5:
            values = dict(connect or {})
            if session_expiry is not None:
                values["SessionExpiryInterval"] = session_expiry
            connect_options = {"clean_start": clean, "properties": properties(PacketTypes.CONNECT, values)}
        host, port = broker.host, broker.port
        if transport == "websockets":
            host, port = broker.websocket_host, broker.websocket_port
            self.paho.ws_set_options(path=broker.websocket_path)
        self.paho.connect(host, port, keepalive=keep_alive, **connect_options)
        self.paho.loop_start()
        self.flags, self.reason_code, self.properties = self.connected.get(timeout=DEADLINE_SECONDS)
        self._running = True

    def __enter__(self):
        assert not self.reason_code.is_failure, f"CONNECT was refused: {self.reason_code}"
        return self

    def __exit__(self, *_exception):
        self.disconnect()

    @property
    def session_present(self) -> bool:
        return self.flags.session_present

    def announced(self, name, default):
        """A value of the CONNACK, or what MQTT says holds where it is absent."""
        return getattr(self.properties, name, default)

    def subscribe(self, *filters, qos=2, expect_failure=False, **options):
        """Subscribes and waits for the SUBACK. `options`: of paho's subscribe or SubscribeOptions."""
        if self.version == V5:
            sub_properties = options.pop("properties", None)
            pairs = [(each, paho.SubscribeOptions(qos=qos, **options)) for each in filters]
            result, mid = self.paho.subscribe(pairs, properties=sub_properties)
        else:
            result, mid = self.paho.subscribe([(each, qos) for each in filters])
        assert result == paho.MQTT_ERR_SUCCESS
        codes = self._answer(self._subscribed, mid)
        assert len(codes) == len(filters)
        assert any(code.is_failure for code in codes) == expect_failure, codes
        return [code.value for code in codes]

    def unsubscribe(self, *filters):
        result, mid = self.paho.unsubscribe(list(filters))
        assert result == paho.MQTT_ERR_SUCCESS
        return [code.value for code in self._answer(self._unsubscribed, mid) or []]

    def send(self, topic, payload=b"", qos=0, retain=False, properties=None) -> int:
        """Publishes without waiting; answers the packet identifier."""
        info = self.paho.publish(topic, payload, qos, retain, properties)
        assert info.rc in (paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_QUEUE_SIZE)
        return info.mid

    def send_the_last(self, topic, payload=b"", properties=None):
        """Publishes what ends the connection: it may be over before paho has returned."""
        self.paho.publish(topic, payload, 0, properties=properties)

    def publish(self, topic, payload=b"", qos=1, retain=False, properties=None) -> int:
        """Publishes and waits until it is complete: for QoS 1 and 2 acknowledged. Answers the reason code."""
        return self.acknowledgement(self.send(topic, payload, qos, retain, properties)).value

    def acknowledgement(self, mid):
        return self._answer(self._published, mid)

    def receive(self) -> paho.MQTTMessage:
        return self.messages.get(timeout=DEADLINE_SECONDS)

    def receive_payloads(self, count) -> list[bytes]:
        return [self.receive().payload for _ in range(count)]

    def wait_ping_response(self):
        self._ping_responses.get(timeout=DEADLINE_SECONDS)

    def wait_disconnected(self):
        """Waits until the server ended the network connection; answers its reason code."""
        code = self.disconnected.get(timeout=DEADLINE_SECONDS)[1]
        self._stop()
        return code

    def drop(self):
        """Ends the network connection without a DISCONNECT, as a lost one."""
        self._running = False
        connection = self.paho.socket()
        # Through a WebSocket wrapper too, the plain socket goes: no closing frame is sent.
        getattr(connection, "_socket", connection).shutdown(socket.SHUT_RDWR)
        self.disconnected.get(timeout=DEADLINE_SECONDS)
        self.paho.loop_stop()

    def disconnect(self, **options):
        """Leaves with a DISCONNECT and waits until the network connection is closed."""
        if self._running:
            self.paho.disconnect(**options)
            self.disconnected.get(timeout=DEADLINE_SECONDS)
            self._stop()

    def _stop(self):
        self._running = False
        self.paho.loop_stop()

    def _answer(self, answers: queue.Queue, mid):
        """The answer to `mid`; answers to others that nobody waits for are passed over."""
        while True:
            answered, result = answers.get(timeout=DEADLINE_SECONDS)
            if answered == mid:
                return result
