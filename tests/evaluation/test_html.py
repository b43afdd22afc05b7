"""The page says what the figures say, leaves out what is absent, and trusts no text."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from pointsman.core.types import Example, PredictedSpan, Prediction, Span
from pointsman.evaluation.account import Account, visible
from pointsman.evaluation.html import Entry, write_index, write_page
from pointsman.evaluation.mistakes import span_mistakes
from pointsman.evaluation.report import write_markdown
from pointsman.evaluation.sections import sections
from pointsman.evaluation.wording import calibration_note, verdict
from tests.evaluation.accounts import HOSTILE, account

VOID = {"meta", "br", "img", "link"}
ORDER = [
    "figures", "baselines", "operating_point", "calibration", "thresholds", "curves", "confusion",
    "per_class", "per_type", "coverage", "slices", "perturbations", "training", "postprocess",
    "audit", "errors", "mistakes", "cost", "provenance",
]  # fmt: skip


class Page(HTMLParser):
    """The tags of a page and the text between them; tags must nest."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids, self.text = [], [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, *names):
        return [attrs for tag, attrs in self.tags if tag in names]


@pytest.fixture(scope="module", params=["category", "pii", "jailbreak", "intent"])
def whole(request):
    item = account(request.param)
    return item, write_page(item)


def test_a_page_is_whole_and_fetches_nothing(whole):
    _, page = whole
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert not parsed.all("script", "link", "img", "iframe")
    fetched = [v for _, attrs in parsed.tags for k, v in attrs.items() if k in ("src", "href", "xlink:href")]  # fmt: skip
    assert fetched and all(target.startswith("#") for target in fetched)
    assert not re.search(r"url\((?!#)", page) and "@import" not in page
    assert {t[1:] for t in fetched} | set(re.findall(r"url\(#([^)]*)\)", page)) <= set(parsed.ids)


def test_a_page_can_be_read_by_everybody(whole):
    _, page = whole
    parsed = Page(page)
    assert [tag for tag, _ in parsed.tags if re.fullmatch("h[1-6]", tag)][:2] == ["h1", "h2"]
    assert len(parsed.all("h1")) == 1 and not parsed.all("h3", "h4")
    assert all(head.get("scope") in ("col", "row") for head in parsed.all("th"))
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in parsed.all("svg"))
    assert parsed.all("html")[0]["lang"] == "en"
    box = re.search(r"\n\.box \{(.*?)\}", page, re.DOTALL)[1]
    assert "overflow-x: auto" in box and box.count("no-repeat local") == 2, (
        "shades where it goes on"
    )
    assert "width=device-width" in page and "prefers-color-scheme: dark" in page
    # what matplotlib draws in a colour of its own could not be seen in the dark
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert not re.findall(r"#[0-9a-f]{6}\b(?!\")", re.sub(r'(href="#|url\(#)\w+', "", drawn))


def test_every_section_comes_in_the_order_of_reading(whole):
    item, page = whole
    found = [section.key for section in sections(item)]
    assert found == [key for key in ORDER if key in found]
    assert [key for key in ORDER if f'<section id="{key}"' in page] == found
    token, detector = item.meta.task.level == "token", item.meta.task.positive is not None
    absent = {"confusion", "per_class"} if token else {"per_type", "postprocess"}
    absent |= set() if detector else {"thresholds", "curves"}
    assert set(ORDER) - set(found) == absent


def test_the_page_and_the_markdown_say_the_same(whole):
    item, page = whole
    words = " ".join(Page(page).text)
    words = re.sub(r"\s+", " ", words)
    markdown = write_markdown(item)
    for section in sections(item):
        assert f"## {section.title}\n" in markdown and section.title in words
    for number in set(re.findall(r"\d\.\d{4}\b", markdown)):
        assert number in words


def test_what_is_absent_is_left_out():
    item = account("jailbreak")
    bare = Account(item.meta.model_copy(update={"cost": None, "provenance": {}, "recipe": {}, "versions": {}}), {"rows": 3, "accuracy": 1.0}, "x")  # fmt: skip
    page = write_page(bare)
    assert re.findall(r'<section id="(\w+)"', page) == ["figures"]
    assert "<svg" not in page and "not measurable" in page
    assert "compared with no baseline" in page


@pytest.mark.parametrize(
    "key",
    ["intervals", "baselines", "calibration", "operating_point", "curves", "slices",
     "perturbations", "errors", "postprocess", "audit", "per_class", "per_type", "confusion"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["jailbreak", "pii"])
def test_every_part_may_be_absent_or_empty(key, name, monkeypatch):
    monkeypatch.setattr("pointsman.evaluation.html.plots", lambda account: {})
    item = account(name)
    figures = {k: v for k, v in item.figures.items() if k != key}
    for held in (figures, {**figures, key: {}})[: 1 if key == "confusion" else 2]:
        changed = dataclasses.replace(item, figures=held)
        page, markdown = write_page(changed), write_markdown(changed)
        assert f'<section id="{key}"' not in page and markdown


def test_plots_cope_with_what_is_absent():
    from pointsman.evaluation.plots import plots

    item = account("jailbreak")
    assert all(plots(item)[key] for key in ("thresholds", "curves", "slices", "training"))
    bare = dataclasses.replace(item, figures={"rows": 3}, history=[])
    assert not any(plots(bare).values())


def test_the_operating_point_is_marked_and_said():
    from pointsman.evaluation.plots import plots

    item = account("jailbreak")
    drawn, report = plots(item), write_markdown(item)
    assert "operating point 0.730" in drawn["thresholds"][0].svg
    assert [plot.svg.count("operating point, on test") for plot in drawn["curves"]] == [1, 1]
    assert "by the rule fpr=0.01: jailbreak is given from a probability of 0.7300." in report
    assert "50.0% of the test rows are" in report
    item = account("category")
    assert "operating point, on test" in plots(item)["coverage"][0].svg
    report = write_markdown(item)
    assert "accuracy=0.95: below a probability of 0.4200 an answer is unsure." in report
    for point, says in (
        ({**item.figures["operating_point"], "abstain_below": 0.0}, "no answer is unsure."),
        ({"test": item.figures["operating_point"]["test"]}, "No rule chose a threshold"),
    ):
        changed = dataclasses.replace(item, figures={**item.figures, "operating_point": point})
        assert says in write_markdown(changed) and plots(changed)["coverage"]


def test_perturbed_texts_are_told_at_the_threshold_in_use():
    from pointsman.evaluation.plots import plots

    item = account("jailbreak")
    report = write_markdown(item)
    part = report.split("## Perturbed texts")[1].split("\n## ")[0]
    assert "At the threshold in use:" in part
    assert "| as they are | 0.8800 | 0.8500 to 0.9100 | 0.0130 | 0.0070 to 0.0190 |" in part
    assert "| typos | 0.7600 | 0.7300 to 0.7900 | 0.0530 | 0.0430 to 0.0630 |" in part
    labels = [plot.label for plot in plots(item)["perturbations"]]
    assert labels[0].startswith("Recall at the threshold in use")
    assert labels[1].startswith("False positive rate at the threshold in use") and len(labels) == 3
    assert len(plots(account("category"))["perturbations"]) == 1


def test_thresholds_of_types_are_told_with_what_they_give():
    part = write_markdown(account("pii")).split("## Operating point")[1].split("\n## ")[0]
    assert "By type, on test:" in part and "By type, on validation:" not in part
    assert "(only 4 groups)" in part and "Four types have too few spans." in part
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    assert any("| none | 0.9300 | 0.9000 to 0.9600 | 0.8700 |" in line for line in lines)
    assert any("| 0.6000 | 0.9300 |" in line for line in lines)


def test_what_is_to_be_doubted_is_said_everywhere(capsys):
    from pointsman.bundle.card import write_card
    from pointsman.cli.results import show_evaluation, show_operating_point

    item = account("jailbreak")
    point = {**item.figures["operating_point"], "enough": False, "reached": False}
    point |= {"temperature_enough": False, "note": "6 benign rows"}
    after = {
        **item.figures["calibration"]["after"],
        "ece": {"value": 0.1, "low": 0.09, "high": 0.2},
    }
    figures = {**item.figures, "operating_point": point}
    figures["calibration"] = {**item.figures["calibration"], "after": after}
    changed = dataclasses.replace(item, figures=figures)
    meta = item.meta.model_copy(
        update={"operating_point": point, "thresholds": point["threshold"], "metrics": figures}
    )
    show_evaluation(meta, {k: v for k, v in figures.items() if k != "slices"})
    evaluated = " ".join(capsys.readouterr().err.split())
    show_operating_point(item.meta, meta)
    calibrated = " ".join(capsys.readouterr().err.split())
    rose = "Scaling raised the calibration error of these rows, from 0.0800 to 0.1000."
    page = " ".join(" ".join(Page(write_page(changed)).text).split())
    for place in (write_markdown(changed), page, write_card(meta), evaluated, calibrated):
        assert "Too little data for this rule" in place
        assert "do not reach what the rule asks for" in place
        assert "Too little data to tell a temperature" in place
    for place in (write_markdown(changed), page, evaluated):
        assert rose in place
    assert "6 benign rows" in write_card(meta) and "Thresholds: jailbreak 0.73." in write_card(meta)
    plain = write_markdown(item) + write_card(item.meta)
    assert "Too little data" not in plain and "Scaling raised" not in plain


def test_a_rise_within_its_interval_may_be_chance():
    errors = [{"ece": {"value": v, "low": 0.01, "high": 0.05}} for v in (0.02, 0.03)]
    note = calibration_note({"before": errors[0], "after": errors[1]})
    assert note.text.endswith("from 0.0200 to 0.0300, which may be chance.")
    assert calibration_note({"before": errors[1], "after": errors[0]}) is None
    assert calibration_note({"before": {}, "after": errors[0]}) is None


@pytest.mark.parametrize("name", ["pii", "jailbreak"])
def test_hostile_texts_stay_texts(name):
    item = account(name, hostile=True, reveal=True)
    page = write_page(item)
    parsed = Page(page)
    assert not parsed.all("script", "img") and len(parsed.all("style")) == 1
    assert not [attrs for _, attrs in parsed.tags if any(k.startswith("on") for k in attrs)]
    text = "".join(parsed.text)
    assert HOSTILE[0] in text and "49 {%" not in text
    assert "{{ 7 * 7 }}" in text or name != "pii"
    assert not re.search("[\u202e\u2066\u200b\ufeff\x1b]", page)
    assert "U+202E" in text and "U+001B" in text
    assert "<script" not in re.sub(r"\\<", "", write_markdown(item))


def test_masked_is_the_default_and_said():
    text = "Ann Lee lives in Oslo, see ann.lee@example.org"
    gold = [Example(text, spans=(Span(0, 7, "PERSON"),))]
    found = [Prediction("pii", None, 1.0, spans=(PredictedSpan(17, 21, "GPE", "Oslo", 0.9),))]
    item = account("pii")
    pages = {}
    for reveal in (False, True):
        rows = span_mistakes(gold, found, reveal=reveal)
        pages[reveal] = write_page(dataclasses.replace(item, mistakes=rows, revealed=reveal))
    masked = pages[False].split('<section id="mistakes">')[1].split("</section>")[0]
    assert not [word for word in ("Ann", "Oslo", "ann.lee") if word in masked]
    assert '<mark class="asked">[PERSON_1]</mark> lives in <mark>[GPE_1]</mark>' in masked
    assert "Masked:" in masked and "pass this page on with care" not in masked
    shown = pages[True].split('<section id="mistakes">')[1]
    assert '<mark class="asked">Ann Lee <small>PERSON</small></mark>' in shown
    assert "pass this page on with care" in shown


@pytest.mark.parametrize(
    ("word", "tone", "says"),
    [("better", "good", "beats its strongest baseline"), ("no difference", "bad", "does not beat"),
     ("worse", "bad", "is worse than a baseline")],
)  # fmt: skip
def test_the_verdict_is_that_on_the_strongest_baseline(word, tone, says):
    item = account("intent", verdict=word)
    found = verdict(item.figures)
    assert found.tone == tone and says in found.text and "TF-IDF" in found.text
    page = write_page(item)
    assert f'<div class="lead {tone}">' in page and says in page
    emphasised = [line for line in write_markdown(item).splitlines() if "**" in line]
    assert (says in emphasised[0]) == (tone == "bad")


def test_too_few_groups_are_said():
    item = account("intent")
    interval = {"value": 0.9, "low": 0.8, "high": 0.95, "groups": 4, "few": True}
    figures = {**item.figures, "intervals": {item.meta.task.headline: interval}}
    changed = dataclasses.replace(item, figures=figures)
    for report in (write_page(changed), write_markdown(changed)):
        assert "over 4 independent groups of rows" in report
        assert "too few groups for the interval to be trusted" in report


def test_provenance_is_words_and_says_nothing_twice():
    item = account("jailbreak")
    audit = {"leakage": 7, "repaired": 0, "licences": {"mine": "CC-BY-NC-4.0"}, "findings": ["seven rows leak"]}  # fmt: skip
    allowed = {"leakage": 7, "sources": [{"name": "mine", "licence": "CC-BY-NC-4.0"}]}
    provenance = {**item.meta.provenance, "audit": audit, "allowed": allowed, "run": {"data": "49af"}}  # fmt: skip
    recipe = {"sources": [{"name": "mine", "ood": True, "split": None}, {"name": "other"}], "train": {"drop_last": False}}  # fmt: skip
    meta = item.meta.model_copy(update={"provenance": provenance, "recipe": recipe})
    figures = {k: v for k, v in item.figures.items() if k != "audit"}
    report = write_markdown(dataclasses.replace(item, meta=meta, figures=figures, findings=()))
    told, kept = report.split("## Data audit")[1].split("## Provenance")
    assert "**Trained with known leakage: 7 rows" in told and "seven rows leak" in told
    assert "| mine | CC-BY-NC-4.0 |" in told
    assert "audit" not in kept and "allowed" not in kept and "| run.data | 49af |" in kept
    assert "| sources | name mine, ood yes; name other |" in kept
    assert "| train.drop_last | no |" in kept and "{" not in kept and "None" not in kept


def test_slices_are_called_by_what_they_are():
    from pointsman.evaluation.plots import plots

    item = account("jailbreak")
    row = {"rows": 30, "metric": "flagged", "value": 0.5, "flagged": 0.5, "interval": {"low": 0.4, "high": 0.6}}  # fmt: skip
    slices = {"ood-far": {**row, "by": "ood"}, "harmful": {**row, "by": "kept out"}}
    changed = dataclasses.replace(item, figures={**item.figures, "slices": slices})
    report = write_markdown(changed)
    assert "Out-of-distribution sources:" in report and "Kept out of training:" in report
    assert report.count("| share flagged |") == 2, "once as a metric in each row, in no column"
    labels = [plot.label for plot in plots(changed)["slices"]]
    assert labels[0].startswith("Out-of-distribution sources: share flagged, with")
    assert labels[1].startswith("Kept out of training: share flagged, with")


def test_a_page_is_the_same_each_time():
    assert write_page(account("intent")) == write_page(account("intent"))


def test_an_index_leads_to_the_pages():
    items = [account("pii"), account("intent", verdict="worse")]
    page = write_index("mine", "For <b>all</b>", [Entry(items[0], "pii/report.html"), Entry(items[1], None)])  # fmt: skip
    parsed = Page(page)
    assert {a["href"] for a in parsed.all("a")} == {"pii/report.html"}
    text = " ".join("".join(parsed.text).split())
    assert "For <b>all</b>" in text and "is worse than a baseline" in text
    assert "1,372 s, 981 steps" in text and "No page yet" in text
    assert page.count('class="lead good"') == page.count('class="lead bad"') == 1


def test_nothing_unseen_is_left():
    assert visible("a\u202eb\x00\ud800c") == "a⟨U+202E⟩b⟨U+0000⟩⟨U+D800⟩c"
    assert visible("नमस्ते \u200d 👩\u200d🔬\tok\n") == "नमस्ते \u200d 👩\u200d🔬\tok\n"


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_enough_in_both_modes():
    style = re.search(r"<style>(.*?)</style>", write_index("x", "", []), re.DOTALL)[1]
    modes = [dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]  # fmt: skip
    assert len(modes) == 3, "light, dark, paper"
    for mode in modes:
        for name in ("ink", "soft", "link", "bad", "good", "warn"):
            for ground in ("paper", "raised"):
                assert contrast(mode[name], mode[ground]) >= 4.5, (name, ground)
        assert min(contrast(mode["ink"], mode[name]) for name in ("mark", "asked")) >= 4.5
        assert min(contrast(mode[n], mode["paper"]) for n in ("blue", "orange", "green")) >= 3
