"""The page of a collection in a browser: by mouse and keyboard, wide and narrow, light and dark."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from Evaluation.collection.explain import Explained
from Evaluation.collection.maps import QualityMap
from Evaluation.collection.page import MOST_SHOWN, common_folder, page, shown, side_of
from Evaluation.collection.rows import Row

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed (Debian: chromium-driver)"
)
TWICE = "sub/<b>&twice\"'.png"


def made(count, side=None, seed=0):
    """Rows of scores and what explains them, as a run has them; image number 3 has the best score."""
    rng = np.random.default_rng(seed)
    rows, explained = [], []
    for k in range(count):
        name = f"photos/{TWICE if k == 1 else f'image{k}.jpg'}"
        score = 0.49 if k == 3 else round(float(rng.uniform(0.01, 0.45)), 4)
        row = Row(name, 600 + k, 400, score, None, None, "ok", "viewed at 10x10" if k == 2 else "")
        copy = Image.fromarray(rng.integers(0, 256, (60, 90, 3), np.uint8))
        if side:
            copy = copy.resize((side, side * 2 // 3))
        middles = (np.arange(8) + 0.5) / 8
        found = QualityMap(
            rng.random((8, 8)) * 25, rng.random((8, 8)) * 1.6, middles, middles, (("blur", 0.5),)
        )
        rows.append(row)
        explained.append(Explained(row, copy, found))
    rows.insert(2, Row("photos/broken.png", None, None, None, None, None, "failed", "is damaged <script>"))
    return rows, explained


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    rows, explained = made(30)
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page("Image quality", ["31 images: 30 scored."], rows, explained, "Q_low"))
    return path, rows


def test_a_page_of_a_thousand_noisy_images_is_under_5_mb():
    rows, explained = made(MOST_SHOWN, side_of(range(MOST_SHOWN)))
    text = page("Image quality", [], rows, explained, "Q_low")
    assert len(text.encode()) < 5e6 and text.count("data:image/webp") == 3 * MOST_SHOWN


def test_names_and_reasons_are_escaped():
    rows, explained = made(3)
    text = page("Image quality", [], rows, explained, "Q_low")
    assert "is damaged &lt;script&gt;" in text and "<b>" not in text and "damaged <script>" not in text


def test_of_more_images_the_best_the_worst_and_some_that_failed_are_shown():
    rows, _ = made(3000)
    chosen = shown(rows)
    scores = sorted(row.score for row in rows if row.ok)
    own = [row.score for row in chosen if row.ok]
    assert len(chosen) == MOST_SHOWN - 1 and sum(not row.ok for row in chosen) == 1
    assert sorted(own) == scores[:499] + scores[-499:]
    assert chosen == [row for row in rows if row in chosen]


def test_both_branches_have_their_columns():
    row = Row("a.png", 9, 9, 0.25, 0.5, 0.75, "ok", "")
    failed = Row("b.png", None, None, None, None, None, "failed", "is empty")
    text = page("Image quality", [], [row, failed], [], "Q")
    assert ">Q_low<" in text and ">Q_high<" in text
    numbers = re.findall(r'<td class="number"[^>]*>([^<]*)</td>', text)
    assert numbers == ["0.7500", "0.2500", "0.5000", "", "", ""]


def test_a_name_is_the_same_in_the_table_and_over_its_picture():
    rows, explained = made(2)
    row = replace(rows[0], image=os.fsdecode(b"caf\xe9/a\xff.png"))
    other = replace(rows[1], image=os.fsdecode(b"caf\xe9/b.png"))
    text = page("Image quality", [], [row, other], [replace(explained[0], row=row)], "Q_low")
    text.encode()  # no surrogates
    assert r">a\xff.png<" in text and r'"name": "a\\xff.png"' in text and r"All in caf\xe9/<" in text


def test_the_folder_in_common():
    assert common_folder(["a/b/c.png", "a/b/d/e.png"]) == "a/b/"
    assert (
        common_folder(["a.png", "b/c.png"]) == common_folder(["/a.png", "b.png"]) == common_folder([]) == ""
    )


class InBrowser:
    """The page as a person uses it."""

    def __init__(self, driver, width, scheme):
        self.driver, self.width, self.scheme = driver, width, scheme

    def open(self, path, width=None):
        width = width or self.width
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500,
        })  # fmt: skip
        self.driver.get(Path(path).as_uri())

    def all_of(self, selector):
        return self.driver.find_elements("css selector", selector)

    def text(self, selector):
        return self.all_of(selector)[0].text

    def visible(self):
        """Names in the rows that are shown, in their order."""
        rows = [row for row in self.all_of("#rows tbody tr") if row.is_displayed()]
        return [row.find_elements("css selector", "td")[0].text for row in rows]

    def press(self, *keys):
        self.driver.switch_to.active_element.send_keys(*keys)

    def script(self, code):
        return self.driver.execute_script(f"return {code}")

    def is_open(self):
        return self.all_of("dialog")[0].is_displayed()


@pytest.fixture(
    scope="module", params=[(1400, "light"), (390, "dark")], ids=["wide and light", "narrow and dark"]
)
def browser(request):
    webdriver = pytest.importorskip("selenium.webdriver")
    width, scheme = request.param
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    # Nothing may be fetched.
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {
        "offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0,
    })  # fmt: skip
    yield InBrowser(driver, width, scheme)
    driver.quit()


@pytest.fixture
def opened(browser, written):
    """The page just opened; at the end its console must be empty."""
    browser.open(written[0])
    yield browser
    assert browser.driver.get_log("browser") == []


@needs_browser
def test_all_is_there_at_first_sight(opened):
    assert opened.script("document.documentElement.scrollWidth") <= opened.width
    assert opened.script("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if opened.scheme == "light" else "rgb(22, 22, 22)"
    )
    assert opened.script(
        "[...document.images].every(image => !image.src || image.complete && image.naturalWidth > 0)"
    )
    ends = [one.text for one in opened.all_of("ol.ends li")]
    assert len(ends) == 20 and ends[10] == "0.4900 image3.jpg"  # the best come after the worst
    assert "All in photos/" in opened.text("body") and len(opened.visible()) == 31
    assert TWICE in opened.visible() and "is damaged <script>" in opened.text("tr.failed")
    for _ in range(2):  # failed rows come last by pixels too
        opened.all_of("#rows thead button")[2].click()
        assert opened.visible()[-1] == "broken.png"


@needs_browser
def test_nothing_is_out_of_sight_or_too_small_to_read(opened):
    assert opened.script(
        "[...document.querySelectorAll('.wide')].every(one => one.scrollWidth <= one.clientWidth)"
    )
    parts = opened.all_of("svg, svg text, #rows thead button, tr.failed td, #rows tr:nth-child(4) td")
    shown = [one for one in parts if one.is_displayed()]
    assert len(shown) > 20 and all(one.rect["x"] + one.rect["width"] <= opened.width for one in shown)
    assert min(one.rect["height"] for one in opened.all_of("svg text")) > 11
    assert min(one.rect["width"] for one in shown if one.tag_name == "td") > 40
    words = [one.text for one in opened.all_of("#rows tr:nth-child(4) td, tr.failed td") if one.text]
    assert words == [
        "broken.png", "is damaged <script>", "image2.jpg", opened.text("#rows tr:nth-child(4) .number"),
        "602\u00d7400", "blur 0.5", "viewed at 10x10",
    ]  # fmt: skip


@needs_browser
def test_where_an_image_looks_distorted(opened):
    from selenium.webdriver import ActionChains

    opened.all_of("ol.ends button")[10].click()
    assert opened.text("#one-name") == "image3.jpg"
    assert opened.text("#one-words") == "Q_low 0.4900; looks like blur 0.5 (of 1)"
    heat = opened.all_of(".heat")[0]
    assert heat.is_displayed() and heat.size == opened.all_of(".copy")[0].size
    assert opened.script("document.querySelector('.heat').naturalWidth") == 32
    assert heat.size["width"] / heat.size["height"] == pytest.approx(603 / 400, rel=0.02)
    first = heat.get_attribute("src")
    opened.all_of("#which input")[1].click()
    assert heat.get_attribute("src") != first and opened.text("#most") == "25 and more"
    assert "grayscale" in opened.all_of(".copy")[0].value_of_css_property("filter")
    opened.all_of("#which input")[0].click()
    assert not heat.is_displayed()
    assert opened.all_of(".copy")[0].value_of_css_property("filter") == "none"
    box = opened.script("document.querySelector('dialog').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0 and box["right"] <= opened.width
    mouse = ActionChains(opened.driver)
    mouse.move_to_element_with_offset(opened.all_of("dialog")[0], 3 - box["width"] // 2, 0).click().perform()
    assert opened.is_open()  # a click beside the picture
    opened.all_of(".close")[0].click()
    assert not opened.is_open()


@needs_browser
@pytest.mark.parametrize("width", [360, 390, 1400])
def test_a_picture_and_its_map_have_its_shape(browser, tmp_path, width):
    shapes = [(800, 1200), (300, 2048), (2048, 300), (600, 400)]
    _, explained = made(len(shapes))
    explained = [
        replace(one, row=replace(one.row, width=shape[0], height=shape[1]))
        for one, shape in zip(explained, shapes, strict=True)
    ]
    rows = [one.row for one in explained]
    (tmp_path / "page.html").write_text(page("Image quality", [], rows, explained, "Q_low"))
    browser.open(tmp_path / "page.html", width)
    for place, (across, down) in enumerate(shapes):
        browser.script(f"show({place})")
        copy, heat = (browser.all_of(selector)[0].rect for selector in (".copy", ".heat"))
        assert copy == heat and copy["width"] > 60
        # In whole pixels.
        assert copy["height"] == pytest.approx(copy["width"] * down / across, rel=0.01, abs=1)
        assert browser.script("find('dialog').scrollWidth <= find('dialog').clientWidth")


@needs_browser
def test_the_keyboard_is_enough(opened, written):
    from selenium.webdriver.common.keys import Keys

    ranked = sorted((row for row in written[1] if row.ok), key=lambda row: row.score)
    names = [row.image.removeprefix("photos/") for row in ranked]
    opened.script("document.querySelectorAll('#rows thead button')[1].focus()")
    opened.press(Keys.ENTER)
    assert opened.visible()[0] == names[0] and opened.visible()[-1] == "broken.png"
    opened.press(Keys.ENTER)
    assert opened.visible()[0] == names[-1] == "image3.jpg" and opened.visible()[-1] == "broken.png"
    assert opened.all_of("#rows thead th")[1].get_attribute("aria-sort") == "descending"
    opened.script("document.querySelector('#rows tbody button').focus()")
    opened.press(Keys.ENTER)
    assert opened.text("#one-name") == names[-1]
    opened.press(Keys.ARROW_RIGHT)
    assert opened.text("#one-name") == names[-2]
    opened.press(Keys.ESCAPE)
    assert not opened.is_open()


@needs_browser
def test_rows_that_are_asked_for(opened, written):
    from selenium.webdriver.common.keys import Keys

    below = sorted(row.score for row in written[1] if row.ok)[5]
    opened.all_of("#below")[0].send_keys(f"{below:.4f}")
    assert len(opened.visible()) == 5 and opened.text("#count") == "5 of 31 images"
    opened.all_of("#below")[0].send_keys(Keys.CONTROL, "a", Keys.DELETE)
    opened.all_of("#filter")[0].send_keys("DAMAGED")
    assert opened.visible() == ["broken.png"]
