"""Encoders as they run fastest: what torch makes of the same images, kept for the next time."""

import gc
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from configs import Settings
from Evaluation.grepq import GRepQ
from models import engine
from models.engine import cache_folder, computing, fastest, paused, run_by_torch

CPU = torch.device("cpu")
pytest.importorskip("openvino", reason="OpenVINO has no package for this machine")


class Small(nn.Module):
    """An encoder of its own weights."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3, 2)

    def forward(self, images):
        maps = self.layer(images).relu()
        return [maps, maps.mean((2, 3))]


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def weighted():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small().eval()


def small(key="small"):
    return fastest(weighted, key, CPU, torch.float32)


def check_like_torch(run, encoder, shapes):
    for shape in shapes:
        images = torch.rand(shape)
        found, expected = run(images), run_by_torch(encoder)(images)
        assert len(found) == len(expected)
        for one, reference in zip(found, expected, strict=True):
            assert one.shape == reference.shape and one.dtype == torch.float32
            torch.testing.assert_close(one, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["low", "inner", "semantic"])
def test_shipped_encoders_see_what_torch_sees_at_any_size(name):
    found, reference = (GRepQ(Settings(branch="low", device="cpu", engine=engine)).encoders
                        for engine in ("fastest", "torch"))  # fmt: skip
    run, expected = (getattr(encoders, f"run_{name}") for encoders in (found, reference))
    for shape in ((1, 3, 96, 96), (7, 3, 96, 96), (1, 3, 97, 251), (1, 3, 500, 333)):
        images = torch.rand(shape)
        for one, other in zip(run(images), expected(images), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("positions", ["none", "interpolate"])
def test_clip_sees_what_torch_sees_and_large_images_pass_in_bands(tiny_clip_file, positions, monkeypatch):
    monkeypatch.setattr("Evaluation.encoders.BAND_PIXELS", 200 * 300)
    settings = Settings(branch="high", device="cpu", clip=str(tiny_clip_file), positions=positions)
    run, expected = (GRepQ(replace(settings, engine=engine)).encoders.run_high
                     for engine in ("fastest", "torch"))  # fmt: skip
    # 64 x 64 is the size that its positional embedding is of.
    for size in ((64, 64), (32, 32), (65, 171), (200, 300), (300, 401)):
        images = torch.rand(1, 3, *size)
        torch.testing.assert_close(run(images)[0], expected(images)[0], rtol=1e-4, atol=1e-4)


def test_scores_are_those_of_torch():
    by = {
        engine: GRepQ(Settings(branch="low", device="cpu", engine=engine)) for engine in ("fastest", "torch")
    }
    for score in ("own", "paper"):
        found, expected = (GRepQ(replace(one.settings, score=score)).score("samples/coffee.jpg").q_low
                           for one in by.values())  # fmt: skip
        assert found == pytest.approx(expected, abs=2e-5)


def test_an_encoder_is_traced_once(own_cache, monkeypatch):
    images = torch.rand(2, 3, 20, 30)
    first = small()(images)
    (kept,) = (own_cache / "grepq").iterdir()
    monkeypatch.setattr(engine, "_traced", lambda encoder, channels: pytest.fail("traced again"))
    for one, again in zip(first, small()(images), strict=True):
        assert torch.equal(one, again)
    with pytest.raises(pytest.fail.Exception, match="traced again"):
        small("other weights")
    assert kept.parent == cache_folder()


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_a_damaged_file_is_made_anew(own_cache, content):
    images = torch.rand(2, 3, 20, 30)
    expected = small()(images)
    (kept,) = (own_cache / "grepq").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert torch.equal(small()(images)[1], expected[1])
    assert len(kept.read_bytes()) == pytest.approx(len(whole), abs=100)  # names in it count on


def test_a_home_that_cannot_be_written_costs_time_alone(own_cache):
    (own_cache / "grepq").write_text("a file where the folder should be")
    check_like_torch(small(), weighted(), [(2, 3, 20, 30)])


def test_torch_is_there_where_openvino_is_not(own_cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(engine, "_openvino", engine._openvino.__wrapped__)
    check_like_torch(small(), weighted(), [(2, 3, 20, 30)])
    assert not list(own_cache.iterdir())


def test_bfloat16_is_near_float32():
    images, settings = torch.rand(4, 3, 96, 96), Settings(branch="low", device="cpu")
    full, short = (GRepQ(replace(settings, precision=precision)).encoders.run_low(images)[0]
                   for precision in ("float32", "bfloat16"))  # fmt: skip
    assert (full - short).abs().max() < 0.02 * full.abs().max()


def test_threads_take_turns(own_cache):
    run, images = small(), [torch.rand(2, 3, 40 + k, 60) for k in range(16)]
    expected = [run(one)[1] for one in images]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(expected, pool.map(lambda one: run(one)[1], images), strict=True):
            assert torch.equal(one, other)


def test_signals_are_survived_when_encoders_are_gone(own_cache):
    runs = [small(str(k)) for k in range(3)]
    while runs:
        runs.pop(0)(torch.rand(1, 3, 20, 30))
        gc.collect()
    received = []
    former = signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert received == [signal.SIGUSR1]


def test_it_pauses_while_an_image_is_measured(own_cache, monkeypatch):
    run, images, order = small(), torch.rand(1, 3, 64, 64), []
    kept = SimpleNamespace(release_memory=lambda: order.append("released"))
    monkeypatch.setattr(engine, "_in_use", [kept])
    monkeypatch.setattr(engine, "_trim", lambda: order.append("trimmed"))
    before = run(images)

    def pause():
        with paused():
            order.append("paused")

    with ThreadPoolExecutor(1) as other:
        with computing:
            waiting = other.submit(pause)
            time.sleep(0.05)
            order.append("measured")
        waiting.result()
    assert order == ["measured", "released", "trimmed", "paused", "trimmed"]
    monkeypatch.undo()
    with paused():
        pass
    for one, again in zip(before, run(images), strict=True):  # with its memory given back
        assert torch.equal(one, again)
