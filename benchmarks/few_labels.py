"""Few-label regression, features at hand: 10,000 images, 3 numbers of labels, 10 splits, 4 penalties."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.timing import Row
from configs import FewLabels
from datasets.rated.sets import RatedImage
from Evaluation.few_labels.protocol import LabelledFeatures, evaluate
from Evaluation.few_labels.splits import draw_splits

IMAGES, FEATURES = 10_000, 1152


def rows(img_dir: Path | None) -> Iterator[Row]:
    """The seconds that splits, regressions and correlations take together, for both protocols."""
    random = np.random.default_rng(0)
    features = random.standard_normal((IMAGES, FEATURES), np.float32)
    mos = features @ random.standard_normal(FEATURES) / 10 + random.standard_normal(IMAGES)
    images = tuple(RatedImage(f"{k:05}.jpg", Path(), float(m)) for k, m in enumerate(mos))
    data = LabelledFeatures(images, features, mos, ())
    for protocol in ("published", "rest"):
        settings, started = FewLabels(protocol=protocol), time.perf_counter()
        evaluate(data, draw_splits("bench", images, settings).splits, settings)
        remark = f"{settings.n_labels} labels, {settings.splits} splits, {len(settings.alphas)} penalties"
        taken = time.perf_counter() - started
        yield Row(f"few labels of {IMAGES} x {FEATURES} features, {protocol}", "", [], [taken], remark=remark)
