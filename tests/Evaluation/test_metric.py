"""The metric of torchmetrics: the mean of the model's own scores, whatever the batches and processes."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from utils.errors import UserError

torchmetrics = pytest.importorskip("torchmetrics", reason="an optional package")
from Evaluation.metric import GRepQMetric  # noqa: E402 (only where torchmetrics is)

ROOT = Path(__file__).resolve().parents[2]
IMAGES = torch.rand(5, 3, 100, 130, generator=torch.Generator().manual_seed(1))
RANK = """
from pathlib import Path
from torch import distributed
from Evaluation.metric import GRepQMetric
from tests.Evaluation.test_metric import IMAGES
distributed.init_process_group("gloo")
metric = GRepQMetric(branch="low", device="cpu")
for image in IMAGES[:4] if distributed.get_rank() == 0 else IMAGES[4:]:
    metric.update(image)
mean = metric.compute().item()
Path(f"rank{distributed.get_rank()}").write_text(f"{metric.count.item()} {mean}")
distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def whole():
    """A metric of the shipped weights that has all images."""
    metric = GRepQMetric(branch="low", device="cpu")
    metric.update(IMAGES)
    return metric


@pytest.fixture(scope="module")
def expected(whole):
    return np.array([one.q_low for one in whole._held.model.score(IMAGES)])


def test_it_is_the_mean_score(whole, expected):
    assert whole.compute().dtype == torch.float64 and whole.count == 5
    assert whole.compute().item() == pytest.approx(expected.mean(), abs=1e-12)
    assert np.ptp(expected) > 1e-5  # the images differ, so that a mean of some would too
    assert whole.higher_is_better and not whole.is_differentiable and not whole.full_state_update
    assert (whole.plot_lower_bound, whole.plot_upper_bound) == (0, 0.5)


@pytest.mark.parametrize("order", [[4, 2, 0, 3, 1], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("sizes", [[1, 4], [2, 3], [1, 1, 1, 1, 1]])
def test_batches_and_their_order_do_not_matter(whole, order, sizes):
    metric = whole.clone()
    metric.reset()
    for batch in torch.split(IMAGES[order], sizes):
        metric.update(batch[0] if len(batch) == 1 else batch)
    assert metric.compute().item() == pytest.approx(whole.compute().item(), abs=1e-9)


def test_bytes_are_floats_times_255(whole):
    metric, other = whole.clone(), whole.clone()
    metric.reset(), other.reset()
    some = (IMAGES[:1] * 255).to(torch.uint8)
    metric.update(some), other.update(some / 255)
    assert metric.compute().item() == pytest.approx(other.compute().item(), abs=1e-6)


def test_forward_gives_the_batch_and_keeps_the_sum(whole, expected):
    metric = whole.clone()
    metric.reset()
    for start, stop in ((0, 2), (2, 5)):
        assert metric(IMAGES[start:stop]).item() == pytest.approx(expected[start:stop].mean(), abs=1e-9)
    assert metric.compute().item() == pytest.approx(expected.mean(), abs=1e-9)
    metric.reset()
    assert metric.count == 0 and metric.score_sum == 0


def test_no_weights_in_state_and_clones_share_them(whole):
    assert not list(whole.parameters()) and not whole.state_dict() and not list(whole.children())
    assert whole.clone()._held.model is whole._held.model
    assert len(pickle.dumps(whole)) < 20_000


def test_pickle_and_moving(whole, expected):
    copy = pickle.loads(pickle.dumps(whole))
    assert copy.compute().item() == whole.compute().item()
    copy.update(IMAGES[0])
    assert copy.compute().item() == pytest.approx((expected.sum() + expected[0]) / 6, abs=1e-9)
    assert whole.count == 5
    moved = whole.clone().to("meta")
    assert {moved.score_sum.device.type, moved.count.device.type} == {"meta"}
    assert whole.clone().to("cpu").half().compute().dtype == torch.float64


def test_a_model_that_is_there(make_model):
    model = make_model()
    metric = GRepQMetric(model, sync_on_compute=False)
    metric.update(IMAGES[0])
    assert metric.compute().item() == pytest.approx(model.score(IMAGES[0]).q_low, abs=1e-12)
    with pytest.raises(TypeError, match="branch"):
        GRepQMetric(model, branch="low")


def test_what_cannot_be_used_is_said_and_not_counted(whole):
    with pytest.raises(UserError, match="no setting 'brunch'"):
        GRepQMetric(brunch="low")
    metric = whole.clone()
    bad = IMAGES.clone()
    bad[3] += 1
    for images in (bad, IMAGES[:, :2], IMAGES[0, 0]):
        with pytest.raises(UserError):
            metric.update(images)
    assert metric.count == 5


def test_two_processes_give_the_mean_of_all(whole, tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", script]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(call, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = [(tmp_path / f"rank{rank}").read_text().split() for rank in range(2)]
    assert [count for count, _ in found] == ["4", "1"]  # each keeps its own for what comes
    for _, mean in found:
        assert float(mean) == pytest.approx(whole.compute().item(), abs=1e-7)


def test_without_torchmetrics_one_sentence():
    code = (
        "import sys; sys.modules['torchmetrics'] = None\n"
        "import Evaluation\n"
        "try: from Evaluation.metric import GRepQMetric\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "GRepQMetric needs torchmetrics: 'pip install torchmetrics'.\n", done.stderr
