"""tools.fit_regressor, predict_quality and cross_dataset as a user calls them."""

import csv
import json

import numpy as np
import pytest
import synthetic_weights
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from Evaluation.few_labels.regressor import read_regressor
from Evaluation.metrics import srcc


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two sets of noisy images, the second with other noise and another range of MOS."""
    folder = tmp_path_factory.mktemp("place")
    random = np.random.default_rng(0)
    for name, count, step, top in (("a", 20, 6, 90), ("b", 12, 9, 5)):
        (folder / name).mkdir()
        lines = ["image,mos"]
        for k in range(count):
            noise = random.normal(size=(64, 64, 3)) * step * k
            Image.fromarray(np.clip(128 + noise, 0, 255).astype(np.uint8)).save(folder / name / f"{k:02}.png")
            lines.append(f"{k:02}.png,{top * (count - k) / count}")
        (folder / name / "scores.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def fit(run_script, place, tmp_path):
    def call(*arguments):
        return run_script("tools.fit_regressor", "--scores", place / "a/scores.csv",
                          "--cache", place / "cache", "--output", tmp_path / "mine.safetensors",
                          *arguments)  # fmt: skip

    return call


@pytest.fixture
def predict(run_script, tmp_path):
    def call(*arguments):
        return run_script("tools.predict_quality", "--regressor", tmp_path / "mine.safetensors", *arguments)

    return call


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_fitted_then_applied(fit, predict, place, tmp_path):
    status, out, err = fit()
    assert status == 0, err
    assert "ridge regression on 20 images of scores.csv, scores 4.5 to 90, higher is better; alpha" in out
    assert "Leave-one-out on its own 20 images: SRCC" in out and out.count("(chosen)") == 1
    status, out, err = predict("--img_dir", place / "b", "--output", tmp_path / "q.csv")
    assert status == 0, err
    assert "Quality by mine.safetensors: ridge regression on 20 images" in out
    rows = table(tmp_path / "q.csv")
    assert list(rows[0]) == ["image", "width", "height", "quality", "status"]
    assert [row["image"] for row in rows] == [f"{k:02}.png" for k in range(12)]
    assert srcc(np.array([float(row["quality"]) for row in rows]), -np.arange(12.0)) > 0.8
    # One image has the same number alone, and the same by hand.
    status, out, _ = predict("--test_img_path", place / "b/03.png")
    assert status == 0
    assert float(out.splitlines()[1].split(",")[3]) == pytest.approx(float(rows[3]["quality"]), rel=1e-4)


def test_a_prediction_outside_the_range_is_kept_and_flagged(fit, predict, place, tmp_path):
    assert fit("--alpha", 1)[0] == 0
    regressor = load_file(tmp_path / "mine.safetensors")
    card = {"card": json.dumps(read_regressor(tmp_path / "mine.safetensors").card)}
    for offset, words in ((1000, "above"), (-1000, "below")):
        moved = {**regressor, "intercept": regressor["intercept"] + offset}
        save_file(moved, tmp_path / "mine.safetensors", card)
        status, _, err = predict("--img_dir", place / "b", "--output", tmp_path / "q.json")
        assert status == 0, err
        content = json.loads((tmp_path / "q.json").read_text())
        first = content["images"][0]
        assert first["status"] == f"ok, {words} the range of the training scores 4.5 to 90"
        assert abs(first["quality"]) > 500
        assert content["complete"] is True and len(content["low_level_sha256"]) == 64


def test_features_of_other_weights_are_refused(fit, predict, place, tmp_path):
    assert fit()[0] == 0
    state = synthetic_weights.low_level_state_dict(0)
    torch.save({"model": {"state_dict": state}}, tmp_path / "low.tar")
    status, _, err = predict("--img_dir", place / "b", "--ll_model_weights_path", tmp_path / "low.tar")
    assert status == 2
    known = read_regressor(tmp_path / "mine.safetensors").card["provenance"]["low_level_sha256"]
    assert f"fitted on features of low-level weights sha256 {known[:12]}, those in use are sha256 " in err
    assert "--ll_model_weights_path" in err.splitlines()[-1]
    status, _, err = predict("--img_dir", place / "b", "--precision", "bfloat16")
    assert status == 2 and "features of precision float32, not bfloat16" in err


def test_what_a_file_says_of_itself(fit, tmp_path):
    assert fit("--features", "low", "low_patches", "--standardise")[0] == 0
    regressor = read_regressor(tmp_path / "mine.safetensors")
    assert regressor.weights.shape == (384,)
    card = regressor.card
    assert card["names"] == [f"{k:02}.png" for k in range(20)]
    assert (card["mos_range"], card["standardise"], card["set"]) == ([4.5, 90], True, "scores.csv")
    assert card["provenance"]["columns"] == [["low", 128], ["low_patches", 256]]
    assert card["alpha"] in card["alphas"] and card["version"]


def test_a_broken_picture_is_a_row(fit, predict, place, tmp_path):
    assert fit()[0] == 0
    (tmp_path / "images").mkdir()
    (tmp_path / "images/broken.png").write_bytes(b"no image")
    (tmp_path / "images/good.png").write_bytes((place / "b/01.png").read_bytes())
    status, out, err = predict("--img_dir", tmp_path / "images")
    assert status == 1
    assert "Without quality: broken.png: is not an image" in err
    broken, good = out.splitlines()[1:3]
    assert broken.startswith("broken.png,,,,is not") and good.startswith("good.png,64,64,")


def test_wrong_files_are_sentences(fit, predict, place, tmp_path):
    assert fit()[0] == 0
    status, _, err = fit()
    assert status == 2 and "mine.safetensors: is there already" in err
    status, _, err = fit("--output", tmp_path / "mine.pkl")
    assert status == 2 and "is written as .safetensors" in err
    path = tmp_path / "mine.safetensors"
    tensors = load_file(path)
    card = json.dumps(read_regressor(path).card)
    for content, metadata, sentence in (
        (tensors, None, "is no regressor of this version; python -m tools.fit_regressor"),
        (tensors, {"card": "{}"}, "is no regressor"),
        ({**tensors, "weights": tensors["weights"][:-1]}, {"card": card}, "are not 128 finite numbers"),
        ({**tensors, "intercept": torch.tensor(float("nan"))}, {"card": card}, "are not 128 finite numbers"),
    ):
        save_file({key: value.contiguous() for key, value in content.items()}, path, metadata)
        status, _, err = predict("--img_dir", place / "b")
        assert status == 2 and sentence in err
    path.unlink()
    status, _, err = predict("--img_dir", place / "b")
    assert status == 2 and "mine.safetensors" in err


def test_a_matrix_of_sets(run_script, fit, place, tmp_path):
    def call(*arguments):
        return run_script("tools.cross_dataset", "--cache", place / "cache", "--output", tmp_path / "m",
                          *arguments)  # fmt: skip

    both = ("--sets", f"first={place / 'a/scores.csv'}", f"second={place / 'b/scores.csv'}")
    status, out, err = call(*both)
    assert status == 0, err
    content = json.loads((tmp_path / "m/cross_dataset.json").read_text())
    cells = [(row["train"], row["test"], row["n_train"], row["n_test"]) for row in content["rows"]]
    assert cells == [
        ("first", "first", 20, 20), ("first", "second", 20, 12),
        ("second", "first", 12, 20), ("second", "second", 12, 12),
    ]  # fmt: skip
    assert table(tmp_path / "m/cross_dataset.csv")[1]["srcc"] == str(content["rows"][1]["srcc"])
    # Training on the first, testing on the second is what fit and predict do.
    assert content["rows"][1]["srcc"] > 0.8
    status, out_fit, _ = fit()
    assert f"SRCC {content['rows'][0]['srcc']:.4f}, PLCC, raw {content['rows'][0]['plcc']:.4f}" in out_fit
    assert f"({content['rows'][0]['srcc']:.4f})" in out and "trained on all of one set" in out
    status, _, err = call(*both, "--alpha", 3)
    assert status == 2 and "holds the result of other settings (alphas)" in err


@pytest.mark.parametrize(("sets", "sentence"), [
    (["a"], "--sets a: expected NAME=FOLDER or NAME=FILE.csv."),
    (["a={}"], "--sets needs two sets or more"),
    (["a={}", "a={}"], "there is a second a"),
    (["a={}", "unknown=folder"], "There is no data set 'unknown'"),
])  # fmt: skip
def test_sets_that_make_no_matrix(run_script, place, sets, sentence):
    status, _, err = run_script(
        "tools.cross_dataset", "--sets", *(text.format(place / "a/scores.csv") for text in sets)
    )
    assert status == 2 and sentence in err


def test_features_of_another_weighting_of_patches_are_refused(fit, predict, place, tmp_path):
    """Such as those of before the middle of an image weighed most, whose cards do not speak of it."""
    file = tmp_path / "mine.safetensors"
    assert fit("--features", "low_patches")[0] == 0
    card = read_regressor(file).card
    assert card["provenance"].pop("centre_deviation") == 0.4
    save_file(load_file(file), file, {"card": json.dumps(card)})
    status, _, err = predict("--img_dir", place / "b")
    assert status == 2
    assert "was fitted on features of centre_deviation None, not 0.4; fit again" in err


def test_other_semantic_weights_are_refused(fit, predict, place, tmp_path):
    file = tmp_path / "mine.safetensors"
    assert fit("--features", "semantic")[0] == 0
    status, out, err = predict("--img_dir", place / "b")
    assert status == 0, err
    assert "features semantic" in out and "semantic weights semantic.safetensors (sha256 " in out
    card = read_regressor(file).card
    assert "low_level_sha256" not in card["provenance"]
    card["provenance"]["semantic_sha256"] = "0" * 64
    save_file(load_file(file), file, {"card": json.dumps(card)})
    status, _, err = predict("--img_dir", place / "b")
    assert status == 2
    assert f"was fitted on features of semantic_sha256 {'0' * 64}, not " in err
