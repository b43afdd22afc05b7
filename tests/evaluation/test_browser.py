"""Pages in a real browser: no error, nothing fetched, and no sideways scrolling on a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

from pointsman.evaluation.html import Entry, write_index, write_page
from tests.evaluation.accounts import account

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
TASKS = ("category", "pii", "jailbreak", "intent")
POLICY = re.compile(r'(<meta http-equiv="Content-Security-Policy" content=")[^"]*">')
# A script that slipped in would run under this policy; what it or a tag fetches is refused aloud.
LOOSE = r"""\1default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">"""
# Pages stand in frames as wide as a phone: windows of a headless browser have a least width.
FRAME = '<iframe style="width:390px;height:844px" srcdoc="{}"></iframe>'
PROBE = """<script>
addEventListener("load", () => {
  document.title = JSON.stringify([...document.querySelectorAll("iframe")].map((frame) => {
    const root = frame.contentWindow.document.documentElement;
    return {
      width: frame.contentWindow.innerWidth,
      wide: Math.max(root.scrollWidth, frame.contentWindow.document.body.scrollWidth),
      plots: frame.contentWindow.document.querySelectorAll("svg").length,
      parsed: frame.contentWindow.document.querySelectorAll("script, img, body style").length,
    };
  }));
});
</script>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium is installed")


def open_pages(pages, place):
    """Open pages side by side; return what the probe saw in each, and what the console said."""
    file = place / "pages.html"
    frames = "".join(FRAME.format(html.escape(page)) for page in pages)
    file.write_text(f'<!doctype html><meta charset="utf-8">{frames}{PROBE}', encoding="utf-8")
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
        "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage",
        f"--user-data-dir={place / 'profile'}", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run(
        [BROWSER, *flags, file.as_uri()], capture_output=True, text=True, timeout=200, check=True
    )
    title = re.search(r"<title>(\[.*?\])</title>", done.stdout)
    assert title, "the probe did not run"
    return json.loads(html.unescape(title[1])), [x for x in done.stderr.split("\n") if "CONSOLE" in x]  # fmt: skip


@pytest.fixture(scope="module")
def pages():
    """Every kind of page, by name."""
    found = {name: write_page(account(name)) for name in TASKS}
    hostile = [account(name, hostile=True, reveal=True, verdict="worse") for name in ("pii", "intent")]  # fmt: skip
    found |= {f"hostile {item.meta.task.name}": write_page(item) for item in hostile}
    entries = [Entry(item, f"{item.meta.task.name}/report.html") for item in hostile]
    return found | {"index": write_index("run", "<script>console.error(1)</script>", entries)}


def test_pages_open_on_a_phone_without_error_or_request(pages, tmp_path):
    strict, loose = list(pages.values()), [POLICY.sub(LOOSE, page) for page in pages.values()]
    assert all(a != b for a, b in zip(strict, loose, strict=True)), "pages have a policy"
    seen, console = open_pages([*strict, *loose], tmp_path)
    assert console == []
    for name, page in zip([*pages, *pages], seen, strict=True):
        assert page["width"] == 390 and page["wide"] <= 390, name
        assert page["parsed"] == 0, name
        assert page["plots"] >= 8 or name == "index", name


def test_the_probe_sees_what_it_looks_for(tmp_path):
    head = '<meta http-equiv="Content-Security-Policy" content="">'
    wide = '<h1>a</h1><div style="width:900px">wide</div><script>console.error("ran")</script>'
    image = '<img src="https://example.org/x.png">'
    (first, second), console = open_pages(
        [POLICY.sub(LOOSE, head + wide), POLICY.sub(LOOSE, head + image)], tmp_path
    )
    assert first["wide"] >= 900 and first["parsed"] == 1 and second["parsed"] == 1
    assert any("ran" in line for line in console)
    assert any("example.org" in line for line in console)
