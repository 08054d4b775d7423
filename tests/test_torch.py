"""PyTorch's files, with PyTorch as the oracle where it is installed."""

import importlib.util
import io
import pickle
import subprocess
import sys
import zipfile

import ml_dtypes
import numpy as np
import pytest

from hecli.errors import DataError, FormatError, HecliError
from hecli.formats.tensors import torch as own
from hecli.formats.tensors.files import FORMATS, open_tensors
from hecli.formats.tensors.specs import TensorSpec
from tests.test_tensors import FLOATS, INTEGERS, same, saved, values

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


def written(content):
    import torch

    out = io.BytesIO()
    torch.save(content, out)
    out.seek(0)
    return out


def archive():
    """What looks like a PyTorch file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("model/data.pkl", pickle.dumps({"a": 1}))
    out.seek(0)
    return out


def test_without_pytorch_its_files_say_what_is_missing(monkeypatch, place, fails):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(HecliError, match=r"file: \.pt files need a package") as caught:
        open_tensors(archive(), "file")
    assert caught.value.hint == "pip install 'hecli[torch]'"
    (place / "model.pt").write_bytes(archive().getvalue())
    fails("encrypt", "model.pt", says="model.pt: .pt files need", hint="pip install 'hecli[torch]'")
    with pytest.raises(HecliError, match="the output: "):
        saved("torch", {"a": np.ones(3)})


def test_an_old_pytorch_is_not_trusted(monkeypatch):
    class Old:
        __version__ = "2.5.1+cpu"

    monkeypatch.setitem(sys.modules, "torch", Old)
    with pytest.raises(HecliError, match=r"PyTorch 2\.5\.1\+cpu can be made to run code"):
        open_tensors(archive(), "file")


def test_archives_are_told_apart_by_what_is_in_them():
    assert own.is_torch(archive())
    assert not own.is_torch(saved("npz", {"data.pkl": np.ones(3)}))
    assert not own.is_torch(io.BytesIO(b"PK\3\4nonsense"))
    with pytest.raises(FormatError, match="npz archive"):
        open_tensors(io.BytesIO(b"PK\3\4nonsense"), "file")


@needs_torch
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, "bfloat16"])
def test_state_dicts_both_ways(dtype):
    import torch

    array = np.arange(12).reshape(3, 4).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    bits = torch.from_numpy(array.view(f"i{array.itemsize}").copy())
    opened = open_tensors(written({"w": bits.view(getattr(torch, dtype)), "b": torch.tensor(2.5)}), "file")
    assert opened.format == "torch"
    assert opened.specs == (TensorSpec("b", "float32", ()), TensorSpec("w", dtype, (3, 4)))
    same(values(opened), {"w": array, "b": np.array(2.5, np.float32)})
    found = torch.load(saved("torch", {"w": array, "none": array[:0]}), weights_only=True)
    assert type(found) is dict
    assert found["w"].dtype == getattr(torch, dtype)
    assert found["none"].shape == (0, 4)
    assert found["w"].untyped_storage().nbytes() == array.nbytes
    assert found["w"].view(bits.dtype).numpy().tobytes() == array.tobytes()


@needs_torch
def test_tensors_out_of_order_views_and_parameters():
    import torch

    base = torch.arange(200_000, dtype=torch.float32).reshape(400, 500)
    state = {"t": base.T, "part": base[3:5, 7:9], "p": torch.nn.Parameter(base)}
    same(
        values(open_tensors(written(state), "file")),
        {key: each.detach().numpy() for key, each in state.items()},
    )


@needs_torch
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda torch: {"a": torch.ones(2), "epoch": 3}, "holds a int under 'epoch'"),
        (lambda torch: {"model": {"a": torch.ones(2)}}, "holds a dict under 'model'"),
        (lambda torch: {3: torch.ones(2)}, "holds a key of type int"),
        (lambda torch: torch.ones(2), "holds a Tensor, not a state dict"),
        (lambda torch: torch.nn.Linear(2, 2), "holds more than tensors"),
        (lambda torch: {"a": torch.ones(2) > 1}, "dtype bool"),
        (lambda torch: {"a": torch.ones(2, 2).to_sparse()}, "tensor a does not hold all its values"),
        (lambda torch: {"a": torch.ones(1).expand(1 << 30)}, "tensor a does not hold all its values"),
        (lambda torch: {"a": torch.ones(2, device="meta")}, "tensor a does not hold all its values"),
        (lambda torch: {"a\nb": torch.ones(2)}, "cannot name a tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused_by_name(content, says):
    import torch

    with pytest.raises((DataError, FormatError), match=says):
        open_tensors(written(content(torch)), "file")


class Harm:
    """What runs code where it is unpickled."""

    def __reduce__(self):
        return print, ("unpickled",)


@needs_torch
def test_nothing_is_unpickled_that_is_no_tensor(capfd):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("model/data.pkl", pickle.dumps(Harm(), 2))
        made.writestr("model/version", "3\n")
    with pytest.raises((DataError, FormatError)):
        open_tensors(out, "file")
    with pytest.raises(FormatError, match="is a pickle, which hecli never loads"):
        open_tensors(io.BytesIO(pickle.dumps(Harm(), 2)), "file")
    assert "unpickled" not in capfd.readouterr().out


@needs_torch
def test_damaged_files_are_refused():
    import torch

    whole = written({"a": torch.ones(1000)}).getvalue()
    for at in (*range(0, 400, 7), *range(len(whole) - 400, len(whole), 7)):
        damaged = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        for data in (damaged, whole[:at]):
            try:
                opened = open_tensors(io.BytesIO(data), "file")
                values(opened)
            except HecliError:
                pass


@needs_torch
def test_a_round_of_a_model_in_pytorch(place, ok):
    import torch

    model = torch.nn.Linear(3, 2)
    torch.save(model.state_dict(), "model.pth")
    for name in "ab":
        torch.save(
            {key: torch.full_like(each, 0.5) for key, each in model.state_dict().items()}, f"{name}.pt"
        )
        ok("encrypt", f"{name}.pt")
    ok("aggregate", "a.enc", "b.enc")
    ok("decrypt", "round.agg")
    ok("apply", "round.sum", "model.pth")
    after = torch.load("model.next.pth", weights_only=True)
    for key, each in model.state_dict().items():
        assert torch.equal(after[key], each - 0.5)
    model.load_state_dict(after)
    ok("apply", "round.sum", "-o", "mean.pt")
    assert torch.load("mean.pt", weights_only=True)["bias"].tolist() == [0.5, 0.5]


@needs_torch
def test_the_order_of_a_file_is_kept():
    import torch

    opened = open_tensors(written({"w": torch.ones(2), "a": torch.ones(3), "m": torch.ones(1)}), "file")
    assert [spec.name for spec in opened.specs] == ["a", "m", "w"]
    out = io.BytesIO()
    FORMATS["torch"].write(out, opened.specs, (opened.read(spec) for spec in opened.specs), opened.metadata)
    out.seek(0)
    assert list(torch.load(out, weights_only=True)) == ["w", "a", "m"]


MEMORY = """
import io, resource, sys
import torch
from hecli.formats.tensors.files import FORMATS, open_tensors
torch.load; torch.save
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1])
before = anonymous()
with open("model.pt", "rb") as stream, open("next.pt", "wb") as out:
    opened = open_tensors(stream, "model.pt")
    FORMATS["torch"].write(out, opened.specs, (opened.read(spec) for spec in opened.specs), opened.metadata)
    print(anonymous() - before)
"""


@needs_torch
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory that is no file's")
def test_memory_does_not_grow_with_the_model(place):
    import torch

    torch.save({"w": torch.ones(40_000_000), "v": torch.ones(3)}, "model.pt")
    grown = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True).stdout
    assert int(grown) < 40_000
    assert torch.load("next.pt", weights_only=True)["w"].sum() == 40_000_000
