"""Three of the ready-made programs on the real stack: their worked examples come out as they were computed by hand."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import pytest
from ruamel.yaml import YAML

from services.earn.referrals import RULES
from shared.admin.program_texts import read_program
from shared.ledger.operations import Operation
from shared.program.compiled.program import compile_program
from shared.program.language.loader import load
from shared.simulation.events_file import read_events
from tests.support.deployment import Deployment, Servers, deployed
from tests.support.events import Sent, partition_of
from tools.documents import ROOT

PROGRAMS = ROOT / "programs"
_ENTRIES = """
select a.member, a.wallet, e.operation, e.points, e.rule from entry e join account a using (account)
where e.points > 0 order by a.member, a.wallet, e.version
"""


@pytest.mark.parametrize("name", ["coalition", "coffee-stars", "extra-care"])
async def test_a_worked_example_on_the_real_stack(servers: Servers, name: str) -> None:
    texts = read_program(PROGRAMS / f"{name}.yaml")
    async with deployed(servers, texts.text, texts.templates, lateness_seconds=0) as made:
        await play(made, name)
        await check_the_example(made, name, texts.text)
        await made.check_audit()
        await made.check_replay()


async def play(made: Deployment, name: str) -> None:
    async with made.workers(sweep_seconds=0.1):
        lines = list(read_events(PROGRAMS / f"{name}.example.jsonl"))
        # What is on one topic stays in order by itself; time comes after the events, or they would be late.
        for topic, run in itertools.groupby(lines, key=lambda line: line.topic):
            sent = [
                Sent(line.received.event.member_id, line.record.value, list(line.record.headers),
                     partition_of(line.received.event.member_id), topic)
                for line in run if line.received is not None
            ]  # fmt: skip
            await made.send(sent)
            await made.idle()
        await made.move_clock(max(line.received.occurred_at for line in lines if line.received is not None))
        await made.idle()


async def check_the_example(made: Deployment, name: str, text: str) -> None:
    rules = {rule.index: rule.name for rule in compile_program(load(text), 1).rules} | RULES
    found: dict[tuple[str, str], list[list[Any]]] = defaultdict(list)
    for member, wallet, operation, points, rule in await made.rows(_ENTRIES):
        found[member, wallet].append([Operation(operation).word, points, rules.get(rule) if operation else None])
    expected: dict[tuple[str, str], list[list[Any]]] = defaultdict(list)
    for member, wallet, *entry in YAML(typ="safe").load((PROGRAMS / f"{name}.example.expected.yaml").read_text()):
        expected[member, wallet].append(entry)
    assert {key: [one[:2] for one in entries] for key, entries in found.items()} == {
        key: [one[:2] for one in entries] for key, entries in expected.items()
    }
    for key, entries in expected.items():
        paid = [one for one in entries if one[2]]
        assert [one for one, should in zip(found[key], entries, strict=True) if should[2]] == paid
