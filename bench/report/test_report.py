"""Tests of what judges and shows the results of scripts/bench.sh: python3 -m unittest discover bench/report."""

import tempfile
import unittest
import xml.etree.ElementTree
from importlib.util import find_spec
from pathlib import Path

import report
from brokers import MicroMq, Named, dropped_of
from figures import Runs, Verdict, faults, judge, judgement, judgements
from peers import peers
from pictures import pictures
from plot import Dots, Panel, dot_plot, time_plot
from run import own_sources, problem_of, rotated
from scenarios import GROUPS, MOSQUITTO, SCENARIOS, Goal, Scenario
from soak_run import SoakNode

CPU = Goal("cpu", 0.5, of=MOSQUITTO)
RATE = Goal("rate", 4, of=MOSQUITTO, at_least=True)
BULK = Scenario("bulk", "table", "pub", (CPU, RATE))
NODE = "micro-mq-1"


def ran(broker: str, number: int, cpu: float, rate: float = 1000, scenario: str = "bulk", p99: float = 10) -> dict:
    """A clean run of a bulk scenario."""
    load = {
        "seconds": 2.0,
        "messages_per_second": rate,
        "latency_us": {"p50": p99 / 2, "p99": p99},
        "broker": {"cpu": {"us_each": cpu, "user_us_each": cpu / 4}},
        "generator": {"us_each": 0.1, "seconds": 1.0},
    }
    return {"scenario": scenario, "broker": broker, "round": number, "clean": True, "result": {"load": load}}


def failed(broker: str, number: int, problem: str = "7 lost", fault: str = "broker", **more) -> dict:
    """A run that was not clean."""
    run = {"scenario": "bulk", "broker": broker, "round": number, "clean": False, "result": None}
    return run | {"problem": problem, "fault": fault} | more


def results(runs: list[dict], scenarios: list[Scenario]) -> dict:
    """What is written as JSON."""
    brokers = list(dict.fromkeys(run["broker"] for run in runs))
    settings = {"seconds": 2, "workers": [1], "node": [], "mosquitto": ["listener PORT"], "brokers": brokers}
    settings["scenarios"] = [it.name for it in scenarios]
    return {"date": "today", "machine": {"cores": "2"}, "settings": settings, "minutes": 1.0, "runs": runs}


class Judging(unittest.TestCase):
    """Goals and their tolerance."""

    def test_at_most(self):
        for value, verdict in ((0.5, Verdict.MET), (0.549, Verdict.WITHIN), (0.551, Verdict.MISSED)):
            self.assertIs(judge(CPU, value), verdict, value)

    def test_at_least(self):
        for value, verdict in ((4, Verdict.MET), (3.61, Verdict.WITHIN), (3.59, Verdict.MISSED)):
            self.assertIs(judge(RATE, value), verdict, value)

    def test_without_a_figure(self):
        runs = Runs([BULK], [ran(NODE, 1, 1.0), failed("mosquitto", 1)])
        self.assertIs(judgement(runs, BULK, CPU, 1).verdict, Verdict.UNKNOWN)

    def test_the_median_of_the_ratios_of_the_same_rounds(self):
        # The machine was three times slower in round 2; the ratios do not show it, those of medians would.
        runs = Runs([BULK], [
            ran(NODE, 1, 1.0), ran(MOSQUITTO, 1, 4.0),
            ran(NODE, 2, 3.0), ran(MOSQUITTO, 2, 12.0),
            ran(NODE, 3, 1.5), ran(MOSQUITTO, 3, 5.0),
            ran(NODE, 4, 9.0), failed(MOSQUITTO, 4),
        ])  # fmt: skip
        judged = judgement(runs, BULK, CPU, 1)
        self.assertEqual(judged.rounds, [0.25, 0.25, 0.3])
        self.assertEqual((judged.value, judged.verdict), (0.25, Verdict.MET))

    def test_the_ratio_of_the_medians_where_a_goal_says_so(self):
        goal = Goal("p99", 1.5, of=MOSQUITTO, medians=True)
        runs = Runs([BULK], [
            ran(name, number, 1.0, p99=p99)
            for name, values in ((NODE, (3, 300, 4)), (MOSQUITTO, (100, 2, 1)))
            for number, p99 in enumerate(values, 1)
        ])  # fmt: skip
        self.assertEqual(judgement(runs, BULK, goal, 1).value, 2)

    def test_a_flood_into_one_subscriber(self):
        scenario = next(it for it in SCENARIOS if it.name == "flood-q0")
        slow = {"resident_growth": 7 * 2**20, "p99_ratio": 1.5}
        slow["flood"] = {"rate_ratio": 0.95, "beside_per_second": 5e5, "not_delivered": 1000, "dropped_by_broker": 990}
        run = ran(NODE, 1, 1.0, scenario="flood-q0") | {"result": {"slow": slow}}
        verdicts = {it.goal.figure: it.verdict for it in judgements(Runs([scenario], [run]), scenario, 1)}
        self.assertEqual(
            verdicts, dict(growth_mib=Verdict.MISSED, flood_ratio=Verdict.MET, counted=Verdict.MET, p99_ratio=Verdict.MET)
        )

    def test_the_count_of_dropped_messages(self):
        reasons = 'micro_mq_messages_dropped_total{reason="connection_closed"} 7\n'
        self.assertEqual(dropped_of(f'# HELP x\n{reasons}micro_mq_messages_dropped_total{{reason="outbox_full"}} 564551\n'), 564551)
        self.assertIsNone(dropped_of(reasons))

    def test_a_goal_against_another_scenario_of_the_node(self):
        small = Scenario("small", "growth", "wild")
        large = Scenario("large", "growth", "wild", (Goal("cpu", 1.25, of="small"),))
        runs = Runs([small, large], [
            ran(NODE, 1, 2.0, scenario="small"), ran(NODE, 1, 2.4, scenario="large"),
            ran(MOSQUITTO, 1, 9.0, scenario="small"),
        ])  # fmt: skip
        self.assertEqual([it.value for it in judgements(runs, large, 1)], [1.2])

    def test_a_goal_of_so_many_workers(self):
        scenario = Scenario("bulk", "connections", "pub", (Goal("cpu", 0.9, workers=1), Goal("cpu", 1.0, workers=2)))
        runs = Runs([scenario], [ran("micro-mq-1", 1, 0.95), ran("micro-mq-2", 1, 0.95)])
        verdicts = [it.verdict for workers in (1, 2) for it in judgements(runs, scenario, workers)]
        self.assertEqual(verdicts, [Verdict.WITHIN, Verdict.MET])

    def test_a_second_worker_over_a_second_thread_of_the_relay(self):
        costs = {"micro-mq-1": 1.0, "micro-mq-2": 1.5, "relay-1": 0.5, "relay-2": 0.6}
        runs = Runs([BULK], [ran(name, number, cost) for name, cost in costs.items() for number in (1, 2)])
        self.assertEqual([round(value, 3) for value in runs.second_worker("bulk")], [1.25, 1.25])
        self.assertEqual(Runs([BULK], [ran(NODE, 1, 1.0)]).second_worker("bulk"), [])


class Faults(unittest.TestCase):
    """What the exit status tells."""

    def test_of_the_node_and_of_the_tools_alone(self):
        runs = Runs([BULK], [
            ran(NODE, 1, 1.0), failed(NODE, 2), failed("mosquitto", 1), failed("relay-1", 1),
            failed("rumqttd", 1), failed("rumqttd", 2, "panicked", fault="generator"),
        ])  # fmt: skip
        self.assertEqual([(run["broker"], run["round"]) for run in faults(runs)],
                         [(NODE, 2), ("relay-1", 1), ("rumqttd", 2)])

    def test_a_problem_in_words(self):
        result = {"faults": {"lost": 1234, "duplicated": 0, "out_of_order": 2}, "unacknowledged": 3, "notes": ["gave up"]}
        self.assertEqual(problem_of(result), "1,234 lost; 2 out of order; 3 unacknowledged; gave up")


class Showing(unittest.TestCase):
    """The report."""

    def written(self, runs: list[dict], scenarios: list[Scenario]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            report.write(results(runs, scenarios), scenarios, Path(folder), None)
            return (Path(folder) / "report.md").read_text()

    def test_verdicts_and_medians(self):
        runs = [ran(NODE, number, cpu, 5000) for number, cpu in enumerate((1.0, 1.2, 1.1), 1)]
        runs += [ran(MOSQUITTO, number, 2.0, 1000) for number in (1, 2, 3)] + [ran("relay-1", 1, 0.5)]
        report = self.written(runs, [BULK])
        self.assertIn("| bulk | 0.550 (0.500 to 0.600) | 0.5 | within 10 % | 5.00 (5.00 to 5.00) | 4 | met | 0.250 (0.250 to 0.250) |", report)
        self.assertIn("Of 2 goals of the node with 1 worker: 1 met, 1 within 10 %.", report)
        self.assertIn("The node lost, duplicated or reordered no message", report)

    def test_a_peer_that_fails_is_not_hidden(self):
        runs = [ran(NODE, 1, 1.0), failed("rumqttd", 1), failed("rumqttd", 2, "not run again", skipped=True)]
        report = self.written(runs, [BULK])
        self.assertIn("| fails |", report)
        self.assertIn("- rumqttd, bulk: 1 of 2 rounds (then not run again): 7 lost", report)

    def test_a_node_that_fails_is_said_to(self):
        report = self.written([ran(NODE, 1, 1.0), failed(NODE, 2)], [BULK])
        self.assertNotIn("The node lost, duplicated or reordered no message", report)
        self.assertIn("fails in 1 round", report)

    def test_into_a_document(self):
        document = "# T\n<!-- results -->\nold\n<!-- end of results -->\nrest\n"
        once = report.between_marks(document, "new")
        self.assertEqual(once, "# T\n<!-- results -->\n\nnew\n\n<!-- end of results -->\nrest\n")
        self.assertEqual(report.between_marks(once, "new"), once)
        with self.assertRaises(ValueError):
            report.between_marks("# T\n", "new")

    def test_every_group_with_figures_of_nobody(self):
        runs = [failed(NODE, 1) | {"scenario": it.name} for it in SCENARIOS]
        report = self.written(runs, SCENARIOS)
        for title in GROUPS.values():
            self.assertIn(f"## {title}", report)

    def test_the_plots_are_those_with_figures(self):
        found = pictures(Runs([BULK, *GROWTH], RUNS), [BULK, *GROWTH])
        self.assertEqual(sorted(found), ["growth-subscribers", "table-cpu", "table-rate"])


GROWTH = [Scenario(f"subscribers-{count}", "growth", "fanout") for count in (1, 10)]
RUNS = [ran(name, 1, 0.4) for name in (NODE, MOSQUITTO, "a<b")]
RUNS += [ran(NODE, 1, 0.4, scenario=it.name) for it in GROWTH]


@unittest.skipUnless(find_spec("matplotlib"), "no matplotlib here: scripts/bench.sh installs it")
class Drawing(unittest.TestCase):
    """The plots."""

    def test_of_the_benchmark(self):
        with tempfile.TemporaryDirectory() as folder:
            scenarios = [BULK, *GROWTH]
            report.draw(results(RUNS, scenarios), scenarios, Path(folder))
            drawn = {path.stem: words(path.read_text()) for path in Path(folder).iterdir()}
        self.assertEqual(sorted(drawn), ["growth-subscribers", "table-cpu", "table-rate"])
        for said in drawn.values():
            self.assertIn(NODE, said)
        self.assertTrue({"bulk", "goal", "a<b", MOSQUITTO} <= drawn["table-cpu"], drawn["table-cpu"])

    def test_the_same_figures_give_the_same_file(self):
        rows = [Dots("row", {NODE: [1.0, 2.0, 3.0]}, {"": 2.0})]
        self.assertEqual(dot_plot("title", rows), dot_plot("title", rows))

    def test_any_values_have_a_scale(self):
        for values in ([0.5], [1.0], [0.003, 4e6], [17, 18], [0.0]):
            words(dot_plot("title", [Dots("row", {NODE: values})]))

    def test_of_a_soak(self):
        panels = [Panel("linear", {"one": [(0, 1.0), (2, 3.0)]}, [(1, 2.0)]), Panel("none", {"two": []}),
                  Panel("log", {"three": [(0, 1.0), (2, 3e6)]}, logarithmic=True)]  # fmt: skip
        said = words(time_plot("title", panels, [(0.5, 1.0)], 2))
        self.assertTrue({"title", "linear", "log", "one", "two", "three", "minutes"} <= said, said)


def words(svg: str) -> set[str]:
    """What a picture says."""
    texts = xml.etree.ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return {"".join(text.itertext()).strip() for text in texts}


class Choosing(unittest.TestCase):
    """Scenarios and brokers."""

    def test_names_are_unique_and_goals_bound_what_there_is(self):
        names = [it.name for it in SCENARIOS]
        self.assertEqual(len(names), len(set(names)))
        for scenario in SCENARIOS:
            self.assertIn(scenario.group, GROUPS)
            for goal in scenario.goals:
                self.assertIn(goal.of, ("", MOSQUITTO, *names), scenario.name)

    def test_timed_runs_only_get_a_length(self):
        commands = {it.name: it.command(1.5) for it in SCENARIOS}
        self.assertEqual(commands["pub-1-q0"], ["pub", "--seconds", "1.5"])
        for name in ("go-1000-publishers-q0", "idle-bare", "connect", "subscriptions-1000000"):
            self.assertNotIn("--seconds", commands[name], name)

    def test_peers(self):
        program = Path("mqtt-bench")
        names = lambda wanted, quick=False: [it.name for it in peers(wanted, program, [1, 2], quick)]
        self.assertEqual(names(["relay"]), ["mosquitto", "relay-1", "relay-2"])
        self.assertEqual(names(["mosquitto", "other=run {port}"]), ["mosquitto", "other"])
        self.assertEqual(names([], quick=True), ["mosquitto"])
        with self.assertRaisesRegex(ValueError, "say nanomq=COMMAND"):
            names(["nanomq"])
        for taken in ("mosquitto=x", "micro-mq-3=x", "relay-1=x"):
            with self.assertRaisesRegex(ValueError, "name of its own"):
                names([taken])

    def test_a_command_gets_port_and_folder(self):
        broker = Named(Path("/x y"), "other", "run --port {port} '{folder}'")
        self.assertEqual(broker.command(), ["run", "--port", str(broker.port), "/x y"])

    def test_what_the_node_is_told(self):
        node = MicroMq(Path("/x"), Path("micro-mq"), 2, ["store.backend=disk"]).command()
        self.assertLess(node.index("store.backend=memory"), node.index("store.backend=disk"))
        self.assertIn("log.format=json", SoakNode(Path("/x"), Path("micro-mq"), []).command())

    def test_a_run_comes_from_addresses_that_those_before_it_did_not_use(self):
        self.assertEqual(own_sources(1)[0], "127.0.2.1")
        runs = [set(own_sources(place)) for place in range(1, 251)]
        self.assertEqual(len(set.union(*runs)), sum(map(len, runs)))

    def test_each_round_begins_with_another(self):
        self.assertEqual([rotated(["a", "b", "c"], number)[0] for number in (1, 2, 3, 4)], ["a", "b", "c", "a"])


if __name__ == "__main__":
    unittest.main()
