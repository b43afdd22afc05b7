"""What a run costs, over all the times that it was stopped and taken up again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pointsman.core.files import read_json, write_json
from pointsman.training.memory import peak_gpu_mb, peak_mb, reset_peak

SPENT = "spent.json"


class SpentCallback(TrainerCallback):
    """Measures what a run costs, and keeps the account beside each checkpoint.

    Args:
        directory: The checkpoint directory.
        last: The checkpoint that the run resumes from; what came after it is done, and paid,
            again.
    """

    def __init__(self, directory: Path, last: Path | None) -> None:
        self._file = directory / SPENT
        known = read_json(self._file) if last is not None and self._file.is_file() else {}
        self._before: dict[str, float] = known.get("" if last is None else last.name, {})
        self._known = known
        self._started = time.perf_counter()
        reset_peak()

    def spent(self) -> dict[str, float]:
        """Return seconds, and peaks in MiB, of this invocation and of those that it resumed."""
        now = {
            "seconds": time.perf_counter() - self._started + self._before.get("seconds", 0.0),
            "peak_memory_mb": max(peak_mb(), self._before.get("peak_memory_mb", 0.0)),
        }
        gpu = peak_gpu_mb()
        return now if gpu is None else now | {"gpu_memory_mb": gpu}

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Note what was spent up to a checkpoint."""
        self._known[f"checkpoint-{state.global_step}"] = self.spent()
        write_json(self._file, self._known)
