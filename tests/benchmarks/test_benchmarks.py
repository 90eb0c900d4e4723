"""The reference computes what the model does, and the table says what was timed."""

import json
from pathlib import Path

import pytest

from benchmarks import gpu, reference
from benchmarks.__main__ import BENCHES, main
from benchmarks.timing import Row
from configs import Settings, Synthesis
from Evaluation.grepq import GRepQ

COFFEE = Path("samples") / "coffee.jpg"


def test_the_reference_gives_the_papers_score():
    model = GRepQ(Settings(branch="low", device="cpu", score="paper"))
    found = reference.paper_low(COFFEE, reference.low_level(), model.pristine.statistics)
    assert found == pytest.approx(model.score(COFFEE).q_low, abs=2e-5)


def test_a_row_has_the_ratio_of_medians_and_its_spread_over_the_turns():
    row = Row("work", "other", [4.0, 6.0, 9.0], [2.0, 2.0, 4.5], remark="twice")
    assert row.cells() == ("work (twice)", "other: 6 s", "2 s", "3 [2, 3]")
    assert Row("work", "", [], [1.5], "GiB").cells() == ("work", "-", "1.5 GiB", "-")


def test_a_bench_prints_its_rows_and_leaves_all_times(tmp_path, capsys, monkeypatch):
    rows = [Row("one", "other", [2.0, 4.0], [1.0, 1.0]), Row("two", "", [], [3.0], "GiB")]
    monkeypatch.setattr("benchmarks.fsim.rows", lambda img_dir: iter(rows))
    assert main(["--only", "fsim", "--json", str(tmp_path / "bench.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("processor ") and "openvino" in lines[0]
    assert lines[3:] == ["| fsim | one | other: 3 s | 1 s | 3 [2, 4] |", "| fsim | two | - | 3 GiB | - |"]
    kept = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert [(row["bench"], row["reference"], row["here"]) for row in kept] == [
        ("fsim", [2.0, 4.0], [1.0, 1.0]), ("fsim", [], [3.0]),
    ]  # fmt: skip


def test_every_bench_is_a_module():
    for name in BENCHES:
        assert (Path("benchmarks") / f"{name}.py").is_file()
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])


def test_what_a_gpu_must_show_runs_on_a_processor(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "CHUNKS", (64,))
    monkeypatch.setattr(gpu, "SAMPLES", 1)
    monkeypatch.setattr(gpu, "SET", Synthesis(crops=1, crop_size=100, kinds=("jpeg",), levels=(0.4, 0.8)))
    monkeypatch.setattr(
        gpu, "LOW", ("batch_size=4", "versions=3", "fragments_per_side=1", "fragment_size=64")
    )
    monkeypatch.setattr(gpu, "HIGH", ("batch_size=4", "group_size=2", "crop=64"))
    assert gpu.main(["--device", "cpu", "--images", "2", "--epochs", "1"]) == 0
    out = capsys.readouterr().out
    assert "float32: features differ by" in out
    assert out.count("images of 500 x 500 a second") == 2
    assert "low-level training, 1 processes: " in out and "high-level training, 1 processes: " in out


def test_a_gpu_that_sees_something_else_is_told(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "MOST_FEATURES", -1.0)
    monkeypatch.setattr(gpu, "SAMPLES", 1)
    assert not gpu.parity("cpu", "float32")
