"""What a contract is made of: clauses, each with a sentence and a check, and what they found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

Status = Literal["pass", "fail", "not applicable"]
Read = TypeVar("Read")
LONGEST = 300  # characters of what was found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check says: its status, and what was found."""

    status: Status
    found: str


def passed(found: str) -> Outcome:
    """Return the outcome of a clause that holds."""
    return Outcome("pass", _tellable(found))


def failed(found: str) -> Outcome:
    """Return the outcome of a clause that is broken."""
    return Outcome("fail", _tellable(found))


def unneeded(why: str) -> Outcome:
    """Return the outcome of a clause that says nothing here."""
    return Outcome("not applicable", _tellable(why))


def _tellable(found: str) -> str:
    """Return what was found in a foreign file as a line that any terminal can show."""
    short = found if len(found) <= LONGEST else f"{found[:LONGEST]}..."
    return short.encode("utf-8", "backslashreplace").decode()  # JSON may hold half a character


@dataclass(frozen=True, slots=True)
class Clause(Generic[Read]):
    """One clause of a contract.

    Attributes:
        id: Its name, as in `config.rope`.
        sentence: What has to hold.
        check: Says whether it does, of what was read.
    """

    id: str
    sentence: str
    check: Callable[[Read], Outcome]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A clause, and what was found."""

    id: str
    sentence: str
    status: Status
    found: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a contract says of one directory.

    Attributes:
        name: Name of the directory.
        contract: Which contract.
        verdicts: One a clause, in order.
        notes: What no file can settle and a user should know.
        parts: Reports of the model directories in it, where there are several.
    """

    name: str
    contract: str
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()
    parts: tuple[Report, ...] = ()

    @property
    def broken(self) -> tuple[str, ...]:
        """The ids of the clauses that fail, here and in the parts."""
        own = tuple(verdict.id for verdict in self.verdicts if verdict.status == "fail")
        return own + tuple(f"{part.name}: {id}" for part in self.parts for id in part.broken)

    @property
    def holds(self) -> bool:
        """Whether no clause fails."""
        return not self.broken

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"holds": self.holds, **asdict(self)}


def judge(path: Path, contract: str, clauses: tuple[Clause[Read], ...], read: Read) -> Report:
    """Return the report of a directory, without notes."""
    verdicts = []
    for clause in clauses:
        outcome = clause.check(read)
        verdicts.append(Verdict(clause.id, clause.sentence, outcome.status, outcome.found))
    return Report(path.name, contract, tuple(verdicts))


def names(values: object, limit: int = 4) -> str:
    """Return names in a row, the first few of many."""
    listed = [str(value) for value in values]  # type: ignore[attr-defined]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
