"""Pages on disk: written by a run, and written again without any model."""

import json

import pytest

from pointsman.core.errors import ConfigError
from pointsman.evaluation.report import write_markdown
from pointsman.pipeline.pages import read_account, rewrite, write_evaluated, write_run_index
from tests.evaluation.accounts import account

REPORTS = ("report.md", "report.html")


@pytest.fixture
def evaluated(tmp_path):
    place = tmp_path / "evaluation"
    write_evaluated(place, account("pii", hostile=True))
    return place


def no_news(line):
    raise AssertionError(line)


def texts(place):
    return [(place / name).read_text() for name in REPORTS]


def test_a_run_leaves_its_pages_and_an_index(demo):
    run = demo / "run"
    index = (run / "index.html").read_text()
    for name in ("jailbreak", "pii"):
        page = (run / name / "report.html").read_text()
        assert f'href="{name}/report.html"' in index
        assert '<section id="training">' in page, "the log beside the bundle is read"
        assert "its test split" in page
    assert "tiny" in index and index.count('class="value"') == 2
    page = (run / "pii" / "report.html").read_text()
    assert "@example.org" not in page and "Sarah" not in page


def test_pages_come_out_the_same_without_a_model(own_demo, monkeypatch):
    monkeypatch.setattr("pointsman.runtime.predictor.load", no_news)
    run = own_demo / "run"
    before = {name: texts(run / name) for name in ("jailbreak", "pii")}
    index = (run / "index.html").read_text()
    for place in (run / "jailbreak", run / "pii"):
        for name in REPORTS:
            (place / name).unlink()
    (run / "index.html").unlink()
    pages = rewrite(run, no_news)
    assert [str(page.relative_to(run)) for page in pages] == [
        "jailbreak/report.html", "pii/report.html", "index.html",
    ]  # fmt: skip
    assert {name: texts(run / name) for name in ("jailbreak", "pii")} == before
    assert (run / "index.html").read_text() == index


def test_a_bundle_stands_for_the_run_that_holds_it(own_demo):
    (page, *_) = rewrite(own_demo / "run" / "pii" / "bundle", no_news)
    assert page.samefile(own_demo / "run" / "pii" / "report.html")


def test_an_account_comes_back_as_it_was(evaluated):
    before = texts(evaluated)
    assert write_markdown(read_account(evaluated)) == before[0]
    assert rewrite(evaluated, no_news) == [evaluated / "report.html"]
    assert texts(evaluated) == before


def test_a_run_of_an_older_version_is_read_from_its_bundle(own_demo):
    place = own_demo / "run" / "jailbreak"
    (place / "report.json").unlink()
    said = []
    rewrite(place, said.append)
    assert len(said) == 1 and "no mistakes are listed" in said[0]
    markdown, page = texts(place)
    assert "rows of its test split" in markdown and "Mistakes" not in markdown
    assert '<section id="training">' in page and '<section id="mistakes">' not in page


def test_an_index_without_pages_links_to_nothing(own_demo):
    run = own_demo / "run"
    (run / "pii" / "report.html").unlink()
    index = write_run_index(run).read_text()
    assert "No page yet" in index and 'href="pii' not in index


def test_nothing_to_report_on_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"no metrics\.json"):
        rewrite(tmp_path, no_news)


@pytest.mark.parametrize("content", ["{}", "[]", '{"bundle": {}}', "{"])
def test_a_broken_account_is_refused(evaluated, content):
    (evaluated / "report.json").write_text(content)
    with pytest.raises(ConfigError, match=r"report\.json"):
        rewrite(evaluated, no_news)


def test_figures_that_belong_to_nothing_are_refused(evaluated):
    (evaluated / "report.json").unlink()
    with pytest.raises(ConfigError, match="or a bundle"):
        rewrite(evaluated, lambda line: None)


def test_a_broken_log_is_refused_without_its_text(own_demo):
    place = own_demo / "run" / "jailbreak"
    (place / "report.json").unlink()
    (place / "history.jsonl").write_text('{"loss": 1}\nsecret words\n')
    with pytest.raises(ConfigError, match=r"history\.jsonl") as caught:
        rewrite(place, lambda line: None)
    assert "secret" not in str(caught.value)


def test_whether_data_is_shown_is_kept(tmp_path):
    write_evaluated(tmp_path, account("pii", reveal=True))
    assert json.loads((tmp_path / "report.json").read_text())["revealed"] is True
    rewrite(tmp_path, no_news)
    assert "pass this page on with care" in (tmp_path / "report.html").read_text()
