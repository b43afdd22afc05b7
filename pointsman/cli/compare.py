"""`pointsman compare`: bundles, other classifiers and a language model on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman.cli import compare_options as given
from pointsman.cli.console import say, show, show_table
from pointsman.cli.options import OnBadRow, parse_pairs

if TYPE_CHECKING:
    from pointsman.pipeline.contestants import Rivals

RECIPE_SUFFIXES = (".yaml", ".yml")


def compare_cli(
    bundles: given.Bundles,
    data: given.Data = None,
    output: given.Output = None,
    head: given.Head = None,
    against: given.Against = None,
    limit: given.Limit = None,
    seed: given.Seed = None,
    latency_texts: given.LatencyTexts = None,
    columns: given.Columns = [],  # noqa: B006
    on_bad_row: OnBadRow = "stop",
    peers: given.Peers = [],  # noqa: B006
    label_map: given.LabelMap = [],  # noqa: B006
    offsets: given.Offsets = "code-points",
    llm: given.Llm = None,
    model: given.Model = None,
    key_env: given.KeyEnv = "OPENAI_API_KEY",
    temperature: given.Temperature = 0.0,
    repeats: given.Repeats = 1,
    concurrency: given.Concurrency = 4,
    input_price: given.InputPrice = None,
    output_price: given.OutputPrice = None,
    overrides: given.Overrides = [],  # noqa: B006
    dry_run: given.DryRun = False,
) -> None:
    """Compare classifiers on the same labelled rows, with intervals on their differences.

    A recipe is trained first, every variant and seed of it; run again to resume.
    """
    asked = {"key_env": key_env, "repeats": repeats, "concurrency": concurrency}
    asked |= {"temperature": None if temperature < 0 else temperature}
    asked |= {"input_price": input_price, "output_price": output_price}
    foreign = {"label_map": label_map, "units": offsets}
    rivals = _rivals(peers, foreign, _llm_options(llm, model, asked), concurrency)
    how = {"head": head, "against": against, "latency_texts": latency_texts}
    recipe = _recipe(bundles)
    if recipe is not None:
        bad = None if on_bad_row == "stop" else on_bad_row
        rest = {"column": columns or None, "on-bad-row": bad, "output": output}
        _refuse_for_recipe({**how, "limit": limit, "seed": seed, "data": data, **rest})
        _run_recipe(recipe, tuple(overrides), rivals, dry_run=dry_run)
        return
    _refuse_for_bundles(overrides, dry_run)
    rows = {"limit": limit, "seed": seed or 0, "columns": columns, "on_bad_row": on_bad_row}
    place = output or Path(f"compare-{data.stem}" if data else "compare")
    _compare(bundles, data, place, rows, {**how, "rivals": rivals})


def _recipe(arguments: list[str]) -> Path | None:
    """Return the recipe that is to be run, or None where bundles are given."""
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.variants import COMPARISONS

    own = {file.stem for file in COMPARISONS.glob("*.yaml")}
    if not any(x.endswith(RECIPE_SUFFIXES) or x in own and not Path(x).exists() for x in arguments):
        return None
    if len(arguments) > 1:
        raise ConfigError("one comparison recipe, or bundles", got=f"{len(arguments)} arguments")
    return Path(arguments[0])


def _refuse_for_recipe(values: dict[str, Any]) -> None:
    """Refuse options of bundles: a recipe has its own data, and keys of its own for the rest."""
    from pointsman.core.errors import ConfigError

    used = [name for name, value in values.items() if value is not None]
    if used:
        option = f"--{used[0].replace('_', '-')}"
        own = used[0] in ("limit", "latency_texts", "against", "output")
        fix = f"set it in the recipe: --set {used[0]}=..." if own else "leave it out"
        raise ConfigError(f"bundles, for {option}", got="a recipe", fix=fix)


def _refuse_for_bundles(overrides: list[str], dry_run: bool) -> None:
    from pointsman.core.errors import ConfigError

    if overrides or dry_run:
        raise ConfigError("a comparison recipe, for --set and --dry-run", got="bundles")


def _llm_options(url: str | None, model: str | None, values: dict[str, Any]) -> Any:
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.llm import LlmOptions

    if (url is None) != (model is None):
        raise ConfigError("--llm URL and --model NAME together", got="one of them")
    if url is None:
        used = [name for name in ("input_price", "output_price") if values[name] is not None]
        used += ["repeats"] if values["repeats"] > 1 else []
        if used:
            raise ConfigError(f"--llm URL, for --{used[0].replace('_', '-')}", got="none")
        return None
    return LlmOptions.parse({"url": url, "model": model, **values}, where="--llm")


def _rivals(peers: list[str], foreign: dict[str, Any], llm: Any, concurrency: int) -> Rivals:
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.contestants import Rivals, name_peers
    from pointsman.pipeline.peers import Foreign

    if not peers and (foreign["label_map"] or foreign["units"] != "code-points"):
        raise ConfigError("--peer, for --label-map and --offsets", got="none")
    labels = parse_pairs(foreign["label_map"], option="--label-map")
    read = Foreign.parse({**foreign, "label_map": labels}, where="--label-map")
    return Rivals(name_peers(peers), read, llm, concurrency)


def _run_recipe(path: Path, overrides: tuple[str, ...], rivals: Rivals, *, dry_run: bool) -> None:
    from pointsman.pipeline.variants import load_comparison, plan_comparison, run_comparison

    comparison = load_comparison(path, overrides)
    if dry_run:
        for line in plan_comparison(comparison):
            show(line)
        return
    for result in run_comparison(comparison, say, rivals=rivals).values():
        _show(result)
    say(f"written to {comparison.directory() / 'compare'}")


def _compare(
    bundles: list[str],
    data: Path | None,
    place: Path,
    rows: dict[str, Any],
    how: dict[str, Any],
) -> None:
    from pointsman.core.errors import ConfigError
    from pointsman.pipeline.compare import compare_bundles
    from pointsman.pipeline.contestants import check_same_task, choose_rows, name_bundles
    from pointsman.pipeline.labelled import read_labelled, task_of

    if data is None:
        raise ConfigError("--data FILE, rows that all of them answer", got="none")
    contestants = name_bundles(bundles)
    how["head"] = how["head"] or task_of(data)
    spec, _ = check_same_task(contestants, how["head"])
    named = parse_pairs(rows["columns"], option="--column")
    found = read_labelled(spec, data, columns=named, on_bad_row=rows["on_bad_row"], say=say)
    chosen = choose_rows(spec, found.rows, data, limit=rows["limit"], seed=rows["seed"])
    how["latency_texts"] = how["latency_texts"] or 100
    _show(compare_bundles(contestants, chosen, place, say=say, **how))
    say(f"written to {place}")


def _show(result: dict[str, Any]) -> None:
    """Print what each reached and cost, and the verdicts."""
    from pointsman.evaluation.comparison_report import with_interval
    from pointsman.evaluation.report import title

    rows = []
    for entrant in result["entrants"]:
        metrics = [entrant["metrics"].get(name) for name in (result["headline"], *_plain(result))]
        rows.append((entrant["name"], *map(with_interval, metrics), *_costs(entrant)))
    names = [title(name) for name in (result["headline"], *_plain(result))]
    header = ("name", *names, "latency", "a second", "memory", "trained")
    show_table(f"{result['task']}: {result['rows']:,} rows of {result['data']}", header, rows)
    for difference in result["differences"]:
        show(difference["words"])
    for name, reason in result["not_run"].items():
        say(f"{name} not run: {reason}")


def _plain(result: dict[str, Any]) -> tuple[str, ...]:
    if result["level"] == "token" or result["headline"] == "accuracy":
        return ()
    return ("accuracy",)


def _costs(entrant: dict[str, Any]) -> tuple[str, ...]:
    shapes = (
        ("latency_ms", "{:.1f} ms"),
        ("throughput", "{:.1f}"),
        ("peak_memory_mb", "{:.0f} MiB"),
        ("trainable_share", "{:.2%}"),
    )
    values = [(entrant.get(key), shape) for key, shape in shapes]
    return tuple("-" if value is None else shape.format(value) for value, shape in values)
