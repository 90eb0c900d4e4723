"""The choice of device and precision."""

import pytest
import torch

from models import device as module
from models.device import autocast, choose_device, choose_precision
from utils.errors import UserError


def test_automatic_is_what_the_machine_has():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")
    for name in ("cuda:99", "abacus"):
        with pytest.raises(UserError, match=f"'{name}' is not on this machine"):
            choose_device(name)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags : avx512f avx512_bf16 amx_tile", True),
        ("Features : asimd bf16 i8mm", True),
        ("flags : avx512f avx512bw avx512vl avx512dq", False),  # has AVX-512 but emulates bfloat16
        (None, False),
    ],
)
def test_bfloat16_is_chosen_where_the_processor_has_it(tmp_path, flags, expected):
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor : 0\n{flags}\n")
    assert module._processor_has_bfloat16(cpuinfo) is expected


def test_automatic_precision_follows_the_processor(monkeypatch):
    cpu = torch.device("cpu")
    for has, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(module, "_processor_has_bfloat16", lambda has=has: has)
        assert choose_precision("auto", cpu) == expected
    assert choose_precision("bfloat16", cpu) == torch.bfloat16


def test_autocast_changes_convolutions_only_where_asked():
    layer, x = torch.nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8)
    for precision in (torch.float32, torch.bfloat16):
        with autocast(torch.device("cpu"), precision):
            assert layer(x).dtype == precision


def test_each_process_of_torchrun_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for rank, expected in ((None, "cuda"), ("0", "cuda:0"), ("3", "cuda:1")):
        if rank is not None:
            monkeypatch.setenv("LOCAL_RANK", rank)
        assert str(choose_device("auto")) == expected
