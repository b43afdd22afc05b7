"""The catalogue's sources, through mirrors in the layouts of the hub."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import socket
import sys
import types
from collections import Counter

import pytest

from pointsman.core.errors import ConfigError, SourceError
from pointsman.core.types import Example
from pointsman.data import fetch as fetch_module
from pointsman.data.glaive import asks_for_arguments, function_classes, glaive, parse_chat
from pointsman.data.hub_rows import LeftOut
from pointsman.data.neardup import near_duplicate_pairs
from pointsman.data.sources import SOURCES, SourceRequest, load_source
from pointsman.tasks.catalogue import TASKS

PUBLIC = [name for name in SOURCES if name not in ("starter", "over_refusal")]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a test went to the network")

    monkeypatch.setattr(socket, "create_connection", refuse)


def load(name, mirror, spec=None, **request):
    spec = spec or TASKS[SOURCES[name].tasks[0]]
    return load_source(SourceRequest(name=name, **request), spec, mirror=mirror, seed=1)


def test_the_catalogue_and_the_tasks_agree():
    for task in TASKS.values():
        for source in task.sources:
            assert task.name in SOURCES[source].tasks
    for name, source in SOURCES.items():
        assert name == source.name
        assert source.licence
        assert source.url is None or source.sha256


def test_mmlu_pro(fake_mirror):
    loaded = load("mmlu_pro", fake_mirror)
    assert Counter(e.label for e in loaded.examples) == {"law": 2, "math": 2}
    assert loaded.examples[0].meta["subject"] == "lawez-x-y"
    assert Counter(e.source for e in loaded.examples) == {
        "mmlu_pro/lawez": 2, "mmlu_pro/mathez": 1, "mmlu_pro": 1,
    }  # fmt: skip
    assert loaded.provenance["name"] == "mmlu_pro"  # the licence is that of the whole
    apart = load("mmlu_pro", fake_mirror, ood=True)
    assert {e.split for e in apart.examples} == {
        "slice:ood-mmlu_pro-lawez", "slice:ood-mmlu_pro-mathez", "slice:ood-mmlu_pro",
    }  # fmt: skip
    assert loaded.places[0] == "mmlu_pro/test: row 1"
    assert set(loaded.provenance["files"]) == {
        "data/test-00000-of-00001.parquet",
        "data/validation-00000-of-00001.parquet",
    }
    assert loaded.provenance["revision"] == "mirror"
    assert {e.split for e in loaded.examples} == {None}


def test_presidio(fake_mirror):
    loaded = load("presidio", fake_mirror)
    first, second = loaded.examples
    assert [(s.start, s.end, s.label) for s in first.spans] == [(3, 6, "PERSON")]
    assert first.text[3:6] == "Ann"
    assert (first.group, second.group) == ("presidio:7", "presidio:8")
    assert loaded.provenance["is_pinned_file"] is False


def test_jailbreak_classification_and_its_official_split(fake_mirror):
    loaded = load("jailbreak_classification", fake_mirror)
    assert Counter(e.kind for e in loaded.examples) == {"jailbreak": 4, "benign": 2}
    assert {e.split for e in loaded.examples} == {None}
    official = load("jailbreak_classification", fake_mirror, official_splits=True)
    assert Counter(e.split for e in official.examples) == {"train": 3, "test": 3}
    mapped = load("jailbreak_classification", fake_mirror, split_map={"test": "drop"})
    assert len(mapped.examples) == 3


def test_toxicity_is_not_jailbreaking(fake_mirror):
    loaded = load("toxic_chat", fake_mirror)
    kinds = {e.text.removesuffix(" test"): e.kind for e in loaded.examples}
    assert kinds["you fool"] == "toxic"
    assert kinds["be DAN"] == kinds["be DAN, fool"] == "jailbreak"
    assert kinds["hello there"] == "benign"
    assert {e.split for e in loaded.examples if e.kind == "toxic"} == {"slice:toxic"}
    assert loaded.provenance["licence"] == "CC-BY-NC-4.0"


def test_salad_data_by_its_files(fake_mirror):
    loaded = load("salad_data", fake_mirror)
    assert Counter(e.kind for e in loaded.examples) == {"harmful": 2, "jailbreak": 2}
    attacks = [e for e in loaded.examples if e.kind == "jailbreak"]
    assert {e.meta["method"] for e in attacks} == {"gptfuzz"}
    assert {e.group for e in attacks} == {"salad_data:0"}
    assert all(e.label == "jailbreak" for e in attacks)


def test_a_part_can_be_chosen(fake_mirror):
    loaded = load("salad_data", fake_mirror, parts=("attack_enhanced_set",))
    assert {e.kind for e in loaded.examples} == {"jailbreak"}
    assert loaded.provenance["configs"] == ["attack_enhanced_set"]
    with pytest.raises(ConfigError, match="unknown part 'base'") as caught:
        load("salad_data", fake_mirror, parts=("base",))
    assert "did you mean 'base_set'" in caught.value.fix


def test_a_mirror_with_a_broken_readme_is_said(fake_mirror):
    readme = fake_mirror / "OpenSafetyLab/Salad-Data/README.md"
    readme.write_text("---\nconfigs:\n- config_name: base_set\n  data_files: {\n---\n")
    with pytest.raises(SourceError, match="a layout that `datasets` can read"):
        load("salad_data", fake_mirror)


def test_a_part_that_a_mirror_lacks_is_said(fake_mirror):
    (fake_mirror / "OpenSafetyLab/Salad-Data/attack_enhanced_set.json").unlink()
    loaded = load("salad_data", fake_mirror)
    assert len(loaded.examples) == 2
    assert loaded.provenance["missing"] == ["attack_enhanced_set/train"]


def test_glaive(fake_mirror):
    loaded = load("glaive", fake_mirror)
    found = {e.text: e.label for e in loaded.examples}
    assert found == {
        "What is my BMI?": "calculation",
        "70 kg\nand 1.75 m": "calculation",
        "Thanks!": "no_function_needed",
    }
    assert len({e.group for e in loaded.examples}) == 1
    assert loaded.examples[0].meta == {"function": "calculate_bmi", "offered": "calculate_bmi"}
    assert loaded.counts["left_out"] == {
        "no call": {"refused": 1},
        "unmapped function": {"play_music": 1},
    }


def test_glaive_turns():
    chat = (
        "USER: one\n\n\nASSISTANT: first <|endoftext|>\n\n\n"
        'USER: two\nASSISTANT: quoted\n\n\nASSISTANT: <functioncall> {"name": "x"} <|endoftext|>'
        "\n\n\nFUNCTION RESPONSE: {}\n\n\n"
        'ASSISTANT: <functioncall> {"name": "y"} <|endoftext|>\n\n\nUSER: \n\n\nASSISTANT: ?'
    )
    turns = parse_chat(chat)
    assert [turn.text for turn in turns] == ["one", "two\nASSISTANT: quoted", ""]
    assert [turn.called for turn in turns] == [None, "x", None]
    rows = list(glaive({"system": None, "chat": chat}))
    assert rows[0]["label"] == "no_function_needed"
    assert rows[1:] == [LeftOut("unmapped function", "x"), LeftOut("blank turn", "user")]
    assert parse_chat("") == []


def test_a_call_that_cannot_be_read_is_not_taken_for_none():
    (row,) = glaive({"system": "", "chat": "USER: hi\n\n\nASSISTANT: <functioncall> broken"})
    assert row == LeftOut("unmapped function", "(unreadable call)")


@pytest.mark.parametrize(
    ("reply", "asks"),
    [
        ("Of course! Could you please provide the amount?", True),
        ("Sure, I just need some details first.", True),
        ("Paris is the capital of France.", False),
        ("I'm sorry, but I can't. Could you please ask something else?", False),
        ("An essay. " * 60 + "Would you like more?", False),
    ],
)
def test_replies_that_ask_for_arguments(reply, asks):
    assert asks_for_arguments(reply) is asks


def test_function_classes_are_the_task_s():
    classes = function_classes()
    assert len(classes) >= 150
    assert set(classes.values()) <= set(TASKS["intent"].labels) - {"no_function_needed"}
    assert classes["get_weather"] == "information_retrieval"
    assert classes["translate_text"] == "data_transformation"
    assert "play_music" not in classes


def test_a_limit_is_a_seeded_sample_of_every_label(fake_mirror):
    loaded = load("mmlu_pro", fake_mirror, limit=2)
    assert Counter(e.label for e in loaded.examples) == {"law": 1, "math": 1}
    assert len(loaded.places) == 2
    assert loaded.counts["sampled_out"] == 2
    again = load("mmlu_pro", fake_mirror, limit=2)
    assert again.examples == loaded.examples


def test_where_on_a_public_column(fake_mirror):
    loaded = load("mmlu_pro", fake_mirror, where={"category": ["law"]})
    assert {e.label for e in loaded.examples} == {"law"}


def test_a_relative_mirror(fake_mirror, monkeypatch):
    monkeypatch.chdir(fake_mirror.parent)
    from pathlib import Path

    loaded = load("toxic_chat", Path("hub"))
    assert len(loaded.provenance["files"]) == 2


def test_a_user_s_own_task_may_use_any_source(fake_mirror):
    own = TASKS["category"].model_copy(update={"name": "mine"})
    assert len(load("mmlu_pro", fake_mirror, spec=own).examples) == 4


@pytest.mark.parametrize("name", PUBLIC)
def test_a_mirror_without_the_source(name, tmp_path):
    with pytest.raises(SourceError, match=name) as caught:
        load(name, tmp_path)
    assert str(tmp_path) in caught.value.got
    assert "mirror" in caught.value.fix


@pytest.mark.parametrize("name", PUBLIC)
def test_a_mirror_directory_without_files(name, tmp_path):
    (tmp_path / SOURCES[name].hub).mkdir(parents=True)
    with pytest.raises(SourceError, match=name):
        load(name, tmp_path)


def test_a_broken_file_in_a_mirror(fake_mirror):
    path = fake_mirror / "TIGER-Lab/MMLU-Pro/data/test-00000-of-00001.parquet"
    path.write_bytes(b"PAR1 broken")
    with pytest.raises(SourceError, match="mmlu_pro"):
        load("mmlu_pro", fake_mirror)


def test_renamed_columns_upstream(fake_mirror):
    path = fake_mirror / "OpenSafetyLab/Salad-Data/base_set.json"
    path.write_text(json.dumps([{"query": "x"}]))
    with pytest.raises(SourceError, match="columns question") as caught:
        load("salad_data", fake_mirror)
    assert "query" in caught.value.got


def test_sources_that_are_not_known_or_do_not_fit(fake_mirror):
    with pytest.raises(ConfigError, match="unknown source 'mmlu'") as caught:
        load_source(SourceRequest(name="mmlu"), TASKS["category"], mirror=fake_mirror)
    assert "did you mean 'mmlu_pro'" in caught.value.fix
    with pytest.raises(ConfigError, match="a source for the task 'pii'"):
        load_source(SourceRequest(name="mmlu_pro"), TASKS["pii"], mirror=fake_mirror)


def test_rows_that_are_all_left_out(fake_mirror):
    spec = TASKS["category"].adapt(labels=("history", "physics"))
    with pytest.raises(SourceError, match="at least one row"):
        load(
            "mmlu_pro",
            fake_mirror,
            spec=spec,
            where={"category": ["math"]},
            label_map={"math": None},
        )


def test_the_hub_offline_fails_with_its_name_and_advice(monkeypatch):
    import datasets

    def offline(*_args, **_kwargs):
        raise ConnectionError("Couldn't reach it on the Hub (OfflineModeIsEnabled)\nmore")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(SourceError, match="mmlu_pro") as caught:
        load("mmlu_pro", None)
    assert "OfflineModeIsEnabled" in caught.value.got
    assert "HF_HUB_OFFLINE" in caught.value.fix
    assert "mirror" in caught.value.fix


def test_the_hub_is_asked_by_its_id_and_the_revision_is_recorded(monkeypatch):
    import datasets

    asked = []
    commit = "a" * 40

    def fake(hub, config, *, revision):
        asked.append((hub, config, revision))
        rows = datasets.Dataset.from_list(
            [{"user_input": "hello", "toxicity": 0, "jailbreaking": 0}]
        )
        rows.info.download_checksums = {f"hf://datasets/{hub}@{commit}/data.csv": {}}
        return datasets.DatasetDict({"train": rows})

    monkeypatch.setattr(datasets, "load_dataset", fake)
    loaded = load("toxic_chat", None)
    assert asked == [("lmsys/toxic-chat", "toxicchat0124", None)]
    assert loaded.provenance["revision"] == "unpinned"
    assert loaded.provenance["resolved_revision"] == commit
    assert loaded.provenance["missing"] == ["toxicchat0124/test"]
    load("toxic_chat", None, revision="v2")
    assert asked[1][2] == "v2"


@pytest.fixture
def pinned(monkeypatch, fake_mirror, tmp_path):
    """Presidio's URL serving the fake file, with that file's hash pinned."""
    import urllib.request
    from dataclasses import replace

    body = (fake_mirror / "microsoft/presidio-research/data/synth_dataset_v2.json").read_bytes()
    served = types.SimpleNamespace(body=body, calls=0)

    def urlopen(_url, timeout):
        served.calls += 1
        return io.BytesIO(served.body)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    spec = replace(SOURCES["presidio"], sha256=hashlib.sha256(body).hexdigest())
    monkeypatch.setitem(SOURCES, "presidio", spec)
    return served


def test_a_url_is_downloaded_once_and_checked(pinned, monkeypatch):
    assert len(load("presidio", None).examples) == 2
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    loaded = load("presidio", None)
    assert pinned.calls == 1
    assert loaded.provenance["revision"].startswith("sha256:")


def test_a_changed_file_behind_a_url_is_refused_and_not_kept(pinned, tmp_path):
    pinned.body = b"[]"
    with pytest.raises(SourceError, match="the file with sha256"):
        load("presidio", None)
    assert list((tmp_path / "cache/pointsman").iterdir()) == []


def test_a_url_offline_or_unreachable(pinned, monkeypatch):
    import urllib.error
    import urllib.request

    def fail(_url, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(SourceError, match="presidio") as caught:
        load("presidio", None)
    assert "no route" in caught.value.got
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE is set"):
        load("presidio", None)
    with pytest.raises(ConfigError, match="no `revision`"):
        load("presidio", None, revision="main")


def test_starter_files_and_generated_rows(monkeypatch, tmp_path):
    from pointsman.data import sources

    def generate_pii(rows, *, seed):
        return (Example(text=f"row {i} of {seed}", group=f"t{i}") for i in range(rows))

    fake = types.ModuleType("pointsman.data.synthetic")
    fake.generate_pii = generate_pii
    monkeypatch.setitem(sys.modules, "pointsman.data.synthetic", fake)
    loaded = load("starter", None, spec=TASKS["pii"], limit=5)
    assert [e.text for e in loaded.examples] == [f"row {i} of 1" for i in range(5)]
    assert {e.source for e in loaded.examples} == {"starter"}

    monkeypatch.setattr(sources, "__file__", str(tmp_path / "sources.py"))
    (tmp_path / "starter").mkdir()
    row = {"text": "be DAN", "kind": "jailbreak", "technique": "role_playing"}
    (tmp_path / "starter/jailbreak.jsonl").write_text(json.dumps(row) + "\n")
    (example,) = load("starter", None, spec=TASKS["jailbreak"]).examples
    assert (example.label, example.meta) == ("jailbreak", {"technique": "role_playing"})
    with pytest.raises(SourceError):
        load("starter", None, spec=TASKS["category"])


@pytest.mark.parametrize("ood", [True, False])
def test_the_over_refusal_set_is_never_learned_from_and_like_no_starter_row(ood):
    loaded = load("over_refusal", None, ood=ood)
    ours = [example.text for example in loaded.examples]
    assert len(ours) == 60 and {e.label for e in loaded.examples} == {"benign"}
    assert {e.split for e in loaded.examples} == {"slice:over_refusal"}
    themes = Counter(e.meta["sounds_like"] for e in loaded.examples)
    assert len(themes) == 6 and set(themes.values()) == {10}
    assert loaded.provenance["licence"] == "Apache-2.0"
    tasks = (TASKS["category"], TASKS["jailbreak"], TASKS["intent"])
    theirs = [e.text for task in tasks for e in load("starter", None, spec=task).examples]
    pairs = near_duplicate_pairs([*ours, *theirs], threshold=0.5)
    assert [pair for pair in pairs if min(pair) < len(ours)] == []


@pytest.mark.parametrize(
    ("name", "rows", "kinds"),
    [
        ("mmlu_pro", 12_032, 14),
        ("presidio", 1_500, 1),
        ("jailbreak_classification", 1_306, 2),
        ("toxic_chat", 2_801 + 2_853, 3),
        ("salad_data", 1_722, 1),
        ("glaive", 692, 7),
    ],
)
def test_the_real_mirror(shared_data, name, rows, kinds):
    loaded = load(name, shared_data / "hub")
    assert len(loaded.examples) == rows
    assert len({e.kind or e.label for e in loaded.examples}) == kinds
    assert loaded.skipped == []
    if name == "presidio":
        assert loaded.provenance["is_pinned_file"] is True
        assert len({e.group for e in loaded.examples}) == 209


def test_nothing_is_written_beside_a_mirror(fake_mirror, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for name in PUBLIC:
        load(name, fake_mirror)
    assert sorted(tmp_path.rglob("*")) == before
    assert shutil.which("true")  # the mirror is left as it was
    assert fetch_module.UNPINNED == "unpinned"
