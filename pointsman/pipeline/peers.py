"""Other classifiers as peers: what they answer, read as predictions of our task.

A peer has a name and `predict`, and is scored by the code that scores bundles. Labels of its own
are mapped; a label that the task does not have is counted and never guessed at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from pydantic import Field

from pointsman.core.config import Closed
from pointsman.core.errors import PeerError
from pointsman.core.types import PredictedSpan, Prediction
from pointsman.evaluation.comparison import no_answer
from pointsman.tasks.spec import NO_ENTITY, TaskSpec

Units = Literal["code-points", "bytes", "utf-16"]
LABEL_KEYS = ("label", "entity_group", "entity", "entity_type")  # as servers of this kind say it


class Peer(Protocol):
    """Whatever answers texts."""

    @property
    def name(self) -> str:
        """What it is called in a comparison."""
        ...

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return one prediction a text, in text order."""
        ...


class Foreign(Closed):
    """How another classifier's answers are read."""

    label_map: dict[str, str] = Field(
        default_factory=dict, description="Their label -> ours; an empty one drops their spans."
    )
    units: Units = Field("code-points", description="What their offsets count.")


class Reader:
    """Reads the answers of another classifier.

    Args:
        spec: The task that it is compared on.
        foreign: How its labels and offsets are read.

    Attributes:
        strange: Labels that the task does not have, by how often they came.
        ranks: Whether the answers so far gave probabilities that rank texts.
    """

    def __init__(self, spec: TaskSpec, foreign: Foreign) -> None:
        self.spec = spec
        self.strange: Counter[str] = Counter()
        self.ranks = True
        self._foreign = foreign

    def read(self, text: str, answer: Any) -> Prediction:
        """Return the prediction that an answer stands for.

        Args:
            text: What was asked.
            answer: A label (`{"label", "score", "probabilities"?}`), a list of labels with
                scores, or a list of spans (`{"start", "end", "label", "score"}`), alone or as
                `spans`. One more list around a list is taken off.

        Raises:
            PeerError: If it is none of these.
        """
        if self.spec.level == "token":
            return self._spans(text, _rows(answer, "spans"))
        return self._label(*_scores(answer))

    def _label(self, chosen: str, scores: Mapping[str, float | None]) -> Prediction:
        """Return the prediction of a chosen label; the scores of labels that are merged add up.

        Where a detector's score is known for one of its two labels alone, the other has the rest.
        """
        label = self._foreign.label_map.get(chosen, chosen)
        if label not in self.spec.labels:
            self.strange[chosen] += 1
            return no_answer(self.spec)
        known: dict[str, float] = {}
        for name, score in scores.items():
            ours = self._foreign.label_map.get(name, name)
            if ours in self.spec.labels and score is not None:
                known[ours] = known.get(ours, 0.0) + score
        if len(self.spec.labels) == 2 and len(known) == 1:
            ((name, score),) = known.items()
            known |= {other: 1.0 - score for other in self.spec.labels if other != name}
        self.ranks = self.ranks and len(known) > 1
        known = known or {label: 1.0}
        every = {name: known.get(name, 0.0) for name in self.spec.labels}
        tools = self.spec.tools.get(label, ())
        return Prediction(self.spec.name, label, every[label], every, tools=tools)

    def _spans(self, text: str, rows: Sequence[Mapping[str, Any]]) -> Prediction:
        place = converter(text, self._foreign.units)
        spans = [span for row in rows if (span := self._span(text, row, place)) is not None]
        spans.sort(key=lambda span: (span.start, span.end))
        best = max((span.score for span in spans), default=0.0)
        return Prediction(self.spec.name, None, best, spans=tuple(spans))

    def _span(
        self, text: str, row: Mapping[str, Any], place: Callable[[int], int]
    ) -> PredictedSpan | None:
        theirs = _label_of(row).removeprefix("B-").removeprefix("I-")
        ours = self._foreign.label_map.get(theirs, theirs)
        if ours in ("", NO_ENTITY):
            return None
        if ours not in self.spec.labels:
            self.strange[theirs] += 1
            return None
        try:
            start, end = place(int(row["start"])), place(int(row["end"]))
        except (KeyError, TypeError, ValueError) as error:
            raise PeerError(
                "spans with `start` and `end` in the text",
                got=type(error).__name__,
                fix="say what its offsets count: --offsets code-points, bytes or utf-16",
            ) from None
        return PredictedSpan(start, end, ours, text[start:end], float(row.get("score") or 0.0))


def _scores(answer: Any) -> tuple[str, dict[str, float | None]]:
    """Return the label that an answer chose, and each label's score, None where it gave none."""
    single = isinstance(answer, Mapping) and "labels" not in answer
    rows = [answer] if single else _rows(answer, "labels")
    if not rows:
        _refuse(answer)
    scores = {_label_of(row): _number(row.get("score")) for row in rows}
    chosen = max(scores, key=lambda name: scores[name] or 0.0)
    if single and isinstance(answer.get("probabilities"), Mapping):
        scores = {str(name): _number(score) for name, score in answer["probabilities"].items()}
    return chosen, scores


def _rows(answer: Any, key: str) -> list[Mapping[str, Any]]:
    """Return the rows of a list, of a list within a list, or of a mapping's `key`."""
    if isinstance(answer, Mapping):
        answer = answer.get(key)
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        answer = answer[0]
    if not isinstance(answer, list) or not all(isinstance(row, Mapping) for row in answer):
        _refuse(answer)
    return list(answer)


def _label_of(row: Mapping[str, Any]) -> str:
    found = next((row[key] for key in LABEL_KEYS if isinstance(row.get(key), str)), None)
    return _refuse(row) if found is None else str(found)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _refuse(answer: Any) -> Any:
    raise PeerError(
        "an answer with `label`, a list of labels with scores, or a list of spans",
        got=type(answer).__name__,
        fix="docs/how-to/compare.md gives the forms that are understood",
    )


def converter(text: str, units: Units) -> Callable[[int], int]:
    """Return the function from a foreign offset in `text` to one in code points.

    Its ValueError says that an offset lies outside the text or inside a character.
    """
    if units == "code-points":
        places = {number: number for number in range(len(text) + 1)}
    else:
        places = {0: 0}
        position = 0
        for number, character in enumerate(text, 1):
            wide = (
                len(character.encode("utf-8")) if units == "bytes" else 1 + (character > "\uffff")
            )
            position += wide
            places[position] = number

    def place(offset: int) -> int:
        if offset not in places:
            raise ValueError("an offset that is none of the text's")
        return places[offset]

    return place
