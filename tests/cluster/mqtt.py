"""A client of MQTT 5 that says what it is told to, and waits with a deadline for each answer."""

import collections
import socket
import struct
import time

PATIENCE = 60.0


def text(value):
    encoded = value.encode()
    return struct.pack("!H", len(encoded)) + encoded


def length(number):
    digits = b""
    while True:
        number, digit = number >> 7, number & 0x7F
        digits += bytes([digit | (0x80 if number else 0)])
        if not number:
            return digits


Message = collections.namedtuple("Message", "topic payload qos retain")


class Closed(Exception):
    """The node has closed the network connection; args[0] is the reason code of its DISCONNECT, if it sent one."""


class Client:
    """One network connection; what is received meanwhile waits in `messages`."""

    def __init__(self, port, client_identifier, clean=True, expiry=None, will=None, version=5):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received, self.identifier = b"", 0
        self.messages, self.acknowledged, self.reason = collections.deque(), {}, None
        self.version = version
        flags = 0x02 if clean else 0
        properties = b"" if expiry is None else b"\x11" + struct.pack("!I", expiry)
        payload = text(client_identifier)
        if will:
            topic, body, qos, retain = will
            flags |= 0x04 | qos << 3 | retain << 5
            payload += self.properties() + text(topic) + struct.pack("!H", len(body)) + body
        head = text("MQTT") + bytes([version, flags]) + struct.pack("!H", 60) + self.properties(properties)
        self.write(0x10, head + payload)
        kind, body = self.packet()
        assert kind >> 4 == 2, f"packet {kind:#x} in place of CONNACK"
        self.session_present, self.connack = bool(body[0] & 1), body[1]

    def properties(self, encoded=b""):
        return length(len(encoded)) + encoded if self.version == 5 else b""

    def write(self, kind, body):
        self.socket.sendall(bytes([kind]) + length(len(body)) + body)

    def next_identifier(self):
        self.identifier = self.identifier % 65535 + 1
        return self.identifier

    def take(self, count, deadline):
        while len(self.received) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            try:
                some = self.socket.recv(65536)
            except ConnectionError:
                some = b""
            if not some:
                raise Closed(self.reason)
            self.received += some
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def packet(self, patience=PATIENCE):
        deadline = time.monotonic() + patience
        # Nothing is taken before a whole packet is there.
        while True:
            size, shift, at = 0, 0, 1
            while at < len(self.received):
                digit = self.received[at]
                size |= (digit & 0x7F) << shift
                shift, at = shift + 7, at + 1
                if not digit & 0x80:
                    if len(self.received) >= at + size:
                        kind = self.take(at, deadline)[0]
                        return kind, self.take(size, deadline)
                    break
            self.received = self.take(len(self.received) + 1, deadline) + self.received

    def step(self, patience=PATIENCE):
        """Takes one packet, and answers it."""
        kind, body = self.packet(patience)
        if kind >> 4 == 3:
            qos, retain = kind >> 1 & 3, bool(kind & 1)
            size = struct.unpack("!H", body[:2])[0]
            topic, at = body[2 : 2 + size].decode(), 2 + size
            identifier = body[at : at + 2] if qos else b""
            at += len(identifier)
            if self.version == 5:
                at += 1 + body[at]
            self.messages.append(Message(topic, body[at:], qos, retain))
            if qos == 1:
                self.write(0x40, identifier)
            elif qos == 2:
                self.write(0x50, identifier)
        elif kind >> 4 == 6:
            self.write(0x70, body[:2])
        elif kind >> 4 == 5:
            if len(body) > 2 and body[2] >= 0x80:
                self.acknowledged[struct.unpack("!H", body[:2])[0]] = body[2]
            else:
                self.write(0x62, body[:2])
        elif kind >> 4 == 14:
            self.reason = body[0] if body else 0
        else:
            reason = body[2:] if kind >> 4 in (9, 11) else body[2:3]
            self.acknowledged[struct.unpack("!H", body[:2])[0]] = reason

    def wait(self, identifier, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while identifier not in self.acknowledged:
            self.step(deadline - time.monotonic())
        return self.acknowledged.pop(identifier)

    def subscribe(self, topic_filter, qos=2, wait=True):
        identifier = self.next_identifier()
        self.write(0x82, struct.pack("!H", identifier) + self.properties() + text(topic_filter) + bytes([qos]))
        return self.wait(identifier) if wait else identifier

    def unsubscribe(self, topic_filter):
        identifier = self.next_identifier()
        self.write(0xA2, struct.pack("!H", identifier) + self.properties() + text(topic_filter))
        return self.wait(identifier)

    def publish(self, topic, payload, qos=0, retain=False, wait=True, patience=PATIENCE):
        identifier = self.next_identifier() if qos else 0
        head = text(topic) + (struct.pack("!H", identifier) if qos else b"") + self.properties()
        self.write(0x30 | qos << 1 | retain, head + payload)
        return self.wait(identifier, patience) if qos and wait else identifier

    def receive(self, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while not self.messages:
            self.step(deadline - time.monotonic())
        return self.messages.popleft()

    def receives_nothing(self, patience):
        try:
            return self.receive(patience) and False
        except TimeoutError:
            return True

    def until_closed(self, patience=PATIENCE):
        """The reason code with which the node closes the network connection."""
        try:
            deadline = time.monotonic() + patience
            while True:
                self.step(deadline - time.monotonic())
        except Closed as closed:
            return closed.args[0]

    def disconnect(self):
        self.write(0xE0, b"")
        self.socket.close()
