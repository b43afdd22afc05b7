"""The command line's edge: commands are added here, errors become exit codes here."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from pointsman import __version__
from pointsman.cli import (
    assemble,
    audit,
    calibrate,
    classify,
    compare,
    data,
    evaluate,
    export,
    report,
    run,
    score,
    tasks,
    train,
    verify,
)
from pointsman.cli.console import report_error
from pointsman.core.errors import PointsmanError

app = typer.Typer(
    name="pointsman",
    help="Train, prove and run the small classifiers that route and guard LLM traffic.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Prepare and audit data.", no_args_is_help=True)
app.add_typer(data_app, name="data")

app.command("tasks")(tasks.tasks_cli)
data_app.command("prepare")(data.prepare_cli)
data_app.command("audit")(audit.audit_cli)
data_app.command("suspects")(audit.suspects_cli)
app.command("train")(train.train_cli)
app.command("run")(run.run_cli)
app.command("evaluate")(evaluate.evaluate_cli)
app.command("calibrate")(calibrate.calibrate_cli)
app.command("compare")(compare.compare_cli)
app.command("assemble")(assemble.assemble_cli)
app.command("export")(export.export_cli)
app.command("report")(report.report_cli)
app.command("classify")(classify.classify_cli)
app.command("score")(score.score_cli)
app.command("verify")(verify.verify_cli)

INTERRUPTED = 130  # what typer makes of Ctrl-C, and what a shell reports for it

RESUMABLE = {"train", "run", "compare", "score"}


def _version(value: bool) -> None:
    if value:
        typer.echo(f"pointsman {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Train, prove and run the small classifiers that route and guard LLM traffic."""


def main() -> None:
    """Run the command line; every expected error ends here, with its own exit code."""
    try:
        app()
    except PointsmanError as error:
        _end(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "pointsman":
            raise
        fix = "pip install 'pointsman[train]'"
        _end(PointsmanError(f"the library {error.name}", got="not installed", fix=fix))
    except SystemExit as end:
        if end.code == INTERRUPTED:
            resumes = set(sys.argv[1:2]) & RESUMABLE
            more = "; the same command goes on from the last checkpoint" if resumes else ""
            report_error(f"stopped{more}")
        raise


def _end(error: PointsmanError) -> NoReturn:
    report_error(str(error))
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
