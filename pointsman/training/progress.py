"""What a person sees while a model trains: one bar, and one line an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class TrainingProgress(TrainerCallback):
    """Replaces the Trainer's own bar, which prints every log line to stdout.

    Args:
        say: Prints a line of news.
        metric: The figure that picks the checkpoint.
        parts: Of several heads, the figure of each that the checkpoint's is the mean of.
    """

    def __init__(
        self, say: Callable[[str], None], metric: str, parts: Mapping[str, str] | None = None
    ) -> None:
        self._say = say
        self._metric = metric
        self._parts = parts or {}
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Open the bar, where there is a terminal to draw it on."""
        if state.global_step:
            self._say(f"  resuming from step {state.global_step} of {state.max_steps}")
        if not self._console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("  training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=state.max_steps, completed=state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Move the bar on."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Show the loss on the bar, and each evaluation on a line of its own."""
        logs = logs or {}
        if self._bar is not None and self._task is not None and "loss" in logs:
            self._bar.update(self._task, description=f"loss {float(logs['loss']):.3f}")
        measured = logs.get(f"eval_{self._metric}")
        if measured is not None:
            self._say(
                f"  step {state.global_step} of {state.max_steps}, epoch {state.epoch or 0:.2f}: "
                f"validation {self._metric} {float(measured):.4f}, "
                f"loss {float(logs.get('eval_loss', float('nan'))):.4f}"
            )
            for name, metric in self._parts.items():
                self._say(f"    {name}: {metric} {float(logs[f'eval_{name}/{metric}']):.4f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Close the bar, and say so where patience ended training before its time."""
        self.close()
        if state.global_step < state.max_steps:
            self._say(
                f"  stopped at step {state.global_step} of {state.max_steps}: the last evaluations "
                f"brought no better {self._metric}"
            )

    def close(self) -> None:
        """Take the bar off the screen; also when training ends in an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
