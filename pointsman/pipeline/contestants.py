"""Who takes part in a comparison, on which rows, and what must agree before anyone is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pointsman.bundle.layout import find_bundles, read_any, read_head
from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import ConfigError, DataError
from pointsman.core.files import read_json
from pointsman.core.types import Example
from pointsman.data.prepared import MANIFEST, is_prepared
from pointsman.data.sampling import strata_of, stratified_sample
from pointsman.pipeline.llm import LlmOptions
from pointsman.pipeline.peer_http import public_url
from pointsman.pipeline.peer_local import check_directory, presidio_missing
from pointsman.pipeline.peers import Foreign
from pointsman.tasks.spec import TaskSpec

PRESIDIO = "presidio"
SAME = ("name", "level", "positive", "positive_kinds", "negative_kinds", "label_map")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One bundle of a comparison.

    Attributes:
        name: What it is called.
        path: The bundle.
        variant: The variant of a comparison recipe that it was trained as.
        against: Name of the bundle it is told apart from, where that is not the comparison's.
    """

    name: str
    path: Path
    variant: str | None = None
    against: str | None = None


@dataclass(frozen=True, slots=True)
class Rivals:
    """What bundles are compared with.

    Attributes:
        peers: URL, directory or `presidio` of other classifiers, by name.
        foreign: How their answers are read.
        llm: A language model, if there is one.
        concurrency: Requests at a time to a URL.
    """

    peers: Mapping[str, str] = field(default_factory=dict)
    foreign: Foreign = field(default_factory=Foreign)
    llm: LlmOptions | None = None
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a comparison, and what they are called."""

    examples: Sequence[Example]
    data: str
    train_hash: str | None = None


def name_bundles(given: Sequence[str]) -> list[Contestant]:
    """Return the bundles of `NAME=DIR` or `DIR` arguments.

    Without a name a bundle is called as its run's directory, and by more of the path where another
    one is called so, too: `quickstart/pii` beside `runs/pii`.

    Raises:
        BundleError: If a directory holds none.
        ConfigError: If two have one name.
    """
    found: list[tuple[str, Path, Path]] = []  # the name that was given, the bundle, its run
    for argument in given:
        name, equals, place = argument.partition("=")
        if not equals or Path(argument).exists():
            name, place = "", argument
        paths = find_bundles([Path(place)])
        for path in paths:
            own = path.resolve()
            run = own.parent if own.name == "bundle" else own
            found.append((name if len(paths) == 1 else "", path, run))
    runs = [run for _, _, run in found]
    contestants = [
        Contestant(name or _own_name(run, runs[:place] + runs[place + 1 :]), path)
        for place, (name, path, run) in enumerate(found)
    ]
    names = [contestant.name for contestant in contestants]
    if len(set(names)) != len(names):
        raise ConfigError(
            "a name of its own for each bundle", got=", ".join(names), fix="give NAME=DIR"
        )
    return contestants


def _own_name(run: Path, others: Sequence[Path]) -> str:
    """Return the shortest end of a path that no other path has."""
    for count in range(1, len(run.parts)):
        end = run.parts[-count:]
        if all(other.parts[-count:] != end for other in others):
            return "/".join(end)
    return str(run)


def name_peers(given: Sequence[str]) -> dict[str, str]:
    """Return the place of each `NAME=PLACE` or `PLACE` argument, by name.

    Raises:
        ConfigError: If two have one name, or a place is neither URL, directory nor `presidio`.
    """
    found: dict[str, str] = {}
    for argument in given:
        name, equals, place = argument.partition("=")
        if not equals or is_url(argument):  # a URL may hold `=` in its query
            name, place = "", argument
        if not is_url(place) and place != PRESIDIO and not Path(place).is_dir():
            fix = "give http(s)://..., a directory, or presidio; or NAME=one of these"
            raise ConfigError("a peer", got=place, fix=fix)
        name = name or (public_url(place) if is_url(place) else Path(place).resolve().name)
        name = PRESIDIO if place == PRESIDIO and not equals else name
        if name in found:
            raise ConfigError("a name of its own for each peer", got=name, fix="give NAME=...")
        found[name] = place
    return found


def is_url(place: str) -> bool:
    """Say whether a peer's place is a URL."""
    return place.startswith(("http://", "https://"))


def check_same_task(
    contestants: Sequence[Contestant], head: str | None = None
) -> tuple[TaskSpec, list[BundleMeta]]:
    """Read the bundles and check that they answer one question.

    Args:
        contestants: The bundles.
        head: Which head of the shared ones is meant; that of the first bundle of one task when
            not given.

    Raises:
        BundleError: If a shared bundle has no such head, or none was named.
        ConfigError: If their tasks or labels differ, with what differs.
    """
    whole = [read_any(contestant.path) for contestant in contestants]
    alone = next((meta.task.name for meta in whole if isinstance(meta, BundleMeta)), None)
    metas = [read_head(contestant.path, head or alone) for contestant in contestants]
    first, spec = contestants[0].name, metas[0].task
    for contestant, meta in zip(contestants[1:], metas[1:], strict=True):
        differs = _differences(spec, meta.task)
        if differs:
            raise ConfigError(
                f"bundles of one task, as {first} has it",
                got=f"{contestant.name} with another {'; another '.join(differs)}",
                fix="compare bundles of one task and one set of labels",
            )
    return spec, metas


def _differences(ours: TaskSpec, theirs: TaskSpec) -> list[str]:
    found = [
        f"{name} ({getattr(theirs, name)!r} against {getattr(ours, name)!r})"
        for name in SAME
        if getattr(ours, name) != getattr(theirs, name)
    ]
    more = sorted(set(theirs.labels) - set(ours.labels))
    fewer = sorted(set(ours.labels) - set(theirs.labels))
    if more or fewer:
        found.append(f"label set (with {_named(more)} and without {_named(fewer)})")
    return found


def _named(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "nothing more"


def choose_rows(
    spec: TaskSpec,
    examples: Sequence[Example],
    data: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Rows:
    """Return the rows of a comparison: all, or a seeded sample in which each label has its share.

    Raises:
        DataError: If there are none.
    """
    if not examples:
        raise DataError(f"{data}: rows to compare on", got="none")
    words = data.name
    chosen = list(examples)
    if limit is not None and limit < len(chosen):
        words = f"{words} (sampled from {len(chosen):,}, seed {seed})"
        places = stratified_sample(chosen, strata_of(chosen, spec), limit, seed=seed)
        chosen = [chosen[place] for place in places]
    trained = None
    if is_prepared(data):
        trained = read_json(data / MANIFEST)["hashes"].get("train")
    return Rows(chosen, words, trained)


def check_names(
    contestants: Sequence[Contestant], rivals: Rivals, against: str | None
) -> dict[str, str]:
    """Check what needs no asking, and return why rivals cannot run here, by name.

    Raises:
        ConfigError: If there are fewer than two to compare, a name is taken twice or unknown, or
            a directory is no pipeline's.
    """
    not_run: dict[str, str] = {}
    for name, place in rivals.peers.items():
        if place == PRESIDIO:
            reason = presidio_missing()
            not_run |= {name: reason} if reason else {}
        elif not is_url(place):
            check_directory(Path(place))
    names = [c.name for c in contestants] + [n for n in rivals.peers if n not in not_run]
    names += [rivals.llm.model] if rivals.llm else []
    if len(names) < 2:
        reasons = "".join(f"; {name}: {reason}" for name, reason in not_run.items())
        raise ConfigError("two or more to compare", got=f"{', '.join(names)} alone{reasons}")
    if len(set(names)) != len(names):
        raise ConfigError("a name of its own for each", got=", ".join(names), fix="give NAME=...")
    if against is not None and against not in names:
        raise ConfigError(f"--against one of {', '.join(names)}", got=against)
    return not_run
