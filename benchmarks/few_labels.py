"""Few-label regression alone, features at hand: 10,000 images, 3 numbers of labels, 10 splits, 4 penalties."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.timing import machine
from configs import FewLabels
from datasets.rated_sets import RatedImage
from Evaluation.few_labels import evaluate, summarise
from Evaluation.labelled_features import LabelledFeatures
from Evaluation.splits import draw_splits

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
        settings, started = FewLabels(protocol=protocol), time.perf_counter()  # type: ignore[arg-type]
        splits = draw_splits("bench", images, settings)
        outcomes = evaluate(data, splits.splits, settings.n_labels, settings.alphas)
        srcc = [f"{one.srcc:.3f}" for one in summarise([outcome.row for outcome in outcomes])]
        counts = ", ".join(map(str, settings.n_labels))
        print(
            f"{protocol}: {time.perf_counter() - started:.1f} s for {counts} labels, {settings.splits} splits, "
            f"{len(settings.alphas)} alphas; SRCC {' '.join(srcc)}"
        )


if __name__ == "__main__":
    main()
