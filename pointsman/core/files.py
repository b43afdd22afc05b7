"""Files that are whole or absent: atomic writes, hashes, and clear errors for full disks."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from pointsman.core.errors import ConfigError, PointsmanError, StorageError

_ADVICE = {
    errno.ENOSPC: "free some space or choose another output directory",
    errno.EDQUOT: "free some space: the quota is used up",
    errno.EROFS: "choose an output directory on a writable file system",
    errno.EACCES: "choose an output directory that you may write to",
    errno.EEXIST: "choose another path: a file stands where a directory is needed",
    errno.ENOTDIR: "choose another path: a file stands where a directory is needed",
}
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE, of Linux's fcntl.h and fs.h
_RUST = re.compile(r"\(os error (\d+)\)")
_TORCH = ("unexpected pos", "PytorchStreamWriter")  # a write of torch's that ended too early


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a place that is full, read-only, closed or taken into a `StorageError` naming `path`."""
    try:
        yield
    except PointsmanError:
        raise
    except Exception as error:
        number = _errno(error)
        if number not in _ADVICE:
            raise
        raise StorageError(
            f"to write {path}", got=os.strerror(number), fix=_ADVICE[number]
        ) from error


def _errno(error: Exception) -> int:
    """Return the system's number of an error, or 0: not every library raises an `OSError`.

    safetensors and tokenizers give the number in their text. torch gives none; what cuts a write
    of it short, and nothing else of its, is a full disk.
    """
    if isinstance(error, OSError):
        return error.errno or 0
    found = _RUST.search(str(error))
    if found:
        return int(found[1])
    return errno.ENOSPC if any(words in str(error) for words in _TORCH) else 0


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON form."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file in one step: readers see the old one or the new one, never half."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)  # mkstemp makes 0600: another user could not read it
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ConfigError: If it cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"a file at {path}", got=error.strerror) from None
    except ValueError as error:
        raise ConfigError(f"{path}: valid JSON in UTF-8", got=error) from None


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as JSON lines, in one step, and return how many there were."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    write_text(path, "".join(line + "\n" for line in lines))
    return len(lines)


def lock_file(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed; False if another process holds it.

    The system lets go of it when a process ends, however it ends, so that no lock is ever stale.
    """
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems keep no locks: there nobody can be kept out
        return True
    return True


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Give a temporary directory that becomes `path` when the block ends without an error.

    What stood at `path` is replaced. On an error nothing of the new one is left.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            temporary.chmod(0o755)
            for file in temporary.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    file.chmod(file.stat().st_mode | 0o444)  # safetensors' are their owner's alone
            _swap(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _swap(new: Path, path: Path) -> None:
    """Move `new` to `path`; a directory that is there is taken away after."""
    if not path.exists():
        new.replace(path)
    elif _exchange(new, path):
        shutil.rmtree(new, ignore_errors=True)
    else:
        _replace(new, path)


def _exchange(new: Path, path: Path) -> bool:
    """Exchange two directories in one step, where the system can: no kill finds a gap between."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):  # glibc from 2.28 has it, macOS does not
        return False
    names = os.fsencode(new.absolute()), os.fsencode(path.absolute())
    done: int = library.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE)
    error = ctypes.get_errno()
    if done and error not in (errno.EINVAL, errno.ENOSYS):  # both say: not on this file system
        raise OSError(error, os.strerror(error), str(path))
    return not done


def _replace(new: Path, path: Path) -> None:
    """Set the old directory aside and move the new one in its place, in two steps."""
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    path.replace(old / "was")
    try:
        new.replace(path)
    except BaseException:
        (old / "was").replace(path)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)
