"""tools.make_results_page as a user calls it."""

import json

import pytest
from PIL import Image


@pytest.fixture
def call(run_script, monkeypatch, tmp_path):
    """The exit status, what was printed and what was said of a call from `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_script("tools.make_results_page", *arguments)


@pytest.fixture(autouse=True)
def results(tmp_path):
    """Two results of six images, of which one has no file."""
    names = ["caf\udce9.png", *(f"{n}.png" for n in range(5))]
    (tmp_path / "images").mkdir()
    for name in names[1:]:
        Image.new("RGB", (20, 10)).save(tmp_path / "images" / name)
    rows = [
        {"image": name, "q": None, "q_low": n / 10, "q_high": None, "mos": n * n + n % 2, "status": "ok"}
        for n, name in enumerate(names)
    ]
    content = {"version": "1", "protocol": "Protocol: x.", "settings": {}, "metrics": [], "images": rows}
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_a_page_of_two_runs(call, tmp_path):
    status, out, error = call("one.json", "two.json", "--output", "page.html", "--img_dir", "images")
    assert status == 0
    assert out.startswith("page.html: 2 result(s), ")
    assert error == "2 of the images are not shown; the page says why in their places.\n"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "one.json: Q_low, zero-shot</h2>" in text
    assert "two.json: Q_low, zero-shot</h2>" in text
    assert text.count('src="data:image/jpeg;base64,') == 10
    assert "caf\\udce9.png" in text
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_for_each_result(call, tmp_path):
    (tmp_path / "empty").mkdir()
    arguments = (
        "one.json",
        "two.json",
        "--output",
        "page.html",
        "--img_dir",
        "empty",
        "--img_dir",
        "images",
    )
    assert call(*arguments)[0] == 0
    one, two = (tmp_path / "page.html").read_text(encoding="utf-8").split("<section>")[1:]
    assert (one.count("<img"), two.count("<img")) == (0, 5)


@pytest.mark.parametrize("arguments, sentence", [
    (["gone.json", "--output", "p.html"], "gone.json: cannot be read (No such file or directory)."),
    (["images/0.png", "--output", "p.html"], "images/0.png: is not JSON"),
    (["one.json", "--output", "p.pdf"], "p.pdf: a page is written as .html"),
    (["one.json", "--output", "gone/p.html"], "gone/p.html: No such file or directory."),
    (["one.json", "--output", "p.html", "--img_dir", "gone"], "gone: there is no such folder."),
    (["one.json", "--output", "p.html", "--img_dir", "images", "--img_dir", "images"], "2 times for 1"),
    (["one.json"], "the following arguments are required: --output"),
    (["--output", "p.html"], "the following arguments are required: RESULT.json"),
])  # fmt: skip
def test_wrong_input_is_one_sentence_and_2(call, tmp_path, arguments, sentence):
    status, out, error = call(*arguments)
    assert status == 2
    assert out == ""
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("p.*"))
