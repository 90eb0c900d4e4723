"""Damaged files of weights, statistics, regressors and patches: one sentence that names the file.

Of the low-level weights tests/models/weights/test_low_level.py has cut files, tensors that are missing,
unknown, misshapen, infinite or stored twice, other layouts, and code in a pickle; test_high_level.py beside
it has those of CLIP, tests/Evaluation/test_pristine.py wrong patches and metadata, and
tests/tools/test_regressor.py regressors without a card, too short, or not finite.
"""

import json
import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

from configs import Settings
from Evaluation.few_labels.regressor import Regressor, read_regressor, write_regressor
from Evaluation.pristine_files import read_patches, read_statistics, statistics_beside
from models.weights.high_level import load_clip
from models.weights.low_level import DEFAULT_LOW_LEVEL, load_low_level
from models.weights.semantic import load_semantic
from utils.errors import UserError

COLUMNS = [["semantic", 784]]


@pytest.fixture(scope="module")
def regressor(tmp_path_factory):
    card = {
        "kind": "grepq regressor 1", "version": "1", "set": "s", "names": ["a", "b"], "score_kind": "MOS",
        "mos_range": [0.0, 1.0], "alpha": 1.0, "provenance": {"columns": COLUMNS},
    }  # fmt: skip
    path = tmp_path_factory.mktemp("regressor") / "r.safetensors"
    write_regressor(path, Regressor(np.zeros(784), 0.0, card))
    return path


READERS = {
    "low-level": (load_low_level, lambda regressor: DEFAULT_LOW_LEVEL),
    "statistics": (read_statistics, lambda regressor: statistics_beside(DEFAULT_LOW_LEVEL)),
    "regressor": (read_regressor, lambda regressor: regressor),
}


def parts(content):
    """Header and data of a safetensors file."""
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def with_first(content, **changes):
    """With other words about the largest of the tensors."""
    header, data = parts(content)
    largest = max(
        (key for key in header if key != "__metadata__"), key=lambda k: header[k]["data_offsets"][1]
    )
    header[largest] |= changes
    return joined(header, data)


def renamed(content, suffix):
    header, data = parts(content)
    return joined({key + suffix * (key != "__metadata__"): value for key, value in header.items()}, data)


def with_metadata(content, metadata):
    header, data = parts(content)
    return joined({**header, "__metadata__": metadata}, data)


def all_nan(content):
    header, data = parts(content)
    return joined(header, b"\xff" * len(data))  # NaN in every precision, and -1 of whole numbers


DAMAGES = {
    "empty": lambda whole: b"",
    "cut in the length": lambda whole: whole[:5],
    "cut in the header": lambda whole: whole[:60],
    "cut in the data": lambda whole: whole[:-7],
    "with a tail": lambda whole: whole + b"tail",
    "header longer than the file": lambda whole: struct.pack("<Q", len(whole) * 2) + whole[8:],
    "header of 2^63 bytes": lambda whole: b"\xff" * 7 + b"\x7f" + whole[8:],
    "no JSON": lambda whole: joined(b"{" * 50, parts(whole)[1]),
    "deep JSON": lambda whole: joined(b"[" * 100_000, b""),
    "JSON that is not UTF-8": lambda whole: joined(b'{"\xff": 1}', parts(whole)[1]),
    "a list": lambda whole: joined([1, 2], parts(whole)[1]),
    "nothing in it": lambda whole: joined({}, b""),
    "overlap": lambda whole: with_first(whole, data_offsets=[0, 8]),
    "backwards": lambda whole: with_first(whole, data_offsets=[8, 0]),
    "negative": lambda whole: with_first(whole, data_offsets=[-8, 8]),
    "beyond the end": lambda whole: with_first(whole, data_offsets=[0, 1 << 60]),
    "unknown precision": lambda whole: with_first(whole, dtype="F7"),
    "another precision": lambda whole: with_first(whole, dtype="I8"),
    "huge shape": lambda whole: with_first(whole, shape=[1 << 62, 1 << 62]),
    "negative shape": lambda whole: with_first(whole, shape=[-1, -1]),
    "other names": lambda whole: renamed(whole, "x"),
    "no numbers": all_nan,
    "a web page": lambda whole: b"<!DOCTYPE html><html><title>Quota exceeded</title></html>",
    "a pickle": lambda whole: pickle.dumps({"weights": [1, 2]}),
    "a text": lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "an archive": lambda whole: b"PK\3\4" + bytes(300),
    "zeros": lambda whole: bytes(3000),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", READERS)
def test_damaged_safetensors(tmp_path, regressor, kind, damage):
    read, find = READERS[kind]
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(DAMAGES[damage](find(regressor).read_bytes()))
    refused(read, path)


def refused(read, path):
    with pytest.raises(UserError) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ") and sentence.endswith(".") and "\n" not in sentence, sentence


@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_file(tmp_path, kind):
    refused(READERS[kind][0], tmp_path / "none.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    refused(READERS[kind][0], tmp_path / "folder.safetensors")


@pytest.mark.parametrize("change", [
    {"card": "{"}, {"card": "[]"}, {"card": "7"}, {"card": "null"}, {"card": "NaN"}, {"card": ""},
    {"kind": "other"}, {"kind": None}, {"mos_range": [0]}, {"mos_range": ["a", "b"]}, {"alpha": "much"},
    {"names": 7}, {"provenance": None}, {"provenance": {}}, {"provenance": {"columns": 7}},
    {"provenance": {"columns": [["semantic", "784"]]}}, {"provenance": {"columns": [["semantic"]]}},
    {"provenance": {"columns": [["colour", 784]]}}, {"provenance": {"columns": [[None, 784]]}},
    {"provenance": {"columns": []}}, {"provenance": {"columns": COLUMNS, "precision": "float7"}},
    {"provenance": {"columns": COLUMNS, "patch_size": "wide"}},
    {"provenance": {"columns": COLUMNS, "patch_size": [96]}},
], ids=json.dumps)  # fmt: skip
def test_a_regressor_that_says_nonsense_of_itself(tmp_path, regressor, change):
    card = parts(regressor.read_bytes())[0]["__metadata__"]["card"]
    text = change["card"] if "card" in change else json.dumps({**json.loads(card), **change})
    path = tmp_path / "r.safetensors"
    path.write_bytes(with_metadata(regressor.read_bytes(), {"card": text}))
    refused(read_regressor, path)


@pytest.mark.parametrize("change", [
    {"patch_size": "1e9"}, {"sharpness": ""}, {"photographs": "["}, {"photographs": "7"}, {"format": "1"},
    {"photographs": "null"}, {"photographs": "[" * 100_000},
], ids=lambda change: str(change)[:30])  # fmt: skip
def test_statistics_that_say_nonsense_of_themselves(tmp_path, change):
    whole = statistics_beside(DEFAULT_LOW_LEVEL).read_bytes()
    path = tmp_path / "s.safetensors"
    path.write_bytes(with_metadata(whole, {**parts(whole)[0]["__metadata__"], **change}))
    refused(read_statistics, path)


@pytest.mark.parametrize("change", [
    {"mean": torch.zeros(128, dtype=torch.int64)}, {"mean": torch.zeros(0)}, {"covariance": torch.zeros(128)},
    {"count": torch.zeros(2)}, {"count": torch.tensor(1)}, {"count": torch.tensor(float("nan"))},
    {"covariance": torch.full((128, 128), torch.inf, dtype=torch.float64)},
], ids=lambda change: str({key: tuple(value.shape) for key, value in change.items()}))  # fmt: skip
def test_statistics_of_other_tensors(tmp_path, change):
    whole = statistics_beside(DEFAULT_LOW_LEVEL).read_bytes()
    tensors = {**safetensors.torch.load(whole), **change}
    path = tmp_path / "s.safetensors"
    path.write_bytes(safetensors.torch.save(tensors, parts(whole)[0]["__metadata__"]))
    refused(read_statistics, path)


@pytest.mark.parametrize("kind", [torch.int32, torch.bool, torch.complex64])
def test_weights_that_are_no_floats(tmp_path, kind):
    tensors = safetensors.torch.load_file(DEFAULT_LOW_LEVEL)
    tensors["head.0.weight"] = tensors["head.0.weight"].to(kind)
    for name, save in (("w.safetensors", safetensors.torch.save_file), ("w.pt", torch.save)):
        save(tensors, tmp_path / name)
        with pytest.raises(UserError, match=rf"'head\.0\.weight' holds {kind}, expected floats"):
            load_low_level(tmp_path / name)


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("read", [load_low_level, load_clip, load_semantic, read_statistics, read_regressor])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.tar", "w"])
def test_no_reader_runs_code_or_takes_rubbish(tmp_path, read, name):
    path, trace = tmp_path / name, tmp_path / "trace"
    evil = pickle.dumps({"model": {"state_dict": Trap(trace)}}, protocol=2)
    torch.save({"a": Trap(trace)}, path)
    by_torch = path.read_bytes()
    with zipfile.ZipFile(path, "w") as file:  # as TorchScript, whose code is not run either
        file.writestr("x/constants.pkl", evil)
        file.writestr("x/data.pkl", evil)
    by_script = path.read_bytes()
    page = b"<!DOCTYPE html><html></html>"
    for content in (evil, by_torch, by_script, page, b"", b"\x80", b"PK\5\6" + bytes(18), by_torch[:-40]):
        path.write_bytes(content)
        refused(read, path)
    assert not trace.exists()


def test_damaged_patches(tmp_path):
    path = tmp_path / "patches.hdf5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((9, 3, 96, 96), np.float32)
    whole = path.read_bytes()
    for content in (b"", b"<html>", whole[:8], whole[:2000], whole[:-50_000], bytes(9000)):
        path.write_bytes(content)
        refused(lambda path: list(read_patches(path, Settings())), path)
    for name, value in (("data", "text"), ("data", 7.0), ("other", np.zeros(3))):
        with h5py.File(path, "w") as file:
            file[name] = value
        refused(lambda path: list(read_patches(path, Settings())), path)
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink("/etc/passwd", "data")
    refused(lambda path: list(read_patches(path, Settings())), path)
