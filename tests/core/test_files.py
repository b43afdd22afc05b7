"""Files are whole or absent, and a bad disk is said with the path."""

import errno
import os
import sys
from pathlib import Path

import pytest

from pointsman.core import files
from pointsman.core.errors import ConfigError, StorageError
from pointsman.core.files import (
    atomic_directory,
    read_json,
    sha256_file,
    sha256_json,
    storage_errors,
    write_json,
    write_jsonl,
    write_text,
)

DISK = {
    "full": (errno.ENOSPC, "free some space"),
    "quota": (errno.EDQUOT, "quota"),
    "read-only": (errno.EROFS, "writable"),
    "forbidden": (errno.EACCES, "may write"),
}


def failing(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(("number", "advice"), DISK.values(), ids=DISK)
@pytest.mark.parametrize("call", ["os.fsync", "Path.replace", "tempfile.mkstemp"])
def test_a_bad_disk_is_a_storage_error_that_keeps_the_old_file(
    tmp_path, monkeypatch, call, number, advice
):
    path = tmp_path / "a.json"
    write_text(path, "old")
    monkeypatch.setattr(f"pointsman.core.files.{call}", failing(number))
    with pytest.raises(StorageError, match=advice) as caught:
        write_text(path, "new")
    assert str(path) in caught.value.needed
    assert caught.value.got == os.strerror(number)
    assert names(tmp_path) == ["a.json"] and path.read_text() == "old"


@pytest.mark.parametrize(("number", "advice"), DISK.values(), ids=DISK)
def test_a_bad_disk_while_a_directory_is_filled(tmp_path, number, advice):
    path = tmp_path / "bundle"
    with pytest.raises(StorageError, match=advice) as caught, atomic_directory(path) as new:
        (new / "half").write_text("x")
        failing(number)()
    assert str(path) in caught.value.needed
    assert names(tmp_path) == []


def test_other_errors_of_the_system_pass_through():
    with pytest.raises(IsADirectoryError), storage_errors(Path("x")):
        raise IsADirectoryError(errno.EISDIR, "x")


def test_a_file_in_the_way_of_a_directory_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "a.json", tmp_path / "file" / "deep" / "a.json"):
        with pytest.raises(StorageError, match="a file stands") as caught:
            write_text(path, "x")
        assert str(path) in caught.value.needed
        with pytest.raises(StorageError, match="a file stands"), atomic_directory(path):
            pass


def test_a_directory_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "bundle"
    with atomic_directory(path) as new:
        (new / "a").write_text("1")
        assert not path.exists()
    assert (path / "a").read_text() == "1"
    assert names(tmp_path / "deep") == ["bundle"]
    assert path.stat().st_mode & 0o777 == 0o755  # a server under another user can read it


def test_a_directory_that_is_there_is_replaced_whole(tmp_path):
    path = tmp_path / "bundle"
    for name in ("old", "new"):
        with atomic_directory(path) as new:
            (new / name).write_text(name)
    assert names(path) == ["new"] and names(tmp_path) == ["bundle"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_directory_and_nothing_else(tmp_path, error):
    path = tmp_path / "bundle"
    with atomic_directory(path) as new:
        (new / "old").write_text("old")
    with pytest.raises(error), atomic_directory(path) as new:
        (new / "half").write_text("x")
        raise error
    assert names(path) == ["old"] and names(tmp_path) == ["bundle"]


def old_bundle(path):
    with atomic_directory(path) as new:
        (new / "old").write_text("old")


def test_a_failing_swap_puts_the_old_directory_back(tmp_path, monkeypatch):
    path = tmp_path / "bundle"
    old_bundle(path)
    replace = Path.replace

    def refuse(self, target):
        if self.parent == tmp_path and Path(target) == path:
            raise OSError(errno.ENOSPC, "full")
        return replace(self, target)

    monkeypatch.setattr(files, "_exchange", lambda *_: False)  # as on a system without it
    with pytest.raises(StorageError), atomic_directory(path) as new:
        (new / "new").write_text("new")
        monkeypatch.setattr(Path, "replace", refuse)
    assert names(path) == ["old"] and names(tmp_path) == ["bundle"]


@pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's")
def test_a_directory_is_replaced_without_a_gap(tmp_path, monkeypatch):
    path = tmp_path / "bundle"
    old_bundle(path)

    def killed(*_, **__):
        assert names(path) == ["new"]  # whatever comes after finds the new one whole
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)  # two renames would leave a gap
    monkeypatch.setattr(files.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt), atomic_directory(path) as new:
        (new / "new").write_text("new")
    assert names(path) == ["new"]


def test_json_comes_back_and_rows_are_counted(tmp_path):
    value = {"b": [1, 2.5, None], "a": "Zażółć 東京"}
    write_json(tmp_path / "deep" / "v.json", value)
    assert read_json(tmp_path / "deep" / "v.json") == value
    assert write_jsonl(tmp_path / "r.jsonl", ({"n": n} for n in range(3))) == 3
    assert (tmp_path / "r.jsonl").read_text() == '{"n": 0}\n{"n": 1}\n{"n": 2}\n'


def test_written_files_can_be_read_by_others(tmp_path):
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_a_damaged_json_file_is_named(tmp_path, content):
    (tmp_path / "v.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"v\.json"):
        read_json(tmp_path / "v.json")


def test_a_missing_json_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_json(tmp_path / "v.json")


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "a") == known
    assert sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1})
    assert sha256_json(["\ud800"]) != sha256_json(["x"])
    assert files.sha256_json("abc") != known  # JSON's quotes count


def test_a_full_disk_under_a_rust_library_is_said_too(tmp_path):
    """safetensors and tokenizers raise errors of their own, with the system's number in the text."""
    with pytest.raises(StorageError, match="free some space"), storage_errors(tmp_path):
        raise RuntimeError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )
    with pytest.raises(RuntimeError, match="os error 5"), storage_errors(tmp_path):
        raise RuntimeError("I/O error (os error 5)")


def test_files_of_a_directory_can_be_read_by_others(tmp_path):
    with atomic_directory(tmp_path / "out") as new:
        secret = new / "inner" / "weights"
        secret.parent.mkdir()
        secret.write_bytes(b"x")
        secret.chmod(0o600)
    assert (tmp_path / "out" / "inner" / "weights").stat().st_mode & 0o777 == 0o644
