"""Who is measured: the node with each number of workers, and its peers."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from brokers import Broker, MicroMq, Mosquitto, Named, Relay, Rmqttd, Rumqttd
from figures import NODE, RELAY, with_workers
from scenarios import MOSQUITTO, Scenario

PUBLISHED = {"rumqttd": Rumqttd, "rmqttd": Rmqttd}


@dataclass(frozen=True)
class Peer:
    """A broker of the comparison, and how to make one for a run."""

    name: str
    make: Callable[[Path, Scenario], Broker]
    # How it is told apart from other versions of itself, for the head of the report.
    version: tuple[str, ...] = ()

    @property
    def is_relay(self) -> bool:
        """It is run in those scenarios only in which it says something."""
        return self.name.startswith(f"{RELAY}-")

    def takes_part(self, scenario: Scenario) -> bool:
        """Whether it is run in this scenario."""
        return scenario.relay or not self.is_relay


def nodes(program: Path, workers: list[int], settings: list[str]) -> list[Peer]:
    """The node with each of these numbers of workers."""

    def node(count: int) -> Peer:
        make = lambda folder, _scenario: MicroMq(folder, program, count, settings)
        return Peer(with_workers(NODE, count), make, (str(program), "version"))

    return [node(count) for count in workers]


def relays(generator: Path, workers: list[int]) -> list[Peer]:
    """The relay with as many threads as the node has workers."""

    def relay(count: int) -> Peer:
        make = lambda folder, scenario: Relay(folder, generator, count, scenario.arguments.split())
        return Peer(with_workers(RELAY, count), make)

    return [relay(count) for count in workers]


def peers(wanted: list[str], generator: Path, workers: list[int], quick: bool) -> list[Peer]:
    """
    Those of `wanted` (NAME or NAME=COMMAND); without a plain name all that are found, of a quick run mosquitto only.
    mosquitto is always among them, for goals are ratios to it.
    """
    named = [Peer(name, maker(name, command)) for name, _, command in map(split, wanted) if command]
    plain = {name for name, _, command in map(split, wanted) if not command}
    for peer in named:
        if peer.name in (MOSQUITTO, *PUBLISHED) or peer.name.startswith((f"{NODE}-", f"{RELAY}-")):
            raise ValueError(f"--peer {peer.name}=COMMAND: it needs a name of its own")
    chosen = [Peer(MOSQUITTO, lambda folder, _scenario: Mosquitto(folder), ("mosquitto", "-h"))]
    for name, broker in PUBLISHED.items():
        found = shutil.which(name) is not None
        if name in plain and not found:
            raise ValueError(f"--peer {name}: there is no such program; --install {name} gets it")
        if name in plain or (found and not plain and not quick):
            chosen.append(Peer(name, lambda folder, _scenario, broker=broker: broker(folder), (name, "--version")))
    if RELAY in plain or not (plain or quick):
        chosen += relays(generator, workers)
    unknown = plain - {MOSQUITTO, RELAY, *PUBLISHED}
    if unknown:
        raise ValueError(f"--peer {min(unknown)}: say {min(unknown)}=COMMAND, with {{port}} for the port")
    return chosen + named


def split(written: str) -> tuple[str, str, str]:
    """NAME=COMMAND in its parts."""
    return written.partition("=")


def maker(name: str, command: str) -> Callable[[Path, Scenario], Broker]:
    """A broker that is started by a command."""
    return lambda folder, _scenario: Named(folder, name, command)
