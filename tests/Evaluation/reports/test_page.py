"""The page of results: what it says, what it leaves out, and that nothing of it lies elsewhere."""

import base64
import io
import json
import re

import markupsafe
import numpy as np
import pytest
from PIL import Image

from Evaluation.metrics import fit_logistic
from Evaluation.reports.page import page, shown_names
from Evaluation.reports.results import read_result
from Evaluation.reports.thumbnails import thumbnails
from utils.errors import UserError

PROTOCOL = "Protocol: CLIVE, 40 of 1162 images; MOS in [0, 100]."
METRIC = {"name": "srcc", "value": 0.45678, "low": 0.4, "high": 0.5, "note": ""}


def zeroshot(count=40, **more):
    """A result of as many images, whose MOS follow a logistic; the noise grows with the number."""
    score = np.linspace(0.3, 0.5, count)
    noise = np.where(np.arange(count) % 2, 1, -1) * np.arange(count) * 0.4
    mos = 20 + 60 / (1 + np.exp(-(score - 0.4) / 0.03)) + noise
    rows = [
        {"image": f"{n}.png", "q_low": s, "q_high": None, "q": None, "mos": m, "status": "ok"}
        for n, (s, m) in enumerate(zip(score.tolist(), mos.tolist(), strict=True))
    ]
    return {
        "version": "1.2.3", "complete": True, "set": "CLIVE", "protocol": PROTOCOL,
        "opinions": {"kind": "MOS", "native_range": [0, 100]}, "settings": {"patch_size": 96},
        "metrics": [METRIC], "images": rows, **more,
    }  # fmt: skip


def few_labels(**more):
    rows = [
        {"n_labels": n, "split": k, "alpha": 10, "srcc": n / 400 + k / 50, "plcc": 0.5}
        for n in (50, 200)
        for k in range(3)
    ]
    summary = [
        {"n_labels": n, **{f"{name}{part}": n / 400 + step for name in ("srcc", "plcc")
                           for part, step in (("", 0.02), ("_q1", 0.01), ("_q3", 0.03))}}
        for n in (200, 50)
    ]  # fmt: skip
    predictions = [
        {
            "n_labels": n,
            "split": k,
            "image": f"{i}.png",
            "mos": 10.0 * i,
            "score": 9.0 * i + (k == 2) * 500 + n,
        }
        for n in (50, 200)
        for k in range(3)
        for i in range(8)
    ]
    return {
        "kind": "few_labels", "version": "1.2.3", "protocol": PROTOCOL, "settings": {"set": "CLIVE"},
        "rows": rows, "summary": summary, "predictions": predictions, **more,
    }  # fmt: skip


def read(folder, data):
    path = folder / "result.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return read_result(path)


def page_of(folder, data, pictures=None):
    return page([(read(folder, data), pictures or {})])


def captions(text):
    """Number, name, MOS, score and difference of each disagreement, in the page's order."""
    found = re.findall(r"<b>(\d+)</b> (.*?)<br>\S+ (-?[\d.]+), score (-?[\d.]+) \(([+-][\d.]+)\)", text)
    return [(int(n), name, *map(float, numbers)) for n, name, *numbers in found]


def test_figures_and_protocol(tmp_path):
    text = page_of(tmp_path, zeroshot())
    assert "<h2>CLIVE: Q_low, zero-shot</h2>" in text
    assert re.search(r'<th scope="row">SRCC</th><td>0.4568</td><td>\[0.4000, 0.5000\]</td>', text)
    assert PROTOCOL in text
    assert "result.json, version 1.2.3; patch_size 96." in text
    (dots,) = re.findall(r'<g id="dots">(.*?)<g id="curve">', text, re.DOTALL)
    assert dots.count("<use ") == 40
    assert text.count('id="curve"') == 1
    # Colours are those of the page, which follow light and dark.
    assert "var(--dot)" in dots and "#030303" not in text


def test_nothing_lies_elsewhere(tmp_path):
    pictures = dict.fromkeys(shown_names(read(tmp_path, zeroshot())), b"jpeg")
    text = page_of(tmp_path, zeroshot(), pictures)
    places = re.findall(r"""(?:src|href|url|srcset)\s*[=(]\s*["']?([^#"'\s>][^"'\s>]+)""", text)
    assert len(places) == 10
    assert all(place.startswith("data:image/jpeg;base64,") for place in places)
    assert page_of(tmp_path, zeroshot(), pictures) == text  # and not the day on which it was made
    for forbidden in ("<script", "<link", "@import", "http"):
        assert forbidden not in text


def test_the_ten_largest_disagreements_come_in_order(tmp_path):
    data = zeroshot()
    found = captions(page_of(tmp_path, data))
    score, mos = (np.array([row[key] for row in data["images"]]) for key in ("q_low", "mos"))
    mapped = fit_logistic(score, mos).curve(score)
    order = np.argsort(-np.abs(mapped - mos))[:10]
    assert [n for n, *_ in found] == list(range(1, 11))
    assert [name for _, name, *_ in found] == [f"{n}.png" for n in order]
    np.testing.assert_allclose([one[2:] for one in found],
                               np.stack([mos, mapped, mapped - mos], 1)[order], atol=0.051)  # fmt: skip
    assert {np.sign(one[4]) for one in found} == {-1, 1}  # both kinds are among them


def test_text_of_files_is_escaped(tmp_path):
    bad = '<script>alert("1")</script>&'
    data = zeroshot(
        8, protocol=bad, set=bad, settings={bad: bad}, metrics=[{**METRIC, "name": bad, "note": bad}]
    )
    for row in data["images"]:
        row["image"] += bad
    names = [row["image"] for row in data["images"]]
    for pictures in ({}, dict.fromkeys(names, bad), dict.fromkeys(names, b"jpeg")):
        text = page_of(tmp_path, data, pictures)
        assert "<script" not in text
        assert 'alert("1")' not in text
        assert text.count(str(markupsafe.escape(bad))) >= 7
    assert "<script" not in page_of(tmp_path, few_labels(protocol=bad, settings={"set": bad}))


def test_a_picture_that_is_not_there_is_said_in_its_place(tmp_path):
    pictures = {"39.png": b"jpeg", "38.png": "not found", "37.png": "is damaged"}
    text = page_of(tmp_path, zeroshot(), pictures)
    assert text.count("<img") == 1
    assert "No image: is damaged" in text
    assert text.count("No image: not found") == 8


def test_what_is_missing_is_said(tmp_path):
    data = zeroshot(complete=False, opinions={"kind": "DMOS"})
    data["images"][3]["q_low"] = None
    text = page_of(tmp_path, data)
    assert "The run was interrupted." in text
    assert "Without a score, and left out: 1 of 40 images." in text
    assert "39 images: negated DMOS against Q_low." in text


def test_ratings_that_nothing_can_be_fitted_to(tmp_path):
    data = zeroshot(5)
    for row in data["images"]:
        row["q_low"] = 0.25
    text = page_of(tmp_path, data)
    assert "No curve and no disagreements: all scores are equal." in text
    assert "<svg" not in text
    assert "fewer than 5 different scores: straight line" in page_of(tmp_path, zeroshot(4))


def test_few_labels(tmp_path):
    text = page_of(tmp_path, few_labels())
    assert re.findall(r'scope="row">(\d+)</th><td>3</td><td>([\d.]+)</td><td>(.*?)</td>', text) == [
        ("50", "0.1450", "[0.1350, 0.1550]"), ("200", "0.5200", "[0.5100, 0.5300]"),
    ]  # fmt: skip
    labels, scatter = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    (dots,) = re.findall(r'<g id="dots">(.*?)</g>\s*</g>', labels, re.DOTALL)
    assert dots.count("<use ") == 6 and ">50</text>" in labels and ">200</text>" in labels
    assert "8 images: MOS against prediction with 200 labels" in text
    # The median over the splits does not see the one that is 500 off.
    ticks = [float(tick) for tick in re.findall(r">(\d+)</text>", scatter)]
    assert max(ticks) <= 9 * 7 + 200 + 20


def test_few_labels_whose_median_is_undefined(tmp_path):
    data = few_labels(predictions=[])
    for row in data["summary"]:
        row["plcc"] = row["plcc_q1"] = row["plcc_q3"] = None
    text = page_of(tmp_path, data)
    assert "<td>0.1450</td>" in text
    assert "undefined" in text
    assert "holds no scores of single images" in text
    assert text.count("<svg") == 1


@pytest.mark.parametrize("data, reason", [
    ("{", "is not JSON"),
    ("[" * 100000, "is not JSON"),
    ("[]", "is neither a result of test_zeroshot.py nor one of few-label regression"),
    ("{}", "is neither"),
    ({"kind": "other", "rows": []}, "is neither"),
    ({"kind": "few_labels"}, "lacks 'summary'"),
    (few_labels(rows=[{"n_labels": 0, "srcc": 0.1}]), "is damaged"),
    (few_labels(settings=[]), "is damaged"),
    (zeroshot(images=[]), "holds no human scores"),
    (zeroshot(images=[{"image": "a", "q": None, "q_low": 1.0, "q_high": None, "mos": None}]), "no human"),
    (zeroshot(images=[{"image": "a", "mos": 1.0}]), "lacks 'q'"),
    (zeroshot(images=[{"image": "a", "q": float("nan"), "mos": 1.0}]), "nan is no figure"),
    (zeroshot(images=[{"image": "a", "q": 1e300, "mos": 1.0}]), "is no figure"),
    (zeroshot(images=7), "is damaged"),
    (zeroshot(metrics=[7]), "is damaged"),
])  # fmt: skip
def test_other_files_are_refused_in_a_sentence(tmp_path, data, reason):
    with pytest.raises(UserError, match=reason) as raised:
        read(tmp_path, data)
    assert str(raised.value).startswith(f"{tmp_path / 'result.json'}: ")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_result(tmp_path / "gone.json")


def test_thumbnails_are_small_and_found_below(tmp_path):
    deep = tmp_path / "set/Images/part"
    deep.mkdir(parents=True)
    Image.new("RGB", (1000, 500), "red").save(deep / "A.PNG")
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(tmp_path / "grey16.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    names = ["a.png", "part/a.png", "grey16.png", "bad.png", "gone.png", "nul\0.png"]
    found = thumbnails(names, tmp_path)
    opened = [Image.open(io.BytesIO(found[name])) for name in names[:3]]
    assert [(image.format, image.size) for image in opened] == [
        ("JPEG", (320, 160)), ("JPEG", (320, 160)), ("JPEG", (8, 8)),
    ]  # fmt: skip
    assert opened[2].getpixel((4, 4))[0] == pytest.approx(40000 / 257, abs=2)
    assert found["bad.png"] == "is not an image in a format that can be read"
    assert found["gone.png"] == found["nul\0.png"] == "not found"
    assert "--img_dir" in thumbnails(["a.png"], None)["a.png"]


def test_a_picture_is_inside_the_page(tmp_path):
    text = page_of(tmp_path, zeroshot(), {"39.png": b"\xff\xd8jpeg"})
    (uri,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)" alt="39.png"', text)
    assert base64.b64decode(uri) == b"\xff\xd8jpeg"
