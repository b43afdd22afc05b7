"""`pointsman data prepare`, `train` and `run` as a user types them."""

import errno
import shutil

import pytest

from pointsman.bundle.layout import read_bundle
from tests.runs import jailbreak_rows, task, write_recipe, write_rows

QUICK = ("--set", "max_steps=2", "--set", "max_length=48", "--set", "precision=fp32", "--set", "report_to=[]")  # fmt: skip


def test_prepare_then_train(pointsman, backbones, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = write_rows(tmp_path / "rows.jsonl", jailbreak_rows(60))
    options = ("--set", "near_duplicate_threshold=null", "--licence", "Apache-2.0", "-o", "data")
    result = pointsman("data", "prepare", "jailbreak", "--source", rows, *options)
    assert result.code == 0 and "train" in result.out, result.err
    arguments = ("train", "jailbreak", "--data", "data", "--backbone", backbones["bert"], "-o", "out", *QUICK)  # fmt: skip
    result = pointsman(*arguments, "--method", "lora", "--rank", "2")
    assert result.code == 0, result.err
    assert "out/bundle" in result.out.replace("\n", "") or "Results" in result.out
    assert "lora" in result.err and "step 2 of 2" in result.err
    assert read_bundle(tmp_path / "out" / "bundle").recipe["train"]["lora"]["rank"] == 2
    traffic = write_rows(tmp_path / "traffic.jsonl", jailbreak_rows(40, seed=5))
    mine = pointsman("calibrate", "out", "--data", traffic, "--at", "fpr=0.3")
    assert mine.code == 0, mine.err
    shutil.rmtree(tmp_path / "out" / "checkpoints")
    again = pointsman(*arguments, "--method", "lora", "--rank", "2")
    assert again.code == 0 and "step" not in again.err and "is kept" in again.err
    point = read_bundle(tmp_path / "out" / "bundle").operating_point
    assert point["chosen_on"]["data"] == "traffic.jsonl", "what was done since is not undone"
    again = pointsman(*arguments, "--method", "lora", "--rank", "2", "--at", "fpr=0.2")
    point = read_bundle(tmp_path / "out" / "bundle").operating_point
    assert again.code == 0 and point["rule"] == "fpr=0.2"
    other = pointsman(*arguments, "--method", "lora", "--rank", "4")
    assert other.code == 6 and "out/bundle" in other.err  # the bundle alone is a run's too
    assert read_bundle(tmp_path / "out" / "bundle").recipe["train"]["lora"]["rank"] == 2


def test_run_dry_and_for_good(pointsman, backbones, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "data" / "jailbreak.jsonl", jailbreak_rows(60))
    quick = {"max_steps": 2, "evaluate": "epoch"}
    recipe = write_recipe(tmp_path, backbones["bert"], [task("jailbreak", train=quick)])
    dry = pointsman("run", recipe, "--dry-run", "--set", "output=there")
    assert dry.code == 0 and "run directory there" in dry.out and not (tmp_path / "there").exists()
    done = pointsman("run", recipe, "--set", "output=there")
    assert done.code == 0 and "pointsman classify there" in done.out
    assert (tmp_path / "there" / "jailbreak" / "report.md").is_file()
    again = pointsman("run", recipe, "--set", "output=there")
    assert again.code == 0 and "finished already" in again.err
    other = pointsman("run", recipe, "--set", "output=there", "--set", "train.seed=2")
    assert other.code == 2 and "another recipe" in other.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "jailbrek", "--data", "DATA"), 2, "did you mean 'jailbreak'"),
        (("train", "pii", "--data", "DATA"), 2, "data for jailbreak"),
        (("train", "jailbreak", "--data", "nowhere"), 2, "pointsman data prepare"),
        (("train", "jailbreak", "--data", "DATA", "--backbone", "minlm"), 2, "did you mean 'minilm'"),
        (("train", "jailbreak", "--data", "DATA", "--backbone", "org/model"), 3, "the hub"),
        (("train", "jailbreak", "--data", "DATA", "--set", "epoch=3"), 2, "did you mean 'epochs'"),
        (("train", "jailbreak", "--data", "DATA", "--set", "epochs=[3"), 2, "YAML"),
        (("train", "jailbreak", "--data", "DATA", "--set", "epochs"), 2, "KEY.PATH=VALUE"),
        (("train", "jailbreak", "--data", "DATA", "--method", "qlora"), 2, "lora"),
        (("train", "jailbreak", "--data", "DATA", "--rank", "0"), 2, "rank"),
        (("train", "jailbreak", "--data", "DATA", "--backbone", "org/model", "--mirror", "gone"), 2, "gone"),
        (("data", "prepare", "pii", "--source", "presidio", "--mirror", "gone", "-o", "x"), 2, "--mirror"),
        (("data", "prepare", "jailbreak", "--source", "starter", "-o", "x", "--on-bad-row", "leave"), 2, "--on-bad-row"),
        (("run", "gone.yaml"), 2, "gone.yaml"),
        (("run", "."), 2, "directory"),
        (("data", "prepare", "jailbreak", "-o", "x"), 2, "--source"),
        (("data", "prepare", "jailbreak", "--source", "startr", "-o", "x"), 2, "did you mean 'starter'"),
        (("data", "prepare", "mood.yaml", "--source", "starter", "-o", "x"), 2, "mood.yaml"),
        (("data", "prepare", "jailbreak", "--source", "starter", "-o", "x", "--set", "sed=1"), 2, "'seed'"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_said(
    pointsman, prepared, backbones, tmp_path, monkeypatch, arguments, code, words
):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "train":
        arguments = (*arguments, "-o", "out")
        if "--backbone" not in arguments:
            arguments = (*arguments, "--backbone", backbones["bert"])
    result = pointsman(*(prepared if a == "DATA" else a for a in arguments))
    assert (result.code, words in result.err) == (code, True), result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_bad_disk_has_its_own_exit_code(
    pointsman, prepared, backbones, tmp_path, monkeypatch, number
):
    def fail(*_, **__):
        raise OSError(number, "no")

    monkeypatch.setattr("pointsman.core.files.tempfile.mkstemp", fail)
    arguments = (
        "--data",
        prepared,
        "--backbone",
        backbones["bert"],
        "-o",
        tmp_path / "out",
        *QUICK,
    )
    result = pointsman("train", "jailbreak", *arguments)
    assert result.code == 7 and str(tmp_path / "out") in result.err and "do:" in result.err


def test_an_output_that_is_a_file_is_said(pointsman, prepared, backbones, tmp_path):
    file = tmp_path / "out"
    file.write_text("mine")
    arguments = ("--data", prepared, "--backbone", backbones["bert"], "-o", file, *QUICK)
    result = pointsman("train", "jailbreak", *arguments)
    assert result.code == 7 and "a file stands" in result.err and file.read_text() == "mine"
