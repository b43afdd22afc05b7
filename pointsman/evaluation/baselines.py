"""What a model has to beat: the commonest label, and TF-IDF with a linear model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pointsman.core.errors import DataError
from pointsman.core.types import Example, PredictedSpan, Prediction
from pointsman.evaluation.pattern_baseline import NotRun, Patterns, presidio
from pointsman.runtime.decode import decode_labels
from pointsman.tasks.labels import begin_id, inside_id
from pointsman.tasks.spec import TaskSpec

WORD = re.compile(r"\w+(?:[.@:/_-]\w+)*|[^\w\s]")


class Baseline(Protocol):
    """Something simple that learns from examples and answers in the predictor's form.

    Attributes:
        learns: Whether it can do nothing without training rows.
    """

    learns: bool

    def fit(self, examples: Sequence[Example]) -> Baseline:
        """Learn from labelled texts, and return itself."""
        ...

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return one prediction a text."""
        ...


class Majority:
    """The commonest label of the training rows for every text, for a sequence task."""

    learns = True

    def __init__(self, spec: TaskSpec) -> None:
        self._spec = spec
        self._shares: dict[str, float] = {}

    def fit(self, examples: Sequence[Example]) -> Majority:
        """Count the labels.

        Raises:
            DataError: If there are no examples.
        """
        if not examples:
            raise DataError("labelled rows for the baseline", got="none")
        counts = Counter(example.label for example in examples)
        total = counts.total()
        self._shares = {label: counts[label] / total for label in self._spec.labels}
        return self

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return the same prediction for every text; of labels equally common the first one."""
        best = max(self._spec.labels, key=lambda label: self._shares[label])
        answer = Prediction(self._spec.name, best, self._shares[best], self._shares)
        return [answer] * len(texts)


class TfidfTexts:
    """Word and character n-grams under a linear classifier, for a sequence task."""

    learns = True

    def __init__(self, spec: TaskSpec) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import FeatureUnion, Pipeline

        self._spec = spec
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1)
        characters = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, max_features=100_000
        )
        self._model = Pipeline(
            [
                ("features", FeatureUnion([("words", words), ("characters", characters)])),
                ("classifier", LogisticRegression(C=10.0, max_iter=1000)),
            ]
        )

    def fit(self, examples: Sequence[Example]) -> TfidfTexts:
        """Learn from labelled texts."""
        self._model.fit([e.text for e in examples], [e.label for e in examples])
        return self

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return predictions in the form that the metrics take."""
        known = list(self._model.classes_)
        predictions = []
        for row in self._model.predict_proba(list(texts)):
            scores = dict(zip(known, map(float, row), strict=True))
            best = max(scores, key=lambda label: scores[label])
            every = {label: scores.get(label, 0.0) for label in self._spec.labels}
            predictions.append(Prediction(self._spec.name, best, scores[best], every))
        return predictions


class TfidfTokens:
    """A linear BIO tagger over each word, its neighbours and its shape, for a token task."""

    learns = True

    def __init__(self, spec: TaskSpec) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import SGDClassifier
        from sklearn.pipeline import Pipeline

        self._spec = spec
        self._model = Pipeline(
            [
                ("features", TfidfVectorizer(analyzer=str.split, lowercase=False, min_df=2)),
                ("classifier", SGDClassifier(loss="log_loss", alpha=1e-6, random_state=0)),
            ]
        )

    def fit(self, examples: Sequence[Example]) -> TfidfTokens:
        """Learn from texts with spans; of rows labelled in part, from the words in spans alone."""
        features: list[str] = []
        labels: list[int] = []
        for example in examples:
            words = [match.span() for match in WORD.finditer(example.text)]
            described = _features(example.text, words)
            for feature, label in zip(described, _labels(example, words, self._spec), strict=True):
                if label or example.annotated is None:  # outside is not known to be nothing there
                    features.append(feature)
                    labels.append(label)
        self._model.fit(features, labels)
        return self

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Return predictions in the form that the metrics take."""
        return [self._tag(text) for text in texts]

    def _tag(self, text: str) -> Prediction:
        words = [match.span() for match in WORD.finditer(text)]
        if not words:
            return Prediction(self._spec.name, None, 0.0)
        labels = self._model.predict(_features(text, words))
        spans = tuple(
            PredictedSpan(start, end, self._spec.labels[kind], text[start:end], score)
            for start, end, kind, score in decode_labels(
                np.asarray(labels).tolist(), [1.0] * len(words), words
            )
        )
        return Prediction(self._spec.name, None, float(bool(spans)), spans=spans)


def _features(text: str, words: Sequence[tuple[int, int]]) -> list[str]:
    tokens = [text[start:end] for start, end in words]
    rows = []
    for index in range(len(tokens)):
        parts = []
        for offset in (-3, -2, -1, 0, 1, 2):
            place = index + offset
            token = tokens[place] if 0 <= place < len(tokens) else "<edge>"
            parts += [f"{offset}={token.lower()}", f"{offset}~{shape(token)}"]
        word = tokens[index]
        parts += [f"p{n}={word[:n].lower()}" for n in (1, 2, 3)]
        parts += [f"s{n}={word[-n:].lower()}" for n in (1, 2, 3)]
        rows.append(" ".join(part.replace(" ", "_") for part in parts))
    return rows


def shape(token: str) -> str:
    """Return the shape of a word: `X` for upper case, `x` for lower, `9` for digits."""
    kinds = [
        "9" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in token
    ]
    return re.sub(r"(.)\1{3,}", r"\1\1\1+", "".join(kinds))


def _labels(example: Example, words: Sequence[tuple[int, int]], spec: TaskSpec) -> list[int]:
    labels = []
    for start, end in words:
        inside = next((s for s in example.spans if s.start < end and start < s.end), None)
        if inside is None:
            labels.append(0)
            continue
        kind = spec.labels.index(inside.label)
        labels.append(begin_id(kind) if start <= inside.start else inside_id(kind))
    return labels


def tfidf(spec: TaskSpec) -> TfidfTokens | TfidfTexts:
    """Return the TF-IDF baseline of a task."""
    return TfidfTokens(spec) if spec.level == "token" else TfidfTexts(spec)


def baselines_for(spec: TaskSpec, train: Sequence[Example] | None) -> dict[str, Baseline | NotRun]:
    """Return what a task's models are measured against, by name.

    A sequence task has `majority` and `tfidf`; a token task has `tfidf` and, where it has types
    that they know, `patterns` and `presidio`. One that cannot run here says why.

    Args:
        spec: The task.
        train: The rows that they would learn from; None where there are none at hand.
    """
    found: dict[str, Baseline | NotRun]
    if spec.level == "sequence":
        found = {"majority": Majority(spec), "tfidf": tfidf(spec)}
    elif not Patterns.fits(spec):
        found = {"tfidf": tfidf(spec)}
    else:
        found = {"patterns": Patterns(spec), "tfidf": tfidf(spec), "presidio": presidio(spec)}
    why = _cannot_learn(spec, train)
    if why is None:
        return found
    return {
        name: NotRun(why) if not isinstance(baseline, NotRun) and baseline.learns else baseline
        for name, baseline in found.items()
    }


def _cannot_learn(spec: TaskSpec, train: Sequence[Example] | None) -> str | None:
    """Return why nothing can be learned from the rows, or None."""
    if train is None:
        return (
            "the data is a file of rows to answer, and none is set apart to learn from: "
            "give a directory of prepared data instead"
        )
    if not train:
        return "the data has no training rows"
    if spec.level == "token":
        return None if any(example.spans for example in train) else "no training row has a span"
    if len({example.label for example in train}) < 2:
        return "the training rows are all of one label"
    return None
