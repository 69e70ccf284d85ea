"""What `make bench-against` computes, and that it measures the code that it says."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.against import witness
from bench.against.backlog_rows import check_earned
from bench.against.earnings import points_by_order, points_of
from bench.against.pairs import Pair, compare, difference, parts_of, turns
from bench.against.revision import checked_out, commit_of
from bench.against.tree import Tree
from bench.against.worker_metrics import parse
from bench.cpu import family_seconds
from bench.figures import Figure, percentile
from bench.interrupts import undisturbed
from bench.load import purchases
from bench.running import RunFailed
from shared.errors import UsageError


def _cpu(value: float) -> list[Figure]:
    return [Figure("worker CPU", value, "µs/event")]


def test_the_sides_take_turns_in_going_first() -> None:
    first = [(0, "new"), (0, "old"), (1, "old"), (1, "new"), (2, "new"), (2, "old")]
    second = [(0, "old"), (0, "new"), (1, "new"), (1, "old"), (2, "old"), (2, "new")]
    assert [list(turns(pair, 3)) for pair in (1, 2, 3)] == [first, second, first]


def test_a_load_is_split_without_losing_or_repeating_an_event() -> None:
    events = list(purchases(10, 3))
    parts = parts_of(events, 4)
    assert [len(part) for part in parts] == [2, 3, 3, 2]
    assert [event for part in parts for event in part] == events


def test_ratios_are_of_pairs_and_not_of_medians() -> None:
    # A machine that gets slower: each pair says 2, 2 and 3, while the medians, 30 and 20, would say 1.5.
    [found] = compare([Pair(_cpu(20), _cpu(10)), Pair(_cpu(60), _cpu(20)), Pair(_cpu(30), _cpu(15))])
    assert (found.new.value, found.old.value) == (30, 15)
    assert (found.ratio, found.lowest, found.highest) == (2, 2, 3)


def test_a_ratio_to_nothing_is_none() -> None:
    [found] = compare([Pair(_cpu(1), _cpu(2)), Pair(_cpu(1), _cpu(0))])
    assert (found.old.value, found.ratio, found.lowest, found.highest) == (1, None, None, None)


def test_results_that_differ_are_named() -> None:
    assert difference({"earned": 5, "points": 70}, {"points": 70, "earned": 5}) == ""
    assert difference({"earned": 5, "points": 70}, {"earned": 4, "points": 70, "reversed": 1}) == (
        "earned: 4 instead of 5, reversed: 1 instead of 0"
    )


def test_a_percentile_is_a_value_that_was_measured() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert (percentile(hundred, 0.5), percentile(hundred, 0.99), percentile([7.0], 0.99)) == (51, 100, 7)


def _line(cents: int, brand: str = "National", department: str = "GROCERY") -> dict[str, object]:
    return {"line_id": "1", "category": [department, "TEA"], "brand": brand, "amount": cents}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([_line(199)], 1),
        ([_line(199), _line(199)], 3),  # 3.98 are three whole dollars, 1.99 twice would be two
        ([_line(250, "Private"), _line(150)], 4 + 2),
        ([_line(5000, "Private", "FUEL"), _line(99)], 0),
    ],
)
def test_what_a_purchase_of_the_load_earns(lines: list[dict[str, object]], expected: int) -> None:
    assert points_of({"lines": lines}) == expected


def test_a_run_without_one_of_its_points_events_is_no_figure() -> None:
    sent = list(purchases(100, 5))
    earned = points_by_order(sent)
    right = {"loyalty.points.earned.v1": len(earned), "loyalty.points.earned.v1 points": sum(earned.values())}
    assert len(earned) > 90
    check_earned(sent, right)
    for wrong in (
        {**right, "loyalty.points.earned.v1": len(earned) - 1},
        {**right, "loyalty.points.earned.v1 points": sum(earned.values()) + 1},
        {**right, "loyalty.points.reversed.v1": 1},
    ):
        with pytest.raises(RunFailed, match="the outputs are wrong"):
            check_earned(sent, wrong)


_PAGE = """\
# TYPE loyalty_events_total counter
loyalty_events_total{outcome="accepted",service="tiers"} 7.0
loyalty_events_total{outcome="ignored",service="tiers"} 3.0
# TYPE loyalty_lag_records gauge
loyalty_lag_records{partition="0",service="tiers",topic="points"} 0.0
loyalty_lag_records{partition="1",service="tiers",topic="points"} 0.0
loyalty_lag_records{partition="0",service="tiers",topic="rewards"} 0.0
# TYPE loyalty_outbox_batches gauge
loyalty_outbox_batches{service="tiers"} 0.0
"""


def test_a_worker_is_done_when_it_handled_all_records_of_its_topics() -> None:
    progress = parse(_PAGE)
    assert progress.is_done({"points": 6, "rewards": 4, "purchases": 900})
    assert not progress.is_done({"points": 7, "rewards": 4})
    assert not parse(_PAGE.replace('batches{service="tiers"} 0.0', 'batches{service="tiers"} 1.0')).is_done(
        {"points": 6, "rewards": 4}
    )
    assert not parse("").is_done({}), "one that has no partition yet has not begun"


def test_help_names_the_rows() -> None:
    shown = CliRunner().invoke(app, ["against", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0
    for word in ("--rev", "--row", "--pairs", "purchases, latency, flow, rich, redemptions"):
        assert word in shown.output
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0


def test_a_row_that_does_not_exist_is_refused_before_anything_starts() -> None:
    shown = CliRunner().invoke(app, ["against", "--rev", "HEAD", "--row", "lottery"])
    assert shown.exit_code == 2
    assert "lottery" in shown.output


def _tree(root: Path, says: str) -> Path:
    for package in ("services", "shared"):
        (root / package).mkdir(parents=True)
        (root / package / "__init__.py").write_text("")
    (root / "shared" / "words.py").write_text(f"WORDS = {says!r}\n")
    (root / "services" / "speak.py").write_text(
        "import sys\nfrom shared.words import WORDS\nprint(WORDS, *sys.argv[1:])\n"
    )
    return root


def test_a_process_runs_the_code_of_its_own_tree(tmp_path: Path) -> None:
    """Beside an editable installation of this repository, whose packages have the same names."""
    mine, other = _tree(tmp_path / "mine", "new"), _tree(tmp_path / "other", "old")
    packages = witness.packages_of(mine, other)
    assert packages == {"services", "shared"}
    tree = Tree("old", other, Path(sys.executable), packages)
    log, report = tmp_path / "log", tmp_path / "report.json"
    process = tree.start(report, {}, log, "services.speak")
    assert process.popen.wait(30) == 0, log.read_text()
    witness.check(report, other, ["shared.words"])
    with pytest.raises(RunFailed, match="these figures would be of other code"):
        witness.check(report, mine)
    with pytest.raises(RunFailed, match=r"was to run services\.earn\.app"):
        witness.check(report, other, ["services.earn.app"])
    with pytest.raises(RunFailed, match="without saying which code"):
        witness.check(tmp_path / "none.json", other)


def test_a_module_that_only_this_tree_has_is_noticed(tmp_path: Path) -> None:
    other = _tree(tmp_path / "other", "old")
    tree = Tree("old", other, Path(sys.executable), witness.packages_of(other) | {"bench"})
    # As with an editable installation: this repository comes after the tree on the path.
    here = str(Path(__file__).resolve().parents[3])
    (other / "services" / "speak.py").write_text(f"import sys\nsys.path.append({here!r})\nimport bench.figures\n")
    with pytest.raises(RunFailed, match=r"bench.* was to come from .*other"):
        tree.run(tmp_path / "report.json", {}, "services.speak")


def test_settings_of_whoever_calls_do_not_reach_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = _tree(tmp_path / "other", "old")
    (other / "services" / "speak.py").write_text(
        "import os\nimport shared\nfound = {n: v for n, v in os.environ.items() if n.startswith('LOYALTY_')}\n"
        "assert found == {'LOYALTY_CLOCK': 'manual'}, found\n"
    )
    monkeypatch.setenv("LOYALTY_BATCH_RECORDS", "7")
    tree = Tree("old", other, Path(sys.executable), witness.packages_of(other))
    tree.run(tmp_path / "report.json", {"LOYALTY_CLOCK": "manual"}, "services.speak")


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip


def test_a_revision_is_checked_out_and_vanishes_although_the_comparison_fails(tmp_path: Path) -> None:
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "speech").write_text("old")
    _git(tmp_path, "add", "speech")
    _git(tmp_path, "commit", "--quiet", "-m", "old")
    (tmp_path / "speech").write_text("new")
    commit = commit_of(tmp_path, "HEAD")
    with pytest.raises(KeyboardInterrupt), checked_out(tmp_path, commit) as tree:  # noqa: PT012
        assert (tree / "speech").read_text() == "old"
        assert len(_git(tmp_path, "worktree", "list").splitlines()) == 2
        (tree / "speech").write_text("changed, and still to be removed")
        raise KeyboardInterrupt
    assert not tree.parent.exists()
    assert len(_git(tmp_path, "worktree", "list").splitlines()) == 1
    assert (tmp_path / "speech").read_text() == "new"
    with pytest.raises(UsageError, match="names no commit"):
        commit_of(tmp_path, "no-such-branch")


_SERVER = """
import subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.3: pass"
subprocess.run([sys.executable, "-c", burn])
print(flush=True)
sys.stdin.read()
"""


def test_the_cpu_of_children_that_have_ended_counts() -> None:
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == b"\n"
    found = psutil.Process(server.pid)
    assert family_seconds(found) >= 0.28
    assert found.cpu_times().user + found.cpu_times().system < 0.28
    server.communicate(timeout=10)


def test_a_request_to_end_waits_for_what_is_undisturbed() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), undisturbed():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.01)
        done = True
    assert done
