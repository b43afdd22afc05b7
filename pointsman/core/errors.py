"""The one family of errors: what was needed, what came, what to do.

Every error a user can cause is a `PointsmanError`; the command line maps it to an exit code at
one edge (`pointsman.cli.main`), and nothing else in the project prints or exits.
"""

from __future__ import annotations


class PointsmanError(Exception):
    """A problem that its user can solve.

    Args:
        needed: What was needed, in one clause.
        got: What came instead.
        fix: What to do about it.
    """

    exit_code = 1

    def __init__(self, needed: str, *, got: object = None, fix: str | None = None) -> None:
        self.needed = needed
        self.got = None if got is None else str(got)
        self.fix = fix
        super().__init__(self.describe())

    def describe(self) -> str:
        """Return the three parts as lines, without the ones that are not known."""
        parts = [self.needed]
        if self.got is not None:
            parts.append(f"  got: {self.got}")
        if self.fix is not None:
            parts.append(f"  do:  {self.fix}")
        return "\n".join(parts)


class ConfigError(PointsmanError):
    """A recipe, option or name that Pointsman does not know or cannot accept."""

    exit_code = 2


class SourceError(PointsmanError):
    """A data source or weight that cannot be had."""

    exit_code = 3


class DataError(PointsmanError):
    """Rows that are not what their task needs."""

    exit_code = 4


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out: few libraries have a class of it on CPUs."""
    words = (
        "can't allocate memory",
        "out of memory",
        "not enough memory",
        "failed to allocate memory",  # onnxruntime
        "bad_alloc",  # C++
    )
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def batch_too_large(windows: int, tokens: int, error: BaseException) -> PointsmanError:
    """Return the error of a batch for which memory ran out.

    Args:
        windows: How many windows it has.
        tokens: Length of its longest window, in tokens.
        error: What the library raised.
    """
    return PointsmanError(
        f"memory for a batch of {windows} windows of {tokens} tokens",
        got=type(error).__name__,
        fix="free memory, or ask for fewer texts at a time",
    )


class RowError(DataError):
    """One bad row, with the place it came from.

    Args:
        where: File and row number (counted from 1), or source and row number.
        needed: What the row should hold.
        got: What it holds. Never the user's text: lengths, types and names only.
        fix: What to do.
    """

    def __init__(
        self, where: str, needed: str, *, got: object = None, fix: str | None = None
    ) -> None:
        self.where = where
        super().__init__(f"{where}: {needed}", got=got, fix=fix)


class BundleError(PointsmanError):
    """A bundle that is missing something, was changed, or is of another version."""

    exit_code = 5


class TrainingError(PointsmanError):
    """Training that cannot start or go on."""

    exit_code = 6


class StorageError(PointsmanError):
    """A disk that is full or cannot be written."""

    exit_code = 7


class PeerError(PointsmanError):
    """Another classifier, or a language model, that does not answer as it should."""

    exit_code = 8


class ExportError(PointsmanError):
    """An export that cannot be made, or does not answer as the network it was made from does."""

    exit_code = 9
