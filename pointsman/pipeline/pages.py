"""Reports on disk: what an evaluation writes, and the same pages again without any model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pointsman.bundle.layout import META, find_bundles, read_any, read_bundle
from pointsman.bundle.meta import BundleMeta
from pointsman.core.errors import ConfigError
from pointsman.core.files import read_json, write_json, write_text
from pointsman.evaluation.account import Account
from pointsman.evaluation.html import Entry, write_index, write_page
from pointsman.evaluation.report import write_markdown

METRICS = "metrics.json"
ACCOUNT = "report.json"  # all that the pages say beside the figures, so that they can be rewritten
MARKDOWN = "report.md"
PAGE = "report.html"
HISTORY = "history.jsonl"
INDEX = "index.html"
RECIPE = "recipe.json"
TEST_SPLIT = "its test split"


def write_evaluated(out: Path, account: Account) -> None:
    """Write an evaluation into `out`: its figures, its account, and both reports."""
    write_json(out / METRICS, account.figures)
    write_json(
        out / ACCOUNT,
        {
            "data": account.data,
            "revealed": account.revealed,
            "mistakes": account.mistakes,
            "findings": account.findings,
            "history": account.history,
            "bundle": account.meta.model_dump(mode="json", exclude={"metrics", "files"}),
        },
    )
    _write_reports(out, account)


def _write_reports(out: Path, account: Account) -> None:
    write_text(out / MARKDOWN, write_markdown(account))
    write_text(out / PAGE, write_page(account))


def read_history(directory: Path) -> list[dict[str, Any]]:
    """Return the training log that lies in a directory; an empty one where there is none.

    Raises:
        ConfigError: If a line of it is not JSON.
    """
    path = directory / HISTORY
    if not path.is_file():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError:
        raise ConfigError(f"{path}: a JSON object in every line", got="something else") from None


def history_of(head: str, history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the training log as one head saw it: its own figures, and the loss of all.

    The log of a model of one head comes back as it is.
    """
    prefix, seen = f"eval_{head}/", []
    for entry in history:
        own = {
            f"eval_{k.removeprefix(prefix)}": v for k, v in entry.items() if k.startswith(prefix)
        }
        if own:  # what it was evaluated with stands beside the figures of other heads, and means
            own |= {k: v for k, v in entry.items() if not k.startswith("eval_")}
        seen.append(own or dict(entry))
    return seen


def rewrite(directory: Path, say: Callable[[str], None]) -> list[Path]:
    """Write the reports at or below a directory again from what is on disk.

    Args:
        directory: An evaluation, a run, a directory of runs, or a bundle with its report beside.
        say: Told what the disk does not hold.

    Returns:
        The pages: of each evaluation, then the index of each run of a recipe.

    Raises:
        ConfigError: If no evaluation lies there.
    """
    if (directory / META).is_file():
        directory = directory.resolve().parent
    places = _evaluations(directory)
    if not places:
        raise ConfigError(
            f"{directory}: an evaluation, or a run that holds some",
            got=f"no {METRICS} in it",
            fix="evaluate a bundle with `pointsman evaluate`",
        )
    for place in places:
        if not (place / ACCOUNT).is_file():
            say(f"{place}: no {ACCOUNT}, so no mistakes are listed; evaluate again to have them")
        account = read_account(place)
        if _calibrated_since(place, account.meta):
            say(
                f"{place}: calibrated anew since it was evaluated; its report has the thresholds "
                f"of then, and `pointsman evaluate {place / 'bundle'}` those of now"
            )
        _write_reports(place, account)
    runs = [run for run in dict.fromkeys((directory, *_parents(places))) if _is_run(run)]
    return [*(place / PAGE for place in places), *(write_run_index(run) for run in runs)]


def _calibrated_since(place: Path, then: BundleMeta) -> bool:
    """Say whether the bundle beside an evaluation answers by other thresholds than it had then."""
    if not (place / "bundle" / META).is_file():
        return False
    now = read_any(place / "bundle")
    if not isinstance(now, BundleMeta):
        return False
    kept = ("temperature", "thresholds", "abstain_below")
    return any(getattr(now, name) != getattr(then, name) for name in kept)


def _evaluations(directory: Path) -> list[Path]:
    """Return the directories that hold figures: this one, and those up to three steps below."""
    found = []
    for pattern in ("", "*/", "*/*/", "*/*/*/"):
        found += sorted(path.parent for path in directory.glob(pattern + METRICS))
    return found


def _parents(places: list[Path]) -> list[Path]:
    return [place.parent for place in places]


def _is_run(directory: Path) -> bool:
    return (directory / RECIPE).is_file() and bool(list(directory.glob(f"*/bundle/{META}")))


def read_account(place: Path) -> Account:
    """Return the evaluation whose figures lie in a directory.

    One without an account is a run of an older version: its bundle and its log lie beside.

    Raises:
        ConfigError: If it can be read from neither.
    """
    figures = read_json(place / METRICS)
    path = place / ACCOUNT
    if not path.is_file():
        if not (place / "bundle" / META).is_file():
            raise ConfigError(
                f"{place}: {ACCOUNT}, or a bundle", got="neither", fix="evaluate the bundle again"
            )
        meta = read_bundle(place / "bundle")
        return Account(meta, figures, TEST_SPLIT, history=read_history(place))
    held = read_json(path)
    try:
        meta = BundleMeta.parse(held["bundle"], where=f"{path}: bundle")
        return Account(
            meta,
            figures,
            held["data"],
            held["mistakes"],
            held["history"],
            held["revealed"],
            held.get("findings", ()),  # older accounts have none
        )
    except (KeyError, TypeError):
        raise ConfigError(
            f"{path}: the account of an evaluation", got="something else", fix="evaluate again"
        ) from None


def write_run_index(directory: Path) -> Path:
    """Write the page over the tasks of a recipe's run, and return it.

    What says the same already is left untouched.
    """
    recipe = read_json(directory / RECIPE)
    entries = [entry for bundle in _bundles(directory) for entry in _entries(bundle)]
    text = write_index(recipe["name"], recipe["about"], entries)
    path = directory / INDEX
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
    return path


def _bundles(directory: Path) -> list[Path]:
    return [path for path in find_bundles([directory]) if path.name == "bundle"]


def _entries(bundle: Path) -> list[Entry]:
    """Return an entry for each head; the report of a shared bundle's head lies beside its run."""
    meta = read_any(bundle)
    if isinstance(meta, BundleMeta):
        return [_entry(meta, bundle.parent)]
    return [_entry(head, bundle.parents[1] / name) for name, head in meta.heads.items()]


def _entry(meta: BundleMeta, place: Path) -> Entry:
    link = f"{place.name}/{PAGE}" if (place / PAGE).is_file() else None
    return Entry(Account(meta, meta.metrics, TEST_SPLIT), link)
