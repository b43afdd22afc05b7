"""The speed benchmarks: what they share is right, and each command on their page can be given."""

import functools
import importlib
import json
import re
import shlex
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python (benchmarks/.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    return importlib.import_module


def test_sides_take_turns_and_each_round_begins_with_another(module):
    calls = []
    sides = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    found = module("timing").take_turns(sides, rounds=3, warmup=1, settle=False)
    assert "".join(calls) == "abc" + "abc" + "bca" + "cab"
    assert {name: len(times.seconds) for name, times in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_side_warms_its_caches_before_each_timed_call(module, monkeypatch):
    timing = module("timing")
    monkeypatch.setattr(timing, "SETTLE_S", 0)
    calls = []
    timing.take_turns({"a": lambda: calls.append(1)}, rounds=2, warmup=1)
    assert len(calls) == 1 + 2 * 2


def test_sides_may_take_part_in_fewer_rounds(module):
    sides = {"a": lambda: 1.0, "b": lambda: 2.0}
    found = module("timing").measured_turns(sides, rounds=5, warmup=0, fewer={"b": 2})
    assert [len(times.seconds) for times in found.values()] == [5, 2]
    assert found["a"].ratio(found["b"]) == 2


def test_a_median_is_not_moved_by_one_slow_round(module):
    times = module("timing").Times((1.0, 1.0, 1.0, 1.0, 50.0))
    assert times.median == 1
    assert times.quartiles == (1, 1)


def test_a_report_holds_figures_against_bars_and_keeps_all(module, tmp_path, capsys):
    report = module("timing").Report("name", {}, {})
    report.table("title", ("side", "ms"), [("ours", 12.345), ("theirs", 1234)])
    assert report.judge("speed", 14.0, 14.0)
    assert not report.judge("speed", 13.9, 14.0)
    assert report.judge("share", 0.04, 0.05, below=True)
    assert not report.judge("share", 0.05, 0.05, below=True)
    kept = json.loads(report.save(tmp_path).read_text())
    assert [verdict["met"] for verdict in kept["verdicts"]] == [True, False, True, False]
    assert "| ours | 12.3 |\n| theirs | 1,234 |" in capsys.readouterr().out


def test_growth_is_told_by_its_exponent(module):
    sizes = [10, 100, 1000, 10000]
    assert module("timing").slope(sizes, [3 * n**2 for n in sizes]) == pytest.approx(2)


def test_the_sample_of_chat_costs_what_all_of_it_does(module):
    throughput = module("throughput")
    lengths = [4 + (number * 7919 % 1000) ** 2 // 2000 for number in range(1000)]
    rows = throughput.stratified(lengths, 96, 0)
    assert len(set(rows)) == 96
    assert rows == throughput.stratified(lengths, 96, 0)
    whole, sample = (throughput._costs(some) for some in (lengths, [lengths[i] for i in rows]))
    assert sample == pytest.approx(whole, rel=0.1)


def test_the_sample_of_training_rows_costs_what_all_of_them_do(module):
    lengths = [4 + (number * 7919 % 1000) ** 2 // 2000 for number in range(1000)]
    sides = module("train_sides")
    rows = sides.draw_sample(lengths, 128, 0)
    assert len(set(rows)) == 128
    assert statistics.mean(lengths[i] for i in rows) == pytest.approx(
        statistics.mean(lengths), rel=0.15
    )


def test_each_measure_is_tried_alone_and_left_out_alone(module):
    sides = module("train_sides")
    ours = sides.Measures("bf16", True, True, 32, True)
    assert len(sides.alone(ours)) == len(sides.without(ours)) == 5
    assert all(one != sides.NOTHING for one in sides.alone(ours).values())
    assert all(one != ours for one in sides.without(ours).values())


def test_texts_have_exactly_the_tokens_that_were_asked_for(module, backbones):
    from pointsman.data.encode import TextEncoder

    shapes = module("shapes")
    for family in ("bert", "modernbert"):
        encoder = TextEncoder.from_directory(backbones[family], max_length=64)
        for tokens in (8, 32, 64, 200):
            text = shapes.text_of(encoder, tokens)
            assert shapes.count_tokens(encoder, text) == tokens


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_on_the_page_have_these_options(command, module, monkeypatch, capsys):
    file, *words = shlex.split(command)
    script = module(Path(file).stem)
    monkeypatch.setattr("sys.argv", [file, "--help"])
    with pytest.raises(SystemExit) as stopped:
        script.main()
    assert stopped.value.code == 0
    known = capsys.readouterr().out
    assert all(word in known for word in words if word.startswith("-"))


def test_the_chores_of_the_page_are_in_the_makefile():
    chores = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for call in re.findall(r"make ([a-z]+)", PAGE) for name in [call]}
    assert {"bench", "latency"} <= named <= chores


def test_a_sample_may_hold_several_windows_of_a_text(module, demo, backbones, monkeypatch):
    from pointsman.data.encode import TextEncoder
    from pointsman.models.weights import find_backbone

    short = functools.partial(TextEncoder.from_backbone, max_length=12)
    sides = module("train_sides")
    monkeypatch.setattr(sides.TextEncoder, "from_backbone", short)
    bench = sides.make_bench(
        demo / "run" / "jailbreak" / "data", find_backbone(str(backbones["bert"])), 10**6, 0
    )
    assert len(bench.rows) == len(bench.texts) > len(bench.data.train)
    whole = [example.text for example in bench.data.train]
    assert all(any(text in one for one in whole) for text in bench.texts)
