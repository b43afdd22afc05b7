"""Peers on this machine: a transformers pipeline directory, and Presidio's analyzer."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointsman.core.errors import ConfigError, PeerError
from pointsman.core.types import Prediction
from pointsman.pipeline.peers import Foreign, Reader
from pointsman.tasks.spec import TaskSpec

NEEDED = ("config.json", "model.safetensors", "tokenizer.json")
SPACY = ("en_core_web_lg", "en_core_web_md", "en_core_web_sm")
PRESIDIO_LABELS = {"LOCATION": "GPE", "URL": "DOMAIN_NAME"}  # its names -> those of our task
BATCH = 16


class TransformersPeer:
    """A directory that transformers' `pipeline` loads: safetensors alone, no code of its own.

    A sequence model's long texts are cut at its longest input, as that pipeline does it; a token
    model reads them in overlapping windows.

    Args:
        name: What it is called.
        path: The directory.
        spec: The task.
        foreign: How its labels are read.

    Raises:
        ConfigError: If the directory lacks a file, or its head is of another kind than the task.
    """

    def __init__(
        self, name: str, path: Path, spec: TaskSpec, *, foreign: Foreign | None = None
    ) -> None:
        check_directory(path)
        self.name = name
        self.reader = Reader(spec, foreign or Foreign())
        self._pipeline = _load_pipeline(path, spec)
        self._token = spec.level == "token"

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return one prediction a text."""
        more = {} if self._token else {"top_k": None, "truncation": True}
        answers = self._pipeline(list(texts), batch_size=BATCH, **more)
        return [self.reader.read(text, a) for text, a in zip(texts, answers, strict=True)]


def check_directory(path: Path) -> None:
    """Refuse a directory without the files that a pipeline needs.

    Raises:
        ConfigError: With the files that are missing.
    """
    missing = [name for name in NEEDED if not (path / name).is_file()]
    if missing:
        raise ConfigError(
            f"{path}: {', '.join(NEEDED)}",
            got=f"no {', '.join(missing)}",
            fix="save it with save_pretrained; weights in other formats are not loaded",
        )


def _load_pipeline(path: Path, spec: TaskSpec) -> Any:
    from transformers import AutoTokenizer, pipeline

    from pointsman.models.network import auto_class, quiet

    options = {"local_files_only": True, "trust_remote_code": False}
    with quiet():
        try:
            model, report = auto_class(spec).from_pretrained(
                path, use_safetensors=True, output_loading_info=True, **options
            )
            tokenizer = AutoTokenizer.from_pretrained(path, **options)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path}: a model that transformers loads", got=type(error).__name__
            ) from None
        if report["missing_keys"]:
            raise ConfigError(
                f"{path}: a model with a head for a {spec.level} task", got="weights without it"
            )
        longest = min(tokenizer.model_max_length, _longest(model.config))
        tokenizer.model_max_length = longest
        if spec.level == "sequence":
            return pipeline("text-classification", model=model, tokenizer=tokenizer)
        return pipeline(
            "token-classification",
            model=model,
            tokenizer=tokenizer,
            aggregation_strategy="simple",
            stride=longest // 4,
        )


def _longest(config: Any) -> int:
    """Return a model's longest input: RoBERTa and MPNet number positions from two on."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    return positions - 2 if config.model_type in ("roberta", "mpnet") else positions


def presidio_missing() -> str | None:
    """Return why Presidio's analyzer cannot run here, or None where it can.

    Without a spaCy model its engine would try to download one.
    """
    if importlib.util.find_spec("presidio_analyzer") is None:
        return "presidio-analyzer is not installed"
    if _spacy_model() is None:
        return f"no spaCy model is installed ({', '.join(SPACY)}), and none is downloaded"
    return None


def _spacy_model() -> str | None:
    return next((name for name in SPACY if importlib.util.find_spec(name) is not None), None)


class PresidioPeer:
    """Presidio's analyzer for English, with the spaCy model that is installed.

    Raises:
        PeerError: If it cannot run here.
        ConfigError: If the task is none of spans.
    """

    def __init__(self, name: str, spec: TaskSpec, *, foreign: Foreign | None = None) -> None:
        reason = presidio_missing()
        if reason is not None:
            raise PeerError("Presidio's analyzer", got=reason)
        if spec.level != "token":
            raise ConfigError("a token task, for Presidio", got=f"the task {spec.name!r}")
        given = foreign or Foreign()
        labels = {k: v for k, v in PRESIDIO_LABELS.items() if v in spec.labels}
        self.name = name
        self.reader = Reader(spec, Foreign(label_map={**labels, **given.label_map}))
        self._engine = _analyzer()

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return one prediction a text."""
        return [self.reader.read(text, self._analyze(text)) for text in texts]

    def _analyze(self, text: str) -> list[dict[str, Any]]:
        found = self._engine.analyze(text=text, language="en")
        return [
            {"label": x.entity_type, "start": x.start, "end": x.end, "score": x.score}
            for x in found
        ]


def _analyzer() -> Any:
    analyzer: Any = importlib.import_module("presidio_analyzer")
    nlp: Any = importlib.import_module("presidio_analyzer.nlp_engine")
    settings = {
        "nlp_engine_name": "spacy",
        "models": [{"lang_code": "en", "model_name": _spacy_model()}],
    }
    engine = nlp.NlpEngineProvider(nlp_configuration=settings).create_engine()
    return analyzer.AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
