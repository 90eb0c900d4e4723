"""torch.hub's door: `torch.hub.load(DIR, "grepq", source="local")` gives `Evaluation.GRepQ`."""

import importlib
import sys
from pathlib import Path
from typing import Any

# What has to be installed; torch.hub names what is missing.
dependencies = ["torch", "numpy", "scipy", "h5py", "PIL", "safetensors", "tqdm"]

_ROOT = Path(__file__).resolve().parent


def grepq(**settings: Any) -> Any:
    """GRepQ as `GRepQ.from_pretrained(**settings)` makes it: low, high, clip, score, device, precision ...

    The names of this project's packages (`datasets`, `models` ...) are those of other people's too: where
    they are imported already, they are put aside while ours are, and stand where they stood afterwards.
    """
    ours = {path.stem for path in _ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}

    def taken() -> dict[str, Any]:
        return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ours}

    aside = taken()
    for name in aside:
        del sys.modules[name]
    sys.path.insert(0, str(_ROOT))
    try:
        return importlib.import_module("Evaluation.grepq").GRepQ.from_pretrained(**settings)
    finally:
        sys.path.remove(str(_ROOT))
        for name in taken():
            del sys.modules[name]
        sys.modules.update(aside)
