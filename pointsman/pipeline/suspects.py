"""Suspect labels: rows whose label a model that never saw them doubts most (confident learning).

The method is that of Northcutt, Jiang and Chuang (Confident Learning, JAIR 2021): a class's
threshold is the mean probability that its own rows get for it, out of fold; a row that passes
another class's threshold, and not its own label's claim on it, is suspect. It is written out here
because it is a dozen lines of numpy: the package for it, cleanlab, is one dependency more and would
want the same probabilities.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.core.errors import ConfigError, DataError
from pointsman.core.files import write_text
from pointsman.core.types import Example
from pointsman.data.audit import AuditedData
from pointsman.data.leakage import find_links
from pointsman.data.prepared import SLICES
from pointsman.evaluation.baselines import TfidfTexts
from pointsman.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import numpy as np

FOLDS = 5
COLUMNS = (
    "rank", "split", "row", "source", "label", "suggested", "confident", "p_label", "p_suggested",
    "margin", "text",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Suspect:
    """A row whose label is doubted.

    Attributes:
        split: Its split or file.
        row: Its number there, counted from 1.
        example: The row.
        suggested: The label that the model would give it.
        confident: Whether confident learning counts it under that label; else it is only likelier.
        p_label: Out-of-fold probability of its own label.
        p_suggested: Out-of-fold probability of the suggested one.
    """

    split: str
    row: int
    example: Example
    suggested: str
    confident: bool
    p_label: float
    p_suggested: float

    @property
    def margin(self) -> float:
        """How far the row's own label is behind: the lower, the more it is doubted."""
        return self.p_label - self.p_suggested


def find_suspects(data: AuditedData, *, folds: int = FOLDS, seed: int = 0) -> list[Suspect]:
    """Rank the rows whose label TF-IDF with logistic regression doubts.

    Beside the rows that confident learning counts elsewhere, those to which another label is only
    likelier than their own are listed: they are for a person to read.

    Args:
        data: Labelled rows; slices are left out.
        folds: Parts; each is judged by a model of the others. Copies, near-duplicates, groups and
            templates stay in one fold, or a wrong label would be confirmed by its own copy.
        seed: Of the folds.

    Returns:
        Suspects, the most doubted first.

    Raises:
        ConfigError: If the task labels spans.
        DataError: If there are fewer than two labels, or a label has fewer groups than folds.
    """
    if data.spec.level == "token":
        raise ConfigError("a sequence task, for suspect labels", got=data.spec.name)
    rows = [
        (name, number, example)
        for name, examples in data.rows.items()
        if not name.startswith(SLICES)
        for number, example in enumerate(examples, start=1)
    ]
    examples = [example for *_, example in rows]
    probabilities = out_of_fold(data.spec, examples, folds=folds, seed=seed)
    labels = [data.spec.labels.index(str(example.label)) for example in examples]
    likeliest = [int(best) for best in probabilities.argmax(axis=1)]
    suspects = []
    for i, other in enumerate(doubted(probabilities, labels)):
        chosen = likeliest[i] if other is None else other
        if chosen != labels[i]:
            p_label, p_chosen = probabilities[i, labels[i]], probabilities[i, chosen]
            suggested = data.spec.labels[chosen]
            suspects.append(
                Suspect(*rows[i], suggested, other is not None, float(p_label), float(p_chosen))
            )
    return sorted(suspects, key=lambda suspect: suspect.margin)


def out_of_fold(
    spec: TaskSpec, examples: Sequence[Example], *, folds: int = FOLDS, seed: int = 0
) -> np.ndarray:
    """Return each row's probabilities by a model that saw nothing of its group, (rows, labels).

    Raises:
        DataError: If there are fewer than two labels, or a label has fewer groups than folds.
    """
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    labels = [str(example.label) for example in examples]
    groups = find_links(examples).together
    held: Counter[str] = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
    if len(held) < 2 or min(held.values()) < folds:
        raise DataError(
            f"two labels or more, each with {folds} groups or more",
            got=", ".join(f"{label}: {count}" for label, count in sorted(held.items())) or "none",
        )
    probabilities = np.zeros((len(examples), len(spec.labels)))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(labels, labels, groups):
        model = TfidfTexts(spec).fit([examples[i] for i in train])
        answers = model.predict([examples[i].text for i in test])
        for row, answer in zip(test, answers, strict=True):
            probabilities[row] = [answer.probabilities[label] for label in spec.labels]
    return probabilities


def doubted(probabilities: np.ndarray, labels: Sequence[int]) -> list[int | None]:
    """Return for each row the class that it is counted under by confident learning, if another's.

    Args:
        probabilities: Out-of-fold probabilities, (rows, classes).
        labels: The class that each row is labelled with.

    Returns:
        The likeliest of the classes whose threshold the row passes, or None where that is its own
        label or there is none.
    """
    import numpy as np

    given = np.asarray(labels)
    thresholds = np.array([
        probabilities[given == k, k].mean() if (given == k).any() else np.inf
        for k in range(probabilities.shape[1])
    ])  # fmt: skip
    passing = np.where(probabilities >= thresholds, probabilities, -1.0)
    likeliest = passing.argmax(axis=1)
    return [
        int(other) if passing[row, other] >= 0 and other != given[row] else None
        for row, other in enumerate(likeliest)
    ]


def write_suspects(
    path: Path, suspects: Sequence[Suspect], *, shown: Callable[[Example], str]
) -> None:
    """Write suspects as a CSV file to review.

    Args:
        path: The file.
        suspects: Rows, the most doubted first.
        shown: How a text may be shown.
    """
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    for rank, suspect in enumerate(suspects, start=1):
        example = suspect.example
        row = (rank, suspect.split, suspect.row, example.source, example.label, suspect.suggested)
        figures = (suspect.p_label, suspect.p_suggested, suspect.margin)
        sure = "yes" if suspect.confident else "no"
        writer.writerow((*row, sure, *(f"{x:.4f}" for x in figures), shown(example)))
    write_text(path, lines.getvalue())
