"""Tiny bundles with their exports, made once: the exporter takes seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pointsman.pipeline import export as pipeline
from pointsman.pipeline.export import export_bundle
from pointsman.tasks.jailbreak import JAILBREAK
from pointsman.tasks.pii import PII
from tests.bundles import make_bundle

KINDS = {
    "roberta-token": ("roberta", PII),
    "modernbert-sequence": ("modernbert", JAILBREAK),
    "modernbert-token": ("modernbert", PII),
}


@pytest.fixture(scope="session")
def exported(backbones: dict[str, Path], tmp_path_factory: pytest.TempPathFactory):
    """A function that gives a bundle of a kind with its ONNX export in fp32."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            family, spec = KINDS[kind]
            path = make_bundle(backbones[family], spec, tmp_path_factory.mktemp(kind) / "bundle")
            forms = [("onnx", "fp32")]
            export_bundle(path, forms, data=[], force=False, say=lambda line: None)
            made[kind] = path
        return made[kind]

    return get


@pytest.fixture(scope="session")
def proven(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's detector with its data beside it, exported in every form."""
    place = tmp_path_factory.mktemp("proven")
    for part in ("bundle", "data"):
        shutil.copytree(demo / "run" / "jailbreak" / part, place / part)
    forms = [("onnx", "fp32"), ("onnx", "int8"), ("openvino", "bf16"), ("openvino", "int8")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "SEARCH_AGREEMENT", 0.0)  # the search would quantise a dozen times
        export_bundle(place / "bundle", forms, data=[], force=True, say=lambda line: None)
    return place / "bundle"


@pytest.fixture
def own(proven: Path, tmp_path: Path) -> Path:
    """A copy of the exported detector and its data, that a test may damage."""
    shutil.copytree(proven.parent, tmp_path / "own")
    return tmp_path / "own" / "bundle"
