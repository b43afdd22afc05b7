"""A student learns from another bundle's answers: whose they are, and what they do."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from pointsman.bundle.layout import read_any, read_bundle, read_meta, write_meta
from pointsman.core.errors import BundleError, ConfigError, TrainingError
from pointsman.data.encode import TextEncoder
from pointsman.data.prepared import load_prepared
from pointsman.models.weights import find_backbone
from pointsman.pipeline.encoding import encode_split
from pointsman.pipeline.gate import Consent
from pointsman.pipeline.recipe import load_recipe
from pointsman.pipeline.run import run_recipe
from pointsman.pipeline.starts import read_encoder
from pointsman.pipeline.steps import TrainRequest, encode_training, train_and_pack
from pointsman.pipeline.teachers import find_teacher, taught
from pointsman.pipeline.terms import Terms
from pointsman.runtime.predictor import load_head, token_probabilities
from pointsman.training.config import DistillOptions, TrainOptions
from tests.runs import COARSE, PLACES, TRAIN, task, write_recipe

QUICK = {"max_steps": 2, "evaluate": "epoch"}


def request(demo, name, out, backbone, **options):
    settings = TrainOptions.model_validate({**TRAIN, **QUICK, **options})
    return TrainRequest(
        load_prepared(demo / "run" / name / "data"), find_backbone(str(backbone)), settings, out,
        {}, Terms(Consent(leakage=True, noncommercial=True)),
    )  # fmt: skip


def answered(demo, name, asked):
    """The rows of a training with its teacher's answers, and what they are rows of."""
    spec = asked.data.spec
    encoder = read_encoder(asked.backbone, asked.options.max_length, lines=spec.level == "token")
    split = encode_training(asked, encoder)
    options = DistillOptions(teacher=str(demo / "run" / name))
    teacher = find_teacher(spec, options, asked.data.manifest["hashes"]["train"])
    return taught(teacher, spec, split, lambda line: None), split


def test_a_sequence_teachers_answers_are_its_probabilities(demo, tmp_path, backbones):
    roberta = backbones["roberta"]  # other tokens, and more of them
    asked = request(demo, "jailbreak", tmp_path / "out", roberta, max_length=128)
    rows, split = answered(demo, "jailbreak", asked)
    given = load_head(demo / "run" / "jailbreak").predict([e.text for e in split.examples])
    expected = [[p.probabilities[label] for label in asked.data.spec.labels] for p in given]
    assert all(len(parts) == 1 for parts in split.windows)
    assert np.exp(np.stack([row.teacher for row in rows]).astype(float)) == pytest.approx(
        np.asarray(expected), abs=2e-3
    )


def test_a_long_text_is_answered_window_by_window(demo, tmp_path, backbones):
    asked = request(demo, "jailbreak", tmp_path / "out", backbones["bert"])
    benign = next(e for e in asked.data.train if e.label == "benign")
    long = replace(benign, text=" ".join([benign.text] * 40))
    encoder = TextEncoder.from_backbone(asked.backbone.path, max_length=64)
    split = encode_split(asked.data.spec, encoder, [long, benign], every_window=False)
    options = DistillOptions(teacher=str(demo / "run" / "jailbreak"))
    teacher = find_teacher(asked.data.spec, options, "")
    rows = taught(teacher, asked.data.spec, split, lambda line: None)
    assert len(rows) == len(split.rows) > 3
    windows = split.windows[-1]
    second = long.text[windows[1].offsets[0][0] : windows[1].offsets[-1][1]]
    (alone,) = load_head(demo / "run" / "jailbreak").predict([second])
    assert np.exp(float(rows[2].teacher[0])) == pytest.approx(
        alone.probabilities["benign"], abs=2e-3
    )


def test_a_token_teachers_answers_stand_at_their_tokens(demo, tmp_path, backbones):
    asked = request(demo, "pii", tmp_path / "out", backbones["bert"], max_length=16)
    rows, split = answered(demo, "pii", asked)
    assert len(rows) > len(split.examples)  # some are read in several windows
    predictor = load_head(demo / "run" / "pii")
    for example, parts in zip(split.examples[-20:], split.windows[-20:], strict=True):
        (reading,) = predictor.read([example.text])
        whole, _ = token_probabilities(predictor.meta, reading.windows, reading.logits)
        mine = [next(r for r in rows if r.input_ids == part.input_ids) for part in parts]
        for row, part in zip(mine, parts, strict=True):
            own = whole[part.first : part.first + len(part.offsets)]
            assert np.exp(row.teacher[part.content].astype(float)) == pytest.approx(own, abs=2e-3)
            assert not row.teacher[: part.prefix].any()
    assert rows[0].teacher.shape == (len(rows[0].input_ids), len(predictor.meta.labels))


def test_a_token_teacher_of_other_tokens_is_refused(demo, tmp_path, backbones):
    asked = request(demo, "pii", tmp_path / "out", backbones["roberta"])
    with pytest.raises(ConfigError, match="cuts texts as the student does"):
        answered(demo, "pii", asked)


def test_a_student_of_its_teacher_alone_says_what_it_says(demo, tmp_path, backbones):
    """Wrong labels in every row, and the teacher's whole weight: the teacher is what is learned."""
    options = {
        "max_steps": 160, "evaluate": "steps", "evaluate_every": 40,
        "distill": {"teacher": str(demo / "run"), "weight": 1.0, "temperature": 1.0},
    }  # fmt: skip
    asked = request(demo, "jailbreak", tmp_path / "out", backbones["bert"], **options)
    other = {"benign": "jailbreak", "jailbreak": "benign"}
    wrong = tuple(replace(e, label=other[e.label]) for e in asked.data.train)
    asked = replace(asked, data=replace(asked.data, train=wrong))
    news = []
    bundle = train_and_pack(asked, news.append)
    assert any("learns from the answers of" in line for line in news)
    meta, texts = read_bundle(bundle), [e.text for e in asked.data.test]
    teacher = load_head(demo / "run" / "jailbreak").predict(texts)
    student = load_head(bundle).predict(texts)
    alike = [a.label == b.label for a, b in zip(teacher, student, strict=True)]
    assert sum(alike) > 0.85 * len(alike)
    kept = meta.provenance["teacher"]
    assert kept["same_rows"] and len(kept["weights"]) == 64
    assert kept["weights"] in (bundle / "README.md").read_text()


def test_a_teacher_of_other_rows_is_doubted(demo, tmp_path, backbones):
    teacher = tmp_path / "teacher"
    shutil.copytree(demo / "run" / "jailbreak" / "bundle", teacher)
    meta = read_meta(teacher)
    data = {**meta.provenance["data"], "hashes": {"train": "another"}}
    write_meta(teacher, meta.model_copy(update={"provenance": {**meta.provenance, "data": data}}))
    asked = request(
        demo, "jailbreak", tmp_path / "out", backbones["bert"], distill={"teacher": str(teacher)}
    )
    news = []
    bundle = train_and_pack(asked, news.append)
    assert any("learned from other rows" in line for line in news)
    assert "learned from other rows" in (bundle / "README.md").read_text()


def test_a_run_takes_another_teacher_for_another_run(demo, tmp_path, backbones):
    """The teacher counts by what it holds: moved it is the same, and with other weights not."""
    teacher = tmp_path / "teacher"
    shutil.copytree(demo / "run" / "jailbreak" / "bundle", teacher)
    distill = {"teacher": str(teacher)}
    asked = request(demo, "jailbreak", tmp_path / "out", backbones["bert"], distill=distill)
    train_and_pack(asked, lambda line: None)
    moved = teacher.rename(tmp_path / "moved")
    again = request(
        demo, "jailbreak", tmp_path / "out", backbones["bert"], distill={"teacher": str(moved)}
    )
    news = []
    train_and_pack(again, news.append)
    assert any("trained already" in line for line in news)
    warmer = read_meta(moved).model_copy(update={"temperature": 3.0})
    write_meta(moved, warmer)
    with pytest.raises(TrainingError, match="differs in teacher"):
        train_and_pack(again, lambda line: None)


def test_a_teacher_that_cannot_be_is_refused(demo, tmp_path, backbones):
    spec = load_prepared(demo / "run" / "jailbreak" / "data").spec
    with pytest.raises(BundleError, match="no such directory"):
        find_teacher(spec, DistillOptions(teacher=str(tmp_path / "none")), "")
    with pytest.raises(ConfigError, match="one bundle of jailbreak(.|\n)*none of this task"):
        find_teacher(spec, DistillOptions(teacher=str(demo / "run" / "pii")), "")
    shutil.copytree(demo / "run", tmp_path / "twice")
    shutil.copytree(demo / "run" / "jailbreak", tmp_path / "twice" / "more")
    with pytest.raises(ConfigError, match="one bundle of jailbreak(.|\n)*more"):
        find_teacher(spec, DistillOptions(teacher=str(tmp_path / "twice")), "")
    narrow = load_prepared(demo / "run" / "pii" / "data").spec.adapt(labels=("PERSON",))
    with pytest.raises(ConfigError, match="differs in EMAIL_ADDRESS"):
        find_teacher(narrow, DistillOptions(teacher=str(demo / "run" / "pii")), "")


def test_heads_have_teachers_of_their_own(demo, tmp_path, monkeypatch, backbones):
    """A recipe names a directory of runs, and a head learns from the one of its task."""
    monkeypatch.chdir(demo)
    taught_one = task("pii", labels=COARSE, label_map=PLACES)
    taught_one["train"] = {"distill": {"teacher": "run"}}
    file = write_recipe(
        tmp_path, backbones["bert"], [task("jailbreak"), taught_one], method="shared",
        output=str(tmp_path / "out"), evaluate={"perturbations": []},
        train={**TRAIN, "max_steps": 3, "evaluate_every": 3},
    )  # fmt: skip
    news = []
    (bundle,) = run_recipe(load_recipe(file), news.append)
    heads = read_any(bundle).heads
    assert heads["pii"].provenance["teacher"]["same_rows"]
    assert "teacher" not in heads["jailbreak"].provenance
    assert sum("learns from the answers" in line for line in news) == 1
    card = (bundle / "README.md").read_text()
    assert card.count(heads["pii"].provenance["teacher"]["weights"]) == 1
