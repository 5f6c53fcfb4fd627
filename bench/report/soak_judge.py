"""The verdict on a soak: what held in the phases of rest, and what the driver saw."""

from itertools import combinations
from statistics import median

MEBIBYTE = 2**20
GROWTH_MAX = 5 * MEBIBYTE
# Seconds until memory of the load before is back with the system, and the last connections are gone.
CALM_SECONDS = 3


class Rest:
    """One phase of rest: what the driver held then, and the samples taken once it had calmed down."""

    def __init__(self, phase: dict, samples: list[dict]):
        self.at = phase["at"]
        self.expected = phase
        self.samples = samples

    def figure(self, of: str, name: str) -> float:
        """The median of a figure."""
        return median(sample[of][name] for sample in self.samples)

    @property
    def resident(self) -> float:
        """Bytes of the node."""
        return self.figure("node", "resident")

    def summary(self) -> dict:
        """For the results."""
        return {
            "at": self.at,
            "phase": self.expected["name"],
            "samples": len(self.samples),
            "resident": self.resident,
            **{name: self.figure("node", name) for name in ("files", "threads")},
            **{name: self.figure("metrics", name) for name in ("connections", "sessions", "retained_messages")},
        }


def rests(phases: list[dict], samples: list[dict]) -> list[Rest]:
    """The phases named quiet, and the last one, when all clients are gone."""
    ends = [phase["at"] for phase in phases[1:]] + [float("inf")]
    found = []
    for phase, end in zip(phases, ends):
        if phase["name"] in ("quiet", "gone"):
            calm = min(CALM_SECONDS, (end - phase["at"]) / 3)
            within = [it for it in samples if phase["at"] + calm <= it["at"] and it["ended"] < end]
            if within:
                found.append(Rest(phase, within))
    return found


def slope(points: list[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs (Theil-Sen), which single outliers do not move."""
    return median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2))


def balanced(ledger: dict) -> bool:
    """matched = delivered + queued + dropped, and nothing waits."""
    accounted = ledger["delivered"] + ledger["queued"] + sum(ledger["dropped"].values())
    return ledger["matched"] == accounted and ledger["balanced"] and ledger["queued"] == 0


def same(name: str, quiet: list[Rest], of: str = "node") -> tuple[bool, str]:
    """Whether a figure is the same in all phases of rest."""
    values = sorted({rest.figure(of, name) for rest in quiet})
    return len(values) == 1, ", ".join(f"{value:g}" for value in values)


def holds(found: list[Rest], name: str, expected: str, besides: float = 0) -> tuple[bool, str]:
    """Whether each sample shows what the driver holds, and so many `besides`."""
    wrong = [
        f"{sample['metrics'][name]:g} in place of {rest.expected[expected] + besides:g} after {rest.at:.0f} s"
        for rest in found
        for sample in rest.samples
        if sample["metrics"][name] != rest.expected[expected] + besides
    ]
    counts = list(dict.fromkeys(f"{rest.expected[expected]}" for rest in found))
    shown = ", ".join(counts if len(counts) < 6 else [*counts[:2], "...", *counts[-2:]])
    return not wrong and bool(found), "; ".join(wrong[:3]) or shown


def criteria(run: dict) -> list[dict]:
    """Each with its name, whether it holds, and its numbers."""
    found = rests(run["phases"], run["samples"])
    quiet = [rest for rest in found if rest.expected["name"] == "quiet"]
    judged: list[dict] = []

    def judge(name: str, passed: bool, numbers: str) -> None:
        judged.append({"criterion": name, "passed": bool(passed), "numbers": numbers})

    end = run["end"] or {"clean": False, "faults": {}, "sentences": []}
    gone = bool(found) and found[-1].expected["name"] == "gone"
    judge("the run came to its end", run["end"] and gone and len(quiet) >= 3, f"{len(quiet)} phases of rest")
    faults = end["faults"]
    for name, text in (
        ("lost", "nothing acknowledged was lost for a durable session"),
        ("duplicated", "no QoS 0 or 2 message came twice"),
        ("out_of_order", "order was kept per publisher and topic"),
        ("retained", "retained messages were the last ones published"),
        ("conduct", "nothing else went wrong between node and clients"),
    ):
        judge(text, faults.get(name) == 0, f"{faults.get(name, 'unknown')} faults")
    if len(quiet) >= 3:
        # The first phase of rest lies before any load, the second ends the warm-up.
        cold, warm, last = quiet[0], quiet[1], quiet[-1]
        grown = last.resident - warm.resident
        numbers = ", ".join(f"{rest.resident / MEBIBYTE:.1f}" for rest in (cold, warm, last))
        judge("memory: the last rest within 5 MiB of the first after warm-up", grown <= GROWTH_MAX,
              f"{grown / MEBIBYTE:+.1f} MiB ({numbers} MiB cold, warm, at the end)")
        trend = slope([(rest.at, rest.resident) for rest in quiet[1:]]) * (last.at - warm.at)
        judge("memory: no upward trend over the phases of rest", trend <= GROWTH_MAX,
              f"{trend / MEBIBYTE:+.1f} MiB over {(last.at - warm.at) / 60:.0f} minutes")
        for name, text in (("files", "open files"), ("threads", "threads")):
            judge(f"{text}: the same number in every phase of rest", *same(name, quiet))
    wrong = [rest.at for rest in found for sample in rest.samples if not balanced(sample["ledger"])]
    count = sum(len(rest.samples) for rest in found)
    ledger = run["samples"][-1]["ledger"] if run["samples"] else {"matched": 0}
    judge("ledger: balanced exactly, nothing queued, in every phase of rest", found and not wrong,
          f"{count - len(wrong)} of {count} samples, the last with {ledger['matched']:,} matches")
    judge("connections are those of the driver", *holds(found, "connections", "connections"))
    judge("sessions are those of the driver", *holds(found, "sessions", "sessions"))
    # $SYS is retained as well, and complete within seconds.
    sys_topics = found[0].samples[-1]["metrics"]["retained_messages"] if found else 0
    judge("retained messages are those of the driver, and $SYS",
          *holds(found[1:], "retained_messages", "retained", sys_topics))
    judge("the node answered every question about itself", not run["problems"],
          f"{len(run['samples'])} samples, {len(run['problems'])} problems")
    restarts = max((sample["metrics"]["actor_restarts_total"] for sample in run["samples"]), default=-1)
    judge("no actor was restarted", restarts == 0, f"{restarts:g} restarts")
    judge("no error in the log", not run["log"]["ERROR"],
          f"{len(run['log']['ERROR'])} errors, {len(run['log']['WARN'])} warnings")
    judge("the node ended with status 0", run["node_status"] == 0, f"status {run['node_status']}")
    return judged
