"""A soak as Markdown and as panels for the plot."""

from soak_judge import MEBIBYTE, rests
from plot import Panel, Points, time_plot


def rate(samples: list[dict], read) -> Points:
    """What a counter grew by, per second."""
    points = []
    for before, after in zip(samples, samples[1:]):
        seconds = after["at"] - before["at"]
        if seconds > 0:
            points.append((after["at"] / 60, (read(after) - read(before)) / seconds))
    return points


def level(samples: list[dict], read) -> Points:
    """A gauge."""
    return [(sample["at"] / 60, read(sample)) for sample in samples]


def plot(run: dict) -> str:
    """The SVG."""
    samples, latencies = run["samples"], run["latencies"]
    found = rests(run["phases"], samples)
    middle = lambda rest: rest.samples[len(rest.samples) // 2]["at"] / 60
    end = max((sample["at"] for sample in samples), default=60) / 60
    quiet = [phase["name"] in ("quiet", "gone") for phase in run["phases"]]
    starts = [phase["at"] / 60 for phase in run["phases"]] + [end]
    shaded = [(starts[at], starts[at + 1]) for at, it in enumerate(quiet) if it]
    metric = lambda name: lambda sample: sample["metrics"][name]
    dropped = lambda reason: lambda sample: sample["ledger"]["dropped"][reason]
    reasons = list(samples[-1]["ledger"]["dropped"]) if samples else []
    frequent = sorted((reason for reason in reasons if dropped(reason)(samples[-1]) > 0),
                      key=lambda reason: -dropped(reason)(samples[-1]))[:3]
    panels = [
        Panel("resident memory of the node, MiB (dots: medians at rest)",
              {"MiB": level(samples, lambda it: it["node"]["resident"] / MEBIBYTE)},
              [(middle(rest), rest.resident / MEBIBYTE) for rest in found]),
        Panel("open files and threads of the node",
              {"files": level(samples, lambda it: it["node"]["files"]),
               "threads": level(samples, lambda it: it["node"]["threads"])}),
        Panel("connections, sessions, retained messages",
              {"connections": level(samples, metric("connections")),
               "sessions": level(samples, metric("sessions")),
               "retained": level(samples, metric("retained_messages"))}),
        Panel("publishes per second",
              {"received by the node": rate(samples, metric("publishes_received_total")),
               "sent by it": rate(samples, metric("publishes_sent_total"))}),
        Panel("ledger: per second (log)",
              {"delivered": rate(samples, lambda it: it["ledger"]["delivered"]),
               **{f"dropped, {reason}": rate(samples, dropped(reason)) for reason in frequent}}, logarithmic=True),
        Panel("ledger: queued", {"queued": level(samples, lambda it: it["ledger"]["queued"])}),
        Panel("connections accepted per second",
              {"accepted": rate(samples, metric("connects_accepted_total")),
               "taken over": rate(samples, metric("takeovers_total"))}),
        Panel("latency from publish to delivery, ms (log)",
              {name: [(it["at"] / 60, it["latency_us"][name] / 1000) for it in latencies]
               for name in ("p50", "p99", "max")}, logarithmic=True),
        Panel("CPU, cores",
              {"node": rate(samples, lambda it: it["node"]["cpu"]),
               "driver": rate(samples, lambda it: it["driver"]["cpu"])}),
    ]
    verdict = "passed" if run["passed"] else "FAILED"
    return time_plot(f"Micro MQ: soak of {run['minutes']:g} minutes, {verdict}; grey: at rest", panels, shaded, end)


def markdown(run: dict) -> str:
    """The report."""
    machine, samples = run["machine"], run["samples"]
    lines = [
        f"# A soak of {run['minutes']:g} minutes: {'passed' if run['passed'] else 'FAILED'}",
        "",
        f"`scripts/soak.sh {run['minutes']:g} --seed {run['seed']}` on {machine['cores']} cores, commit "
        f"{machine['commit']}.",
        "",
        "| criterion | | numbers |",
        "| --- | --- | --- |",
        *(f"| {it['criterion']} | {'holds' if it['passed'] else '**FAILS**'} | {it['numbers']} |"
          for it in run["criteria"]),
        "",
    ]
    if end := run["end"]:
        counts = end["counts"]
        seconds = samples[-1]["at"] if samples else 1
        cpu = {of: samples[-1][of]["cpu"] / seconds for of in ("node", "driver")} if samples else {}
        lines += [
            "| what happened | |",
            "| --- | --- |",
            *(f"| {text} | {counts[name]:,} |" for name, text in (
                ("published", "publishes, wills included"),
                ("received", "PUBLISH packets received by clients"),
                ("heard", "of those, checked one by one"),
                ("connects", "connections accepted"),
                ("drops", "connections dropped, reset, or left half open"),
                ("takeovers", "takeovers"),
                ("wills", "wills that were due"),
                ("repeated", "QoS 1 messages delivered again, as they may be"),
                ("missed", "QoS 0 and expired messages that did not arrive, as they need not"),
            )),
            *(f"| CPU of the {of}, cores on average | {value:.2f} |" for of, value in cpu.items()),
            "",
        ]
        if latency := end["latency_us"]:
            shown = ", ".join(f"{name} {latency[name] / 1000:.1f} ms" for name in ("p50", "p99", "p999", "max"))
            lines += [f"Latency from publish to delivery, both online: {shown}.", ""]
        lines += [f"- {sentence}" for sentence in end["sentences"]]
    lines += [f"- {problem}" for problem in run["problems"]]
    lines += ["The phases of rest, in order (memory in MiB):", "", "| minute | memory | files | threads | connections | "
              "sessions | retained |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for rest in run["rests"]:
        lines.append(
            f"| {rest['at'] / 60:.1f} | {rest['resident'] / MEBIBYTE:.1f} | {rest['files']:g} | {rest['threads']:g} | "
            f"{rest['connections']:g} | {rest['sessions']:g} | {rest['retained_messages']:g} |"
        )
    return "\n".join([*lines, ""])
