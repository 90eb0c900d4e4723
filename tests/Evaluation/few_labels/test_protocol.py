"""Few-label regression: what it sees, what it reports, and what its folder refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from configs import FewLabels
from datasets.rated.sets import RatedImage, RatedSet
from Evaluation.few_labels.protocol import LabelledFeatures, LabelRow, evaluate, summarise
from Evaluation.few_labels.report import PUBLISHED, result_lines, settings_of
from Evaluation.few_labels.ridge import fit_ridge
from Evaluation.few_labels.splits import draw_splits
from Evaluation.reports.tables import check_folder
from utils.errors import UserError

SETTINGS = FewLabels(n_labels=(10, 30), splits=3)


@pytest.fixture
def data():
    """60 images whose MOS follow from 5 of 20 features, and noise."""
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 20)).astype(np.float32)
    mos = 50 + 5 * features[:, :5].sum(1) + random.normal(size=60)
    images = tuple(RatedImage(f"{k:02}.png", Path(), mos=float(m)) for k, m in enumerate(mos))
    return LabelledFeatures(images, features, mos, ())


def test_a_row_is_ridge_on_the_labels_and_correlation_on_the_others(data):
    splits = draw_splits("set", data.images, SETTINGS).splits
    outcomes = evaluate(data, splits, SETTINGS)
    assert [(one.row.n_labels, one.row.split) for one in outcomes] == [
        (count, number) for count in (10, 30) for number in range(3)
    ]
    one, split = outcomes[4], splits[1]
    labelled = [int(name[:2]) for name in split.pool[:30]]
    tested = [int(name[:2]) for name in split.test]
    expected = fit_ridge(data.features[labelled], data.mos[labelled], SETTINGS.alphas)
    scores = expected.predict(data.features[tested])
    np.testing.assert_allclose(one.scores, scores)
    np.testing.assert_array_equal(one.mos, data.mos[tested])
    assert one.names == split.test
    assert one.row.srcc == pytest.approx(stats.spearmanr(scores, data.mos[tested]).statistic)
    assert one.row.plcc == pytest.approx(stats.pearsonr(scores, data.mos[tested]).statistic)
    assert (one.row.alpha, one.row.images, one.row.split_sha256) == (expected.alpha, 12, split.sha256)


def test_the_opinions_of_the_tested_pictures_change_no_prediction(data):
    splits = draw_splits("set", data.images, SETTINGS).splits[:1]
    (before,) = evaluate(data, splits, replace(SETTINGS, n_labels=(30,), standardise=True))
    tested = [int(name[:2]) for name in splits[0].test]
    data.mos[tested] = 0
    data.features[tested[0]] += 100  # nor do features of one tested image change another's
    (after,) = evaluate(data, splits, replace(SETTINGS, n_labels=(30,), standardise=True))
    np.testing.assert_array_equal(before.scores[1:], after.scores[1:])
    assert before.row.alpha == after.row.alpha and before.scores[0] != after.scores[0]


def test_equal_predictions_have_no_correlation(data):
    flat = replace(data, features=np.ones_like(data.features))
    outcomes = evaluate(
        flat,
        draw_splits("set", data.images, SETTINGS).splits,
        replace(SETTINGS, n_labels=(10,), alphas=(1.0,)),
    )
    assert {(one.row.srcc, one.row.plcc) for one in outcomes} == {(None, None)}
    (summary,) = summarise([one.row for one in outcomes])
    assert (summary.splits, summary.srcc, summary.plcc_q1) == (0, None, None)
    assert "undefined: all are equal" in result_lines("set", [one.row for one in outcomes])[1]


def test_too_many_labels_are_said_before_anything_is_computed(data, monkeypatch):
    monkeypatch.setattr("Evaluation.few_labels.protocol.fit_ridge", lambda *_: pytest.fail("computed"))
    with pytest.raises(UserError, match="--n_labels 200: split 0 has 48 images"):
        evaluate(
            data,
            draw_splits("set", data.images, SETTINGS).splits,
            replace(SETTINGS, n_labels=(10, 200), alphas=(1.0,)),
        )


def test_median_and_quartiles_are_over_the_splits():
    rows = [LabelRow(50, k, 0, "", 1.0, 1.0, 20, srcc, srcc / 2) for k, srcc in enumerate((0.1, 0.9, 0.5))]
    (one,) = summarise(rows)
    assert (one.srcc, one.srcc_q1, one.srcc_q3) == pytest.approx((0.5, 0.3, 0.7))
    assert (one.plcc, one.plcc_q1, one.plcc_q3) == pytest.approx((0.25, 0.15, 0.35))


def test_the_published_rows_are_those_of_the_table():
    assert PUBLISHED["CLIVE"]["GRepQ"] == (0.760, 0.791, 0.822)
    assert PUBLISHED["KonIQ-10k"]["CLIP"] == (0.736, 0.770, 0.782)
    assert PUBLISHED["LIVE"]["UniQA"] == (0.963, 0.958, 0.976)
    rows = [LabelRow(50, 0, 0, "", 1.0, 1.0, 20, 0.5, 0.5)]
    assert any("published, not re-run: GRepQ" in line for line in result_lines("CLIVE", rows))
    assert not any("published" in line for line in result_lines("my.csv", rows))


def test_a_folder_of_other_settings_is_not_written_over(data, tmp_path):
    rated = RatedSet("set", data.images)
    known = settings_of(rated, [], SETTINGS, None)
    check_folder(tmp_path / "new", "few_labels", known)
    path = tmp_path / "few_labels.json"
    path.write_text(json.dumps({"settings": known}))
    check_folder(tmp_path, "few_labels", known)
    for changed, word in (
        (settings_of(rated, [], replace(SETTINGS, seed=1), None), "seed"),
        (settings_of(replace(rated, images=data.images[1:]), [], SETTINGS, None), "scores_sha256"),
        (settings_of(rated, [], SETTINGS, draw_splits("set", data.images, SETTINGS)), "split_file_sha256"),
    ):
        with pytest.raises(UserError, match=rf"result of other settings \(.*{word}.*--output"):
            check_folder(tmp_path, "few_labels", changed)
    path.write_text("{}")
    with pytest.raises(UserError, match="is no result of this script"):
        check_folder(tmp_path, "few_labels", known)
    with pytest.raises(UserError, match="is a file"):
        check_folder(path, "few_labels", known)
