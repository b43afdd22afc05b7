"""Parity: every runtime of a bundle answers its golden texts as torch did when it was packed.

Each window is computed three times: alone, among others of its text's neighbours, and padded to a
length that is not its own. In fp32 all three have to match; a lower precision has a tolerance.
Heads of one network are asked together and each by itself: a runtime may have another graph for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import PointsmanError
from pointsman.core.types import Prediction
from pointsman.data.encode import TextEncoder, Window
from pointsman.export.golden import GoldenHead, GoldenRow, decision, differences, key, stored_labels
from pointsman.runtime.backend import Backend
from pointsman.runtime.predictor import Logits, Progress, batches, to_prediction

ALONE, TOGETHER, PADDED = "alone", "together", "padded"
WAYS = (ALONE, TOGETHER, PADDED)
PADDED_WINDOWS = 48  # how many are computed beside the longest one, four a batch
PROBABILITY = 1e-4  # that fp32 may differ by, as its logits may
WORST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a precision has to keep.

    Attributes:
        logits: Largest difference of a logit that counts as equal.
        share: Least share of the logits that have to be equal.
        decisions: Least share of decisions that have to be equal: of labels of a sequence task
            one a text, of a token task one a token.
    """

    logits: float
    share: float
    decisions: float


TOLERANCES = {
    "fp32": Tolerance(1e-4, 1.0, 1.0),
    # bf16 keeps 8 bits, so logits of 5 to 10 move by some hundredths in each of a dozen layers
    "bf16": Tolerance(0.25, 0.99, 0.99),
    "int8": Tolerance(1.0, 0.99, 0.97),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A runtime to be verified.

    Attributes:
        name: Library and precision, as in "onnxruntime fp32".
        precision: fp32, bf16 or int8.
        open: Loads it; an error says why it cannot be.
    """

    name: str
    precision: str
    open: Callable[[], Backend]


@dataclass(slots=True)
class Outcome:
    """What one head of one runtime did on the golden texts.

    Attributes:
        backend: Library and precision.
        head: Name of the head.
        tolerance: What was asked of it.
        by_itself: Whether it was asked without the other heads of its network.
        worst: Largest difference of a logit from the golden one, by the way it was computed.
        within: Share of logits within the tolerance, the least over the ways.
        batching: Largest difference between a window alone and the same among others.
        decisions: Share of equal decisions.
        probability: Largest difference of a probability or a span's score.
        faults: What failed, in words; texts by their number and never by their content.
    """

    backend: str
    head: str
    tolerance: Tolerance
    by_itself: bool = False
    worst: dict[str, float] = field(default_factory=dict)
    within: float = 1.0
    batching: float = 0.0
    decisions: float = 1.0
    probability: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.faults

    @property
    def asked(self) -> str:
        """The head, and how it was asked, in words."""
        return f"{self.head} by itself" if self.by_itself else self.head

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**asdict(self), "passed": self.passed}


def verify(
    subjects: Sequence[Subject],
    rows: Sequence[GoldenRow],
    metas: Mapping[str, BundleMeta],
    encoder: TextEncoder,
    *,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Replay golden answers through runtimes.

    Args:
        subjects: The runtimes.
        rows: The golden answers.
        metas: Metadata of every head.
        encoder: The bundle's tokenizer.
        progress: Called with 1 after each runtime.

    Returns:
        One outcome a head of each runtime, the first of them of the tokenizer. Of several heads
        there is a second one each, by itself.
    """
    windows = encoder.encode([row.text for row in rows])
    outcomes = [_tokenizer(rows, windows)]
    if outcomes[0].passed:  # other windows have other logits: that would say the same 200 times
        for subject in subjects:
            outcomes += _replay(subject, rows, metas, windows)
            if progress is not None:
                progress(1)
    return outcomes


def _tokenizer(rows: Sequence[GoldenRow], windows: Sequence[Sequence[Window]]) -> Outcome:
    outcome = Outcome("tokenizer", "-", TOLERANCES["fp32"])
    wrong = [
        number
        for number, (row, parts) in enumerate(zip(rows, windows, strict=True), start=1)
        if [list(window) for window in row.windows] != [key(window) for window in parts]
    ]
    outcome.decisions = 1 - len(wrong) / len(rows)
    if wrong:
        outcome.faults.append(f"other windows than the golden ones: {_numbers(wrong)}")
    return outcome


def _replay(
    subject: Subject,
    rows: Sequence[GoldenRow],
    metas: Mapping[str, BundleMeta],
    windows: Sequence[Sequence[Window]],
) -> Iterator[Outcome]:
    together = tuple(metas)
    alone = [(head,) for head in metas] if len(metas) > 1 else []
    flat = [window for parts in windows for window in parts]
    backend: Backend | None = None
    for heads in (together, *alone):
        by_itself = heads != together
        outcomes = [
            Outcome(subject.name, head, TOLERANCES[subject.precision], by_itself) for head in heads
        ]
        try:
            backend = subject.open() if backend is None else backend
            computed = compute(backend, flat, heads, some_alone=by_itself)
        except PointsmanError as error:
            for outcome in outcomes:
                outcome.faults.append(f"cannot be used: {error.needed} ({error.got})")
        else:
            for outcome in outcomes:
                _judge(outcome, rows, metas[outcome.head], windows, computed[outcome.head])
        yield from outcomes
        if backend is None:  # one that does not open is said once
            return


def _judge(
    outcome: Outcome,
    rows: Sequence[GoldenRow],
    meta: BundleMeta,
    windows: Sequence[Sequence[Window]],
    computed: Mapping[str, Mapping[int, Logits]],
) -> None:
    missing = [n for n, row in enumerate(rows, start=1) if outcome.head not in row.heads]
    if missing:
        outcome.faults.append(f"no golden answers of this head: {_numbers(missing)}")
        return
    golden = [row.heads[outcome.head] for row in rows]
    _judge_logits(outcome, golden, windows, computed)
    if outcome.worst and np.isfinite(max(outcome.worst.values())):  # else nothing to decide on
        # the windows that were computed alone, as far as all were
        _judge_decisions(outcome, meta, rows, windows, {**computed[TOGETHER], **computed[ALONE]})


Computed = dict[str, dict[str, dict[int, Logits]]]


def compute(
    backend: Backend,
    windows: Sequence[Window],
    heads: tuple[str, ...],
    *,
    some_alone: bool = False,
) -> Computed:
    """Return the logits of windows by head and by way, each under the window's index.

    Together they are of all windows; padded of some, spread over all lengths.

    Args:
        backend: What computes them.
        windows: The windows.
        heads: The heads that are asked at once.
        some_alone: Compute alone only those that are padded: most of the time goes there.
    """
    lengths = [len(window) for window in windows]
    single = sorted(_spread(lengths)) if some_alone else range(len(windows))
    groups = {
        ALONE: [[index] for index in single],
        TOGETHER: list(batches(lengths)),
        PADDED: list(_beside_longest(lengths)),
    }
    found: Computed = {head: {way: {} for way in WAYS} for head in heads}
    for way, batches_of_way in groups.items():
        for batch in batches_of_way:
            output = backend.run([windows[i].input_ids for i in batch], heads)
            for head in heads:
                for row, index in enumerate(batch):
                    part = np.array(output[head][row])  # its own: buffers may be used again
                    found[head][way][index] = part if part.ndim == 1 else part[: lengths[index]]
    return found


def _beside_longest(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group some windows of all lengths in batches of four, one of which is the longest of all."""
    *chosen, longest = _spread(lengths)
    for first in range(0, len(chosen), 3):
        yield [*chosen[first : first + 3], longest]


def _spread(lengths: Sequence[int]) -> list[int]:
    """Return some windows of all lengths by their indices, the longest of all last."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    longest = order.pop()
    step = max(1, len(order) // PADDED_WINDOWS)
    return [*order[::step], longest]


def _judge_logits(
    outcome: Outcome,
    golden: Sequence[GoldenHead],
    windows: Sequence[Sequence[Window]],
    computed: Mapping[str, Mapping[int, Logits]],
) -> None:
    stored = [part for head in golden for part in head.logits]
    owner = [number for number, parts in enumerate(windows, start=1) for _ in parts]
    if len(stored) != len(owner):
        outcome.faults.append("another number of windows than the golden one")
        return
    allowed = outcome.tolerance
    for way in WAYS:
        apart = {i: differences(stored[i], logits) for i, logits in computed[way].items()}
        outcome.worst[way] = max(float(part.max()) for part in apart.values())
        within = float(np.mean(np.concatenate(list(apart.values())) <= allowed.logits))
        outcome.within = min(outcome.within, within)
        if within < allowed.share or not np.isfinite(outcome.worst[way]):
            wrong = [owner[i] for i, part in apart.items() if part.max() > allowed.logits]
            outcome.faults.append(
                f"logits computed {way}: {within:.2%} within {allowed.logits:g}, "
                f"at least {allowed.share:.0%} are needed: {_numbers(wrong)}"
            )
    _judge_batching(outcome, computed)


def _judge_batching(outcome: Outcome, computed: Mapping[str, Mapping[int, Logits]]) -> None:
    """Compare what a window gives alone with what it gives among others and padded."""
    pairs = [
        np.abs(computed[ALONE][index].astype(np.float64) - logits).reshape(-1)
        for way in (TOGETHER, PADDED)
        for index, logits in computed[way].items()
        if index in computed[ALONE]
    ]
    apart = np.nan_to_num(np.concatenate(pairs), nan=np.inf)
    outcome.batching = float(apart.max())
    within = float(np.mean(apart <= outcome.tolerance.logits))
    if within < outcome.tolerance.share:
        outcome.faults.append(
            f"a window alone against the same in a batch: {within:.2%} of the logits within "
            f"{outcome.tolerance.logits:g}, at least {outcome.tolerance.share:.0%} are needed"
        )


def _judge_decisions(
    outcome: Outcome,
    meta: BundleMeta,
    rows: Sequence[GoldenRow],
    windows: Sequence[Sequence[Window]],
    computed: Mapping[int, Logits],
) -> None:
    exact = outcome.tolerance.decisions == 1.0
    equal: list[NDArray[np.bool_]] = []
    wrong: list[int] = []
    first = 0
    for number, (row, parts) in enumerate(zip(rows, windows, strict=True), start=1):
        golden = row.heads[outcome.head]
        logits = [computed[first + offset] for offset in range(len(parts))]
        first += len(parts)
        answer = to_prediction(meta, row.text, parts, logits)
        same = decision(answer) == _golden_decision(golden)
        equal.append(
            _labels_equal(golden, logits) if meta.task.level == "token" else np.array([same])
        )
        if not same:
            wrong.append(number)
        else:
            outcome.probability = max(outcome.probability, _probability_apart(golden, answer))
    outcome.decisions = float(np.mean(np.concatenate(equal)))
    if wrong and exact:
        what = "spans" if meta.task.level == "token" else "labels"
        outcome.faults.append(f"other {what} than the golden ones: {_numbers(wrong)}")
    if outcome.decisions < outcome.tolerance.decisions and not (wrong and exact):
        outcome.faults.append(
            f"{outcome.decisions:.2%} of the decisions equal, "
            f"at least {outcome.tolerance.decisions:.0%} are needed: {_numbers(wrong)}"
        )
    if exact and outcome.probability > PROBABILITY:
        outcome.faults.append(f"probabilities up to {outcome.probability:.2g} from the golden ones")


def _golden_decision(golden: GoldenHead) -> tuple[object, ...]:
    before = golden.unprocessed
    return (
        golden.label,
        golden.unsure,
        [span[:3] for span in golden.spans],
        None if before is None else [span[:3] for span in before],
    )


def _labels_equal(golden: GoldenHead, logits: Sequence[Logits]) -> NDArray[np.bool_]:
    """Say for each token whether its likeliest label is the golden one."""
    pairs = zip(golden.logits, logits, strict=True)
    return np.concatenate([stored_labels(part) == got.argmax(axis=1) for part, got in pairs])


def _probability_apart(golden: GoldenHead, answer: Prediction) -> float:
    expected = [*golden.probabilities, *(span[3] for span in golden.spans)]
    got = [*answer.probabilities.values(), *(span.score for span in answer.spans)]
    return max((abs(e - g) for e, g in zip(expected, got, strict=True)), default=0.0)


def _numbers(texts: Sequence[int]) -> str:
    """Return the numbers of texts as words, the first few of many."""
    first = sorted(set(texts))
    shown = ", ".join(map(str, first[:WORST_SHOWN]))
    more = f" and {len(first) - WORST_SHOWN} more" if len(first) > WORST_SHOWN else ""
    return f"text {shown}{more}"
