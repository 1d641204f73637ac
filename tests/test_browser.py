"""The page in a browser: headless Chromium, where there is one."""

import html
import json
import os
import re
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from cxr_runner.report import write
from cxr_runner.report.collected import ImageThumbnail
from cxr_runner.report.write import write_report
from run_trees import write_run
from study_trees import write_study

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(
    BROWSER is None and "CI" not in os.environ, reason="NO BROWSER: the page is not tested; install Debian's chromium"
)

ACT = """
<script>
addEventListener("load", () => {
const box = document.querySelector("#runs [data-tools]");
const headings = [...box.querySelectorAll("thead th")];
const columnOf = (words) => headings.findIndex((th) => th.textContent === words);
const cells = (words) => [...box.querySelectorAll("tbody tr")].filter((row) => !row.hidden)
  .map((row) => row.cells[columnOf(words)].textContent);
const values = () => cells("accuracy").map(Number);
const click = (words) => box.querySelectorAll("thead button")[columnOf(words)].click();
const input = box.querySelector("input");
const seen = { before: values() };
click("accuracy");
seen.ascending = values();
seen.sorted = headings[columnOf("accuracy")].getAttribute("aria-sort");
click("accuracy");
seen.descending = values();
seen.texts = {};
for (const words of ["optimizer", "collapsed"]) {
  const before = cells(words);
  click(words);
  const ascending = cells(words);
  click(words);
  seen.texts[words] = [before, ascending, cells(words)];
}
input.value = "TABLE1_20 sgd";
input.dispatchEvent(new Event("input"));
seen.filtered = values().length;
seen.output = box.querySelector("output").textContent;
seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
seen.broken = [...document.images].filter((image) => !image.complete || !image.naturalWidth).length;
const answer = document.createElement("pre");
answer.id = "seen";
answer.textContent = JSON.stringify(seen);
document.body.append(answer);
});
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_study(root, rows=["0", "1", "2", "7", "17", "20", "22", "23"])  # 7 is made up as collapsed, 17 is Adam
    write_run(root, "<script>document.title='broken'</script>, \n", status={"state": "failed", "error": "<b>"})
    write_report(root, root / "report")
    return root / "report" / "index.html"


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page and let it come to rest."""
    assert BROWSER, "CI must have a browser"
    fixed = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [BROWSER, *fixed, profile, "--virtual-time-budget=3000", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_sorts_filters_and_reports_no_error(page: Path, width: int) -> None:
    acting = page.with_name(f"acting{width}.html")
    text = page.read_text("utf-8")
    assert text.count("</body>") == 1
    acting.write_text(text.replace("</body>", ACT + "</body>"), "utf-8")
    process = browse(acting, "--dump-dom", f"--window-size={width},844")
    assert "CONSOLE" not in process.stderr
    match = re.search(r'<pre id="seen">(.*?)</pre>', process.stdout, re.DOTALL)
    assert match
    seen = json.loads(html.unescape(match[1]))
    assert seen["ascending"] == sorted(seen["before"]) != seen["before"]
    assert seen["descending"] == seen["ascending"][::-1]
    assert seen["sorted"] == "ascending"
    for before, ascending, descending in seen["texts"].values():
        assert ascending == sorted(before)
        assert descending == ascending[::-1] != before
    assert (seen["filtered"], seen["output"]) == (3, f"3 of {len(seen['before'])}")
    assert seen["wide"] <= 0  # only tables and pictures scroll sideways, never the page
    assert seen["broken"] == 0
    assert "<title>Results: cxr_runner</title>" in process.stdout


CHOOSE = """
<script>
addEventListener("load", () => {
const button = document.querySelector(".thumbnail");
const measure = () => [button.querySelector("img").clientWidth, button.getAttribute("aria-expanded")];
const seen = [measure()];
button.click();
seen.push(measure());
button.click();
seen.push(measure());
const answer = document.createElement("pre");
answer.id = "seen";
answer.textContent = JSON.stringify(seen);
document.body.append(answer);
});
</script>
"""


def test_an_image_that_is_chosen_is_shown_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = BytesIO()
    Image.new("L", (200, 200), 90).save(content, "JPEG")
    thumbnail = ImageThumbnail(content.getvalue(), 640, (224, 224))
    monkeypatch.setattr(write, "read_thumbnails", lambda runs, rows: dict.fromkeys(rows, thumbnail))
    write_study(tmp_path, seeds=range(2), rows=["20", "22"], names="patient{}.png")
    write_report(tmp_path, tmp_path / "report")
    acting = tmp_path / "report" / "acting.html"
    text = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "640 px, enlarged from 224 × 224" in text
    acting.write_text(text.replace("</body>", CHOOSE + "</body>"), "utf-8")
    process = browse(acting, "--dump-dom", "--window-size=1280,844")
    assert "CONSOLE" not in process.stderr
    match = re.search(r'<pre id="seen">(.*?)</pre>', process.stdout)
    assert match
    small, large, again = json.loads(match[1])
    assert small == again == [120, "false"]
    assert large[0] > 2 * small[0]
    assert large[1] == "true"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_screenshot_shows_something(page: Path, width: int, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    browse(page, f"--screenshot={picture}", f"--window-size={width},720")
    with Image.open(picture) as image:
        assert image.size == (width, 720)
        assert len(image.convert("L").getcolors(256) or ()) > 50
