"""tools.export_onnx: graphs that score as the model does, and that need no torch."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.onnx import lines
from configs import VERSION, Settings
from datasets.images import as_image
from Evaluation.extended.view import to_view, view_size
from Evaluation.grepq import GRepQ
from Evaluation.image_sizes import enlarged_size
from Evaluation.onnx_graph import SIZES, compare, make_graph, pattern, traced
from tools.export_onnx import main
from utils.files import file_sha256

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
pytest.importorskip("onnx", reason="pip install onnx onnxruntime")

COFFEE = Path(__file__).resolve().parents[2] / "samples" / "coffee.jpg"
ROUNDED = ((1435, 980), (1134, 1269), (1476, 1080), (95, 300))
COFFEE_PIXELS = np.asarray(Image.open(COFFEE))


def by_torch(**fields):
    return GRepQ(Settings(device="cpu", engine="torch", **fields))


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_clip_file):
    """The graphs of the shipped low-level weights and of a tiny CLIP, as the command writes them."""
    folder, out = tmp_path_factory.mktemp("onnx") / "graphs", io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main([str(folder), "--clip_weights", str(tiny_clip_file)])
    return SimpleNamespace(
        folder=folder, low=folder / "low.onnx", high=folder / "high.onnx", status=status, out=out.getvalue()
    )


def score(graph, image):
    [found] = onnxruntime.InferenceSession(graph).run(None, {"image": image})
    assert found.shape == ()
    return found.item()


def test_both_graphs_are_written_and_compared(made):
    printed = made.out.splitlines()
    assert made.status == 0 and len(printed) == 14
    for k, (height, width) in enumerate(SIZES):
        for line in (printed[1 + k], printed[8 + k]):
            size, graph, model, difference = line.split()
            assert size == f"{width}x{height}" and float(difference) < 1e-5
            assert float(graph) == pytest.approx(float(model), abs=1e-5)
    assert printed[6] == f"{made.low}: {made.low.stat().st_size / 1e6:.1f} MB, GRepQ extended"
    assert made.low.stat().st_size < 60e6
    assert sorted(path.name for path in made.folder.iterdir()) == ["high.onnx", "low.onnx"]


def test_the_low_graph_is_the_model(made):
    model = by_torch(branch="low")
    photo = np.asarray(Image.open(COFFEE).resize((1300, 900)))
    for image, tolerance in ((COFFEE_PIXELS, 1e-5), (photo, 1e-4), (COFFEE_PIXELS[:70, :90], 1e-4)):
        assert score(made.low, image) == pytest.approx(model.score(image).q_low, abs=tolerance)


def test_the_paper_s_low_graph_is_the_model():
    model = by_torch(branch="low", score="paper")
    graph = make_graph(model)
    assert max(row.difference for row in compare(graph, model, SIZES[:-1])) < 1e-5
    assert score(graph, COFFEE_PIXELS) == pytest.approx(model.score(COFFEE).q_low, abs=1e-5)


@pytest.mark.parametrize("positions", ["none", "interpolate"])
def test_the_high_graph_is_the_model(made, positions, tiny_clip_file):
    model = by_torch(branch="high", clip=str(tiny_clip_file), positions=positions)
    graph = made.high.read_bytes() if positions == "none" else make_graph(model)
    assert max(row.difference for row in compare(graph, model, SIZES[:2])) < 1e-5
    assert score(graph, COFFEE_PIXELS) == pytest.approx(model.score(COFFEE).q_high, abs=1e-5)


def test_other_weights_and_statistics_are_in_the_graph(make_model):
    model = make_model(engine="torch")
    image = pattern(150, 250)
    assert score(make_graph(model), image) == pytest.approx(model.score(image).q_low, abs=1e-5)


def test_sizes_in_a_graph_are_those_of_the_model():
    """Of the first four float32 makes other views."""

    def sizes(height, width):
        return *view_size(height, width, Settings()), *enlarged_size(height, width, Settings())

    class Sizes(torch.nn.Module):
        def forward(self, image):
            return torch.stack(sizes(*image.shape[:2]))

    session, rng = onnxruntime.InferenceSession(traced(Sizes(), "sizes")), np.random.default_rng(0)
    for height, width in [*ROUNDED, (1660, 2753), *rng.integers(40, 3000, (100, 2)).tolist()]:
        [found] = session.run(None, {"image": np.zeros((height, width, 3), np.uint8)})
        assert tuple(found) == sizes(height, width)


def test_a_graph_resizes_as_the_model():
    """At the borders too; an image that has the size already stays as it is."""

    class View(torch.nn.Module):
        def forward(self, image):
            pixels = image.permute(2, 0, 1).float() / 255
            return to_view(pixels, pixels.shape[1:], Settings())[0]

    session = onnxruntime.InferenceSession(traced(View(), "view"))
    for height, width in SIZES:
        image = pattern(height, width)
        [found] = session.run(None, {"image": image})
        expected, note = to_view(as_image(image), (height, width), Settings())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 if note else 0)


def test_the_metadata_say_what_the_scores_depend_on(made, tiny_clip_file):
    low, high = (
        onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
        for path in (made.low, made.high)
    )
    assert (low["score"], low["output"], low["range"]) == ("GRepQ extended", "q_low", "(0, 0.5]")
    assert (high["output"], high["range"], high["clip_sha256"]) == (
        "q_high",
        "(0, 1)",
        file_sha256(tiny_clip_file),
    )
    model = by_torch(branch="low").load()
    assert low["low_level_sha256"] == model.encoders.low.sha256
    assert low["semantic_sha256"] == model.encoders.semantic.sha256
    assert low["pristine_sha256"] == model.pristine.patches_sha256
    for metadata in (low, high):
        assert (metadata["version"], metadata["direction"]) == (VERSION, "higher is better")
        assert json.loads(metadata["settings"])["patch_size"] == 96


def test_a_graph_that_differs_is_not_written(run_script, monkeypatch, tmp_path, tiny_clip_file):
    monkeypatch.setattr("Evaluation.onnx_graph.TOLERANCE", -1.0)
    status, _, err = run_script(
        "tools.export_onnx", tmp_path, "--branch", "high", "--clip_weights", tiny_clip_file
    )
    assert status == 1 and not [*tmp_path.iterdir()]
    assert f"{tmp_path / 'high.onnx'}: is not written; at 60x20 it differs" in err.splitlines()[-1]


def test_patches_too_small_for_a_graph(run_script, tmp_path):
    status, _, err = run_script("tools.export_onnx", tmp_path, "--branch", "low", "--patch_size", 48)
    expected = "A graph of the extended score takes a patch size of 64 or more."
    assert (status, err.splitlines()[-1]) == (2, expected)


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_missing_packages_are_named(run_script, monkeypatch, tmp_path, name):
    monkeypatch.setitem(sys.modules, name, None)
    status, _, err = run_script("tools.export_onnx", tmp_path, "--branch", "low")
    assert (status, err.splitlines()[-1]) == (
        2,
        f"The package {name} is missing: pip install onnx onnxruntime",
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment of its own that has onnxruntime, numpy and Pillow alone."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / Path(sys.executable).name
    words = ["--python", python, "install", "--quiet", "--no-compile", "onnxruntime", "numpy", "pillow"]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True)
    if done.returncode and any(words in done.stderr for words in ("No matching distribution", "onnection")):
        pytest.skip(f"pip reaches no index with onnxruntime: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(folder=folder, python=python)


def run(python, code, folder):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )


def test_the_lines_of_the_readme_need_no_torch(bare, made, record_property):
    (bare.folder / "samples").mkdir()
    shutil.copy(COFFEE, bare.folder / "samples")
    shutil.copytree(made.folder, bare.folder / "graphs")
    assert "No module named 'torch'" in run(bare.python, "import torch", bare.folder).stderr
    places = run(bare.python, "import sysconfig; print(sysconfig.get_path('purelib'))", bare.folder)
    files = [path for path in Path(places.stdout.strip()).rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    started = time.perf_counter()
    done = run(bare.python, lines(), bare.folder)
    cold = time.perf_counter() - started
    print(f"site-packages {size:.0f} MB, cold start {cold:.2f} s")
    record_property("site_packages_MB", size)
    record_property("cold_start_s", cold)
    assert done.returncode == 0, done.stderr
    expected = by_torch(branch="low").score(COFFEE).q_low
    assert float(done.stdout) == pytest.approx(expected, abs=1e-4)
    assert size < 200
    assert len(lines().splitlines()) <= 10
