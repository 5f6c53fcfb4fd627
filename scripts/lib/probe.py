"""Looks at nodes from outside, with nothing but sockets: whether they are ready, and whether a message comes through.

    probe.py ready SECONDS HOST:PORT...           /health/ready of every admin listener says yes
    probe.py through SECONDS FROM TO...           what is published at FROM upon their SUBACKs comes to a subscriber at each TO
"""

import http.client
import socket
import sys
import time

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 14

# One try; there is another until the time is over.
TRY_SECONDS = 10


class Unanswered(Exception):
    """What was expected did not come."""


def text(value):
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def packet(kind, flags, body):
    length, rest = b"", len(body)
    while True:
        rest, digit = rest // 128, rest % 128
        length += bytes([digit | (128 if rest else 0)])
        if not rest:
            return bytes([kind << 4 | flags]) + length + body


class Client:
    """An MQTT 3.1.1 client with a clean session."""

    def __init__(self, address, identifier):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=TRY_SECONDS)
        self.received = b""
        self.socket.sendall(packet(CONNECT, 0, text("MQTT") + b"\x04\x02\x00\x3c" + text(identifier)))
        if self.expect(CONNACK)[1] != 0:
            raise Unanswered(f"{address} refuses the client")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.socket.sendall(packet(DISCONNECT, 0, b""))
        except OSError:
            pass
        self.socket.close()

    def take(self, size):
        while len(self.received) < size:
            data = self.socket.recv(65536)
            if not data:
                raise Unanswered("the node closed the network connection")
            self.received += data
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def expect(self, kind):
        """The body of the next packet of this kind; others are passed over."""
        while True:
            first = self.take(1)[0]
            length, shift = 0, 0
            while True:
                digit = self.take(1)[0]
                length |= (digit & 127) << shift
                shift += 7
                if digit < 128:
                    break
            body = self.take(length)
            if first >> 4 == kind:
                return body

    def subscribe(self, topic):
        self.socket.sendall(packet(SUBSCRIBE, 2, b"\x00\x01" + text(topic) + b"\x00"))
        if self.expect(SUBACK)[2] > 2:
            raise Unanswered("the subscription is refused")

    def publish(self, topic, payload):
        self.socket.sendall(packet(PUBLISH, 2, text(topic) + b"\x00\x01" + payload))
        self.expect(PUBACK)

    def message(self, topic):
        body = self.expect(PUBLISH)
        start = 2 + int.from_bytes(body[:2], "big")
        if body[2:start].decode() != topic:
            raise Unanswered("another message came")
        return body[start:]


def ask_ready(address, deadline):
    connection = http.client.HTTPConnection(address, timeout=max(0.1, min(5, deadline - time.monotonic())))
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        said = response.read().decode().strip()
        if response.status != 200:
            raise Unanswered(f"{address}: {said}")
    except http.client.HTTPException as error:
        raise Unanswered(f"{address}: {error!r}") from error
    finally:
        connection.close()


def ready(deadline, *addresses):
    for address in addresses:
        until(deadline, f"{address} is ready", lambda address=address: ask_ready(address, deadline))


def send_through(source, targets):
    stamp = time.time_ns()
    topic, payload = f"probe/{stamp}", str(stamp).encode()
    subscribers = []
    try:
        for number, target in enumerate(targets):
            subscribers.append(Client(target, f"probe-{stamp}-{number}"))
            subscribers[-1].subscribe(topic)
        with Client(source, f"probe-{stamp}-from") as publisher:
            publisher.publish(topic, payload)
            for subscriber in subscribers:
                if subscriber.message(topic) != payload:
                    raise Unanswered("another message came")
    finally:
        for subscriber in subscribers:
            subscriber.__exit__()


def through(deadline, source, *targets):
    until(deadline, f"{source} reaches {', '.join(targets)}", lambda: send_through(source, targets))


def until(deadline, what, attempt):
    while True:
        try:
            return attempt()
        except (OSError, Unanswered) as error:
            if time.monotonic() >= deadline:
                sys.exit(f"not in time: {what} ({error})")
            time.sleep(0.2)


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in ("ready", "through") or (sys.argv[1] == "through" and len(sys.argv) < 5):
        sys.exit(__doc__.strip())
    deadline = time.monotonic() + float(sys.argv[2])
    {"ready": ready, "through": through}[sys.argv[1]](deadline, *sys.argv[3:])


if __name__ == "__main__":
    main()
