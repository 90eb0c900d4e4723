"""Few-label regression, features at hand: 10,000 images, 3 numbers of labels, 10 splits, 4 penalties."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.timing import machine
from configs import FewLabels
from datasets.rated.sets import RatedImage
from Evaluation.few_labels.protocol import LabelledFeatures, evaluate, summarise
from Evaluation.few_labels.splits import draw_splits

IMAGES, FEATURES = 10_000, 1152


def main() -> None:
    """Print the seconds that splits, regressions and correlations take together, for both protocols."""
    random = np.random.default_rng(0)
    features = random.standard_normal((IMAGES, FEATURES), np.float32)
    mos = features @ random.standard_normal(FEATURES) / 10 + random.standard_normal(IMAGES)
    images = tuple(RatedImage(f"{k:05}.jpg", Path(), float(m)) for k, m in enumerate(mos))
    data = LabelledFeatures(images, features, mos, ())
    print(f"{IMAGES} images x {FEATURES} features ({machine()})")
    for protocol in ("published", "rest"):
        settings, started = FewLabels(protocol=protocol), time.perf_counter()
        splits = draw_splits("bench", images, settings)
        outcomes = evaluate(data, splits.splits, settings)
        taken = time.perf_counter() - started
        srcc = " ".join(f"{one.srcc:.3f}" for one in summarise([outcome.row for outcome in outcomes]))
        what = f"{settings.n_labels} labels, {settings.splits} splits, {len(settings.alphas)} alphas"
        print(f"{protocol}: {taken:.1f} s for {what}; SRCC {srcc}")


if __name__ == "__main__":
    main()
