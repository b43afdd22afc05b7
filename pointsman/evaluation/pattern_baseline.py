"""What a token task has to beat: patterns with checksums, and Presidio where it is installed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from pointsman.core.types import Example, PredictedSpan, Prediction
from pointsman.runtime.validators import STRUCTURED, find_values
from pointsman.tasks.spec import TaskSpec

_DATE = re.compile(r"(?<![\w/-])(?:\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{4})(?![\w/-])")
# Presidio's names for what the task catalogue names otherwise.
PRESIDIO_NAMES = {"URL": "DOMAIN_NAME", "LOCATION": "GPE"}


@dataclass(frozen=True, slots=True)
class NotRun:
    """A baseline that cannot run here.

    Attributes:
        reason: Why, in words for a report.
    """

    reason: str

    def to_dict(self) -> dict[str, str]:
        """Return the form that figures take."""
        return {"not_run": self.reason}


def named(spec: TaskSpec, label: str) -> str | None:
    """Return what a task calls an entity type of the catalogue, or None if it does not have it."""
    name = spec.label_map.get(label, label)
    return name if name in spec.labels else None


class Patterns:
    """Regular expressions and checksums for structured types; it learns nothing."""

    learns = False

    def __init__(self, spec: TaskSpec) -> None:
        self._spec = spec

    @staticmethod
    def fits(spec: TaskSpec) -> bool:
        """Say whether a task has types that patterns can find."""
        return any(named(spec, label) for label in (*STRUCTURED, "DATE_TIME"))

    def fit(self, examples: Sequence[Example]) -> Patterns:
        """Return itself: patterns are written and not learnt."""
        return self

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return predictions in the form that the metrics take."""
        return [prediction_of(self._spec, text, self._find(text)) for text in texts]

    def _find(self, text: str) -> Iterator[tuple[int, int, str, float]]:
        for value in find_values(text, STRUCTURED):
            if value.sure or value.label == "US_SSN":
                yield value.start, value.end, value.label, 1.0
        for match in _DATE.finditer(text):
            yield match.start(), match.end(), "DATE_TIME", 0.9
        for start, end in _phones(text):
            yield start, end, "PHONE_NUMBER", 0.8


def _phones(text: str) -> Iterator[tuple[int, int]]:
    """Find phone numbers; those without a country's code are read as American ones."""
    import phonenumbers

    for match in phonenumbers.PhoneNumberMatcher(text, "US"):
        yield match.start, match.end


def prediction_of(
    spec: TaskSpec, text: str, found: Iterable[tuple[int, int, str, float]]
) -> Prediction:
    """Return the prediction of a text from what was found in it: the surest of what overlaps.

    What the task has no type for claims its place too, and is then left out: a card number is no
    phone number in a task without cards.

    Args:
        spec: The task.
        text: The text.
        found: Start, end, type by the catalogue's name, and score of each find.
    """
    claimed: list[tuple[int, int, str, float]] = []
    for find in sorted(found, key=lambda f: (-f[3], f[0] - f[1], f[0])):
        if find[0] < find[1] and all(find[1] <= c[0] or c[1] <= find[0] for c in claimed):
            claimed.append(find)
    spans = tuple(
        PredictedSpan(start, end, name, text[start:end], score)
        for start, end, label, score in sorted(claimed)
        if (name := named(spec, label))
    )
    return Prediction(spec.name, None, max((s.score for s in spans), default=0.0), spans=spans)


class Presidio:
    """Presidio's analyzer with its own recognisers, as it comes; it learns nothing.

    Args:
        spec: The task.
        analyze: Gives what Presidio finds in a text: objects with start, end, entity_type, score.
    """

    learns = False

    def __init__(self, spec: TaskSpec, analyze: Callable[[str], Iterable[Any]]) -> None:
        self._spec = spec
        self._analyze = analyze

    def fit(self, examples: Sequence[Example]) -> Presidio:
        """Return itself: the analyzer comes trained."""
        return self

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return predictions in the form that the metrics take."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Prediction:
        found = []
        for result in self._analyze(text):
            name = result.entity_type
            if named(self._spec, name) is None:
                name = PRESIDIO_NAMES.get(name, name)
            found.append((result.start, result.end, name, float(result.score)))
        return prediction_of(self._spec, text, found)


def presidio(spec: TaskSpec) -> Presidio | NotRun:
    """Return Presidio's analyzer as a baseline, or why it cannot run.

    Its engine downloads a language model where it finds none, so it is never started without one.
    """
    if find_spec("presidio_analyzer") is None:
        return NotRun("presidio-analyzer is not installed")
    models = sorted(entry.name for entry in entry_points(group="spacy_models"))
    english = [name for name in models if name.startswith("en_")]
    if not english:
        return NotRun("no English spaCy model package: its engine would try to download one")
    return Presidio(spec, _analyzer(english[0]))


def _analyzer(model: str) -> Callable[[str], Iterable[Any]]:
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from tldextract import TLDExtract, tldextract

    # Its e-mail recogniser asks the network for a list of domains; a copy comes with the package.
    tldextract.TLD_EXTRACTOR = TLDExtract(cache_dir=None, suffix_list_urls=())
    models = [{"lang_code": "en", "model_name": model}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    engine = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])
    return lambda text: engine.analyze(text, language="en")
