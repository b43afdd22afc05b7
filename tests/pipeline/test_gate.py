"""Before training: data is audited, and what is wrong with it needs a word of consent."""

from __future__ import annotations

import json

import pytest
from transformers import Trainer

from pointsman.bundle.layout import read_bundle
from pointsman.core.errors import DataError
from pointsman.data.audit import summarise
from pointsman.data.prepared import load_prepared
from pointsman.data.sampling import split_hash
from pointsman.models.weights import find_backbone
from pointsman.pipeline.audit import masked
from pointsman.pipeline.gate import Consent, check_licences, requested_licences
from pointsman.pipeline.recipe import RECIPES, load_recipe
from pointsman.pipeline.run import plan, run_recipe, train_prepared
from pointsman.pipeline.terms import Terms
from pointsman.training.config import TrainOptions
from tests.runs import TRAIN, jailbreak_rows, task, write_recipe, write_rows

QUICK = {"max_steps": 2, "evaluate": "epoch"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data" / "jailbreak.jsonl", jailbreak_rows(60))
    return tmp_path


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("trained")

    monkeypatch.setattr(Trainer, "train", refuse)


def leaking(own_demo):
    """Prepared data with a train row copied into test, as if it had been prepared so."""
    data = own_demo / "run" / "jailbreak" / "data"
    train = (data / "train.jsonl").read_text().splitlines(keepends=True)
    with (data / "test.jsonl").open("a") as file:
        file.write(train[0])
    manifest = json.loads((data / "manifest.json").read_text())
    rows = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()]
    from pointsman.core.types import Example

    manifest["hashes"]["test"] = split_hash([Example.from_row(row) for row in rows])
    (data / "manifest.json").write_text(json.dumps(manifest))
    return data


def train(data, output, backbone, **consent):
    return train_prepared(
        "jailbreak", data, output, find=lambda: find_backbone(str(backbone)),
        options=TrainOptions.model_validate({**TRAIN, **QUICK}), say=lambda line: None,
        terms=Terms(Consent(**consent)),
    )  # fmt: skip


def test_clean_data_passes_and_the_bundle_carries_its_audit(demo):
    run = demo / "run" / "jailbreak"
    meta = read_bundle(run / "bundle")
    found = json.loads((run / "audit.json").read_text())
    assert meta.provenance["audit"] == meta.metrics["audit"] == summarise(found)
    assert meta.provenance["audit"]["leakage"] == 0
    assert meta.provenance["audit"]["licences"] == {"jailbreak.jsonl": "Apache-2.0"}
    assert "allowed" not in meta.provenance
    assert found["lengths"]["tokens"] and found["lengths"]["max_length"] == meta.max_length
    card = (run / "bundle" / "README.md").read_text()
    assert "## Data audit" in card and "known leakage" not in card
    report = json.loads((run / "report.json").read_text())
    assert report["findings"] == found["findings"]
    page = (run / "report.html").read_text()
    for caption in ("Rows by label", "Rows by length in tokens", "Languages, as far as"):
        assert caption in page


def test_leaking_data_stops_before_training(own_demo, backbones, tmp_path, no_training):
    data = leaking(own_demo)
    with pytest.raises(DataError, match="1 rows of validation and test") as caught:
        train(data, tmp_path / "out", backbones["bert"], noncommercial=True)
    assert "--allow-leakage" in caught.value.fix and "allow_leakage" in caught.value.fix
    assert not (tmp_path / "out").exists()


def test_consent_to_leakage_is_stamped(own_demo, backbones, tmp_path):
    data = leaking(own_demo)
    bundle = train(data, tmp_path / "out", backbones["bert"], leakage=True)
    meta = read_bundle(bundle)
    assert meta.provenance["allowed"] == {"leakage": 1}
    assert meta.provenance["audit"]["leakage"] == 1
    card = (bundle / "README.md").read_text()
    assert "**Trained with known leakage: 1 rows" in card
    text = load_prepared(data).train[0].text
    assert text not in card and text not in json.dumps(meta.provenance)


def test_an_unknown_licence_stops_before_anything_is_read(place, backbones, no_training):
    tasks = [task("jailbreak", sources=[{"path": "data/jailbreak.jsonl"}], train=QUICK)]
    recipe = load_recipe(write_recipe(place, backbones["bert"], tasks))
    with pytest.raises(DataError, match=r"data/jailbreak\.jsonl: unknown") as caught:
        run_recipe(recipe, lambda line: None)
    assert "--allow-noncommercial" in caught.value.fix
    assert not (place / "run").exists()


def test_consent_to_a_licence_is_stamped_and_may_come_second(place, backbones):
    """A run that stopped for want of consent goes on with it: consent makes no other recipe."""
    tasks = [task("jailbreak", sources=[{"path": "data/jailbreak.jsonl"}], train=QUICK)]
    path = write_recipe(place, backbones["bert"], tasks)
    (bundle,) = run_recipe(load_recipe(path, ("allow_noncommercial=true",)), lambda line: None)
    (source,) = read_bundle(bundle).provenance["allowed"]["sources"]
    assert source == {"name": "jailbreak.jsonl", "licence": "unknown", "standing": "unknown"}
    assert (
        "**Trained on non-commercial or unlicensed sources:** jailbreak.jsonl"
        in (bundle / "README.md").read_text()
    )
    again = load_recipe(path, ("allow_noncommercial=true", "allow_leakage=true"))
    assert run_recipe(again, lambda line: None) == [bundle]


def test_prepared_data_of_unknown_licence_needs_consent_too(own_demo, backbones, tmp_path):
    data = own_demo / "run" / "jailbreak" / "data"
    manifest = json.loads((data / "manifest.json").read_text())
    manifest["sources"][0]["licence"] = "CC-BY-NC-4.0"
    (data / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"CC-BY-NC-4\.0 \(non-commercial\)"):
        train(data, tmp_path / "out", backbones["bert"], leakage=True)
    bundle = train(data, tmp_path / "out", backbones["bert"], noncommercial=True)
    assert read_bundle(bundle).provenance["audit"]["non_commercial"] == ["jailbreak.jsonl"]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_recipe_consents_for_the_user(path):
    recipe = load_recipe(path)
    assert recipe.consent() == Consent()
    uses = [s for t in recipe.tasks for s in t.sources if s.name == "toxic_chat"]
    licences = requested_licences(source for t in recipe.tasks for source in t.sources)
    lines = "\n".join(plan(recipe))
    if uses:
        with pytest.raises(DataError, match=r"toxic_chat: CC-BY-NC-4\.0 .*\n.*--allow-noncomm"):
            check_licences(licences, Consent())
        assert "toxic_chat: CC-BY-NC-4.0, needs --allow-noncommercial" in lines
    else:
        assert check_licences(licences, Consent()) == []
        assert "--allow-noncommercial" not in lines


def test_examples_are_masked():
    from pointsman.core.types import Example, Span

    text = "Ann wrote to ann@example.org about 555-123-4567 " + "and so on " * 40
    shown = masked(Example(text, spans=(Span(0, 3, "PERSON"),)))
    assert shown.startswith("[PERSON_1] wrote to [...] about [...]")
    assert len(shown) < 170
