"""Tensor files, with numpy and safetensors as the oracles."""

import io
import json
import pickle
import warnings
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file, save_file

from hecli.errors import DataError, FormatError
from hecli.formats.tensors.arrays import PIECE, cast, of_arrays, to_arrays
from hecli.formats.tensors.files import FORMATS, open_tensors
from hecli.formats.tensors.specs import TensorSpec
from tests.support import npy, npz

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=5)
names = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=9).filter(
    lambda name: "/" not in name and "\\" not in name
)


def arrays(dtypes):
    return st.sampled_from(dtypes).flatmap(
        lambda dtype: hnp.arrays(dtype, shapes, elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False))
    )


def values(opened):
    """All tensors of an opened file, whole."""
    found = {}
    for spec in opened.specs:
        pieces = list(opened.read(spec))
        assert all(len(piece) == PIECE for piece in pieces[:-1])
        found[spec.name] = np.concatenate([*pieces, np.empty(0, pieces[0].dtype)]).reshape(spec.shape)
    return found


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("=") or found[name].dtype == array.dtype
        assert found[name].tobytes() == array.tobytes() or (found[name] == array).all()


def saved(kind, arrays, metadata=None):
    """Arrays as hecli writes them."""
    specs = tuple(TensorSpec(name, arrays[name].dtype.name, arrays[name].shape) for name in sorted(arrays))
    out = io.BytesIO()
    FORMATS[kind].write(out, specs, (iter([arrays[spec.name].reshape(-1)]) for spec in specs), metadata)
    out.seek(0)
    return out


@given(arrays(FLOATS + INTEGERS))
def test_npy_reads_as_numpy_wrote_it(array):
    same(values(open_tensors(npy(array), "file")), {"arr_0": array})


@given(st.dictionaries(names, arrays(FLOATS), min_size=1, max_size=3), st.booleans())
def test_npz_reads_as_numpy_wrote_it(content, compress):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for name, array in content.items():
            archive.writestr(f"{name}.npy", npy(array).getvalue())
    same(values(open_tensors(stream, "file")), content)


@given(content=st.dictionaries(names, arrays(FLOATS + INTEGERS), min_size=1, max_size=3))
def test_safetensors_reads_as_the_library_wrote_it(tmp_path, content):
    path = tmp_path / "file.safetensors"
    save_file({name: np.ascontiguousarray(array) for name, array in content.items()}, path)
    with path.open("rb") as stream:
        same(values(open_tensors(stream, "file")), content)


@given(st.dictionaries(names, arrays(FLOATS), min_size=1, max_size=3), st.sampled_from(["npz", "tensors"]))
def test_what_is_written_is_read(content, kind):
    opened = open_tensors(saved(kind, content), "file")
    assert opened.format == kind
    same(values(opened), content)


@given(arrays(FLOATS))
def test_numpy_reads_what_hecli_writes(array):
    assert np.load(saved("npy", {"arr_0": array})).tobytes() == array.tobytes()
    with np.load(saved("npz", {"w": array, "v": array})) as file:
        assert file["w"].tobytes() == file["v"].tobytes() == array.tobytes()


@given(content=st.dictionaries(names, arrays(FLOATS), min_size=1, max_size=3))
def test_the_safetensors_library_reads_what_hecli_writes(tmp_path, content):
    path = tmp_path / "file.safetensors"
    path.write_bytes(saved("safetensors", content, {"format": "pt"}).getvalue())
    same(load_file(path), content)
    with path.open("rb") as stream:
        opened = open_tensors(stream, "file")
        assert opened.metadata == {"format": "pt"}
        same(values(opened), content)


def test_bfloat16_goes_through_safetensors_and_tensors(tmp_path):
    array = np.arange(-4, 5, dtype=np.float32).astype(ml_dtypes.bfloat16)
    path = tmp_path / "file.safetensors"
    save_file({"w": array}, path)
    with path.open("rb") as stream:
        opened = open_tensors(stream, "file")
        assert opened.specs == (TensorSpec("w", "bfloat16", (9,)),)
        same(values(opened), {"w": array})
    for kind in ("safetensors", "tensors"):
        path.write_bytes(saved(kind, {"w": array}).getvalue())
        with path.open("rb") as stream:
            same(values(open_tensors(stream, "file")), {"w": array})
    for kind in ("npy", "npz"):
        with pytest.raises(DataError, match="bfloat16"):
            saved(kind, {"w": array})


def test_large_tensors_come_in_pieces():
    array = np.arange(2 * PIECE + 3, dtype=np.float32)
    for stream in (npy(array), npz(arr_0=array), saved("tensors", {"arr_0": array})):
        same(values(open_tensors(stream, "file")), {"arr_0": array})


def test_a_file_can_be_read_twice():
    content = {"a": np.arange(5.0), "b": np.arange(3.0)}
    for kind in ("npz", "tensors"):
        opened = open_tensors(saved(kind, content), "file")
        same(values(opened), content)
        same(values(opened), content)


def test_fortran_order_and_big_endian_are_read():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    for other in (
        np.asfortranarray(array),
        array.astype(">f4"),
        np.asfortranarray(array.astype(">f8")).astype(">f4"),
    ):
        found = values(open_tensors(npy(other), "file"))["arr_0"]
        assert (found == array).all()
    assert open_tensors(npy(array.astype(">f4")), "file").specs[0].dtype == "float32"


def test_names_come_sorted():
    opened = open_tensors(npz(b=np.ones(1), a=np.ones(1), c=np.ones(1)), "file")
    assert [spec.name for spec in opened.specs] == ["a", "b", "c"]


def test_casting_rounds_to_the_dtype():
    assert cast(np.array([1 / 3]), "float16").dtype == np.float16
    assert cast(np.array([1e300]), "float32")[0] == np.inf
    assert cast(np.array([1.0]), "bfloat16").dtype == ml_dtypes.bfloat16


def header_only(text, version=b"\x01\x00"):
    data = text.encode("latin1") + b"\n"
    return b"\x93NUMPY" + version + len(data).to_bytes(2, "little") + data


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
            if name.startswith("twice"):
                archive.writestr(name.replace("__", "."), data)
    return stream.getvalue()


ONE = npy(np.ones(1, np.float32)).getvalue()

UNREADABLE = {
    "empty": (b"", "is empty"),
    "text": (b"hello world, this is text", "not a tensor file"),
    "a pickle": (pickle.dumps({"w": [1.0]}), "is a pickle"),
    "objects": (npy(np.array([None, {}], object)).getvalue(), "Python objects"),
    "a structured dtype": (npy(np.zeros(2, [("a", "f4"), ("b", "f4")])).getvalue(), "cannot be encoded"),
    "complex numbers": (npy(np.ones(2, np.complex64)).getvalue(), "dtype complex64"),
    "booleans": (npy(np.ones(2, bool)).getvalue(), "dtype bool"),
    "strings": (npy(np.array(["a"])).getvalue(), "cannot be encoded"),
    "long doubles": (npy(np.ones(2, np.longdouble)).getvalue(), "dtype"),
    "dates": (npy(np.zeros(2, "M8[s]")).getvalue(), "cannot be encoded"),
    "no values": (npy(np.ones((0, 3), np.float32)).getvalue(), "no values"),
    "a .npy cut short": (ONE[:-1], "calls for 4 bytes"),
    "a .npy too long": (ONE + b"\0", "calls for 4 bytes"),
    "a .npy header cut short": (ONE[:50], ".npy header"),
    "a .npy of version 9": (b"\x93NUMPY\x09\x00" + ONE[8:], ".npy"),
    "a huge shape": (
        header_only("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627775,)}"),
        "bytes of values",
    ),
    "an impossible shape": (
        header_only("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"),
        "impossible shape",
    ),
    "a shape beyond all": (
        header_only("{'descr': '<f4', 'fortran_order': False, 'shape': (9" + "9" * 40 + ",)}"),
        "too many values",
    ),
    "a header that is code": (header_only("__import__('os').system('true')"), ".npy header"),
    "a header of brackets": (header_only("(" * 5000), ".npy header"),
    "a huge Fortran shape": (
        header_only("{'descr': '<f4', 'fortran_order': True, 'shape': (1048576, 1048575)}"),
        "bytes of values",
    ),
    "an empty archive": (zipped(), "holds 0 tensors"),
    "an archive of other things": (zipped(readme__txt="hello"), "not an array"),
    "an archive with a name twice": (zipped(twice__npy=ONE), "two tensors named twice"),
    "an archive with a bad member": (zipped(w__npy=ONE[:-1]), "calls for 4 bytes"),
    "an archive cut short": (zipped(w__npy=ONE)[:-10], "not a sound .npz"),
    "a nameless member": (zipped(__npy=ONE), "cannot name a tensor"),
    "an unprintable name": (zipped(**{"a\x1b[31m__npy": ONE}), "cannot name a tensor"),
    "safetensors cut short": ((1000).to_bytes(8, "little") + b"{}", "not a sound safetensors"),
    "safetensors of junk": ((9).to_bytes(8, "little") + b"{nonsense", "not a sound safetensors"),
}


def safetensors_bytes(header, data):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_said(tmp_path, name):
    data, says = UNREADABLE[name]
    path = tmp_path / "file"
    path.write_bytes(data)
    with path.open("rb") as stream, pytest.raises((FormatError, DataError)) as error:
        open_tensors(stream, "file")
    assert says in error.value.message
    assert "file" in error.value.message


@pytest.mark.parametrize(
    ("header", "data", "says"),
    [
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(7), "sound safetensors"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, bytes(12), "sound safetensors"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4), "sound safetensors"),
        ({"w": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}, bytes(2), "dtype BOOL"),
        ({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, bytes(2), "dtype F8_E4M3"),
        ({}, b"", "0 tensors"),
        ({"w": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}, b"", "no values"),
    ],
)
def test_bad_safetensors_are_refused(tmp_path, header, data, says):
    path = tmp_path / "file.safetensors"
    path.write_bytes(safetensors_bytes(header, data))
    with path.open("rb") as stream, pytest.raises((FormatError, DataError)) as error:
        open_tensors(stream, "file")
    assert says in error.value.message


def test_damage_inside_an_archive_is_found_when_it_is_read():
    data = bytearray(npz(w=np.arange(1000, dtype=np.float32)).getvalue())
    data[600] ^= 1
    opened = open_tensors(io.BytesIO(bytes(data)), "file")
    with pytest.raises(FormatError, match=r"not a sound \.npz"):
        values(opened)


def test_npy_holds_one_tensor():
    with pytest.raises(DataError, match="holds one tensor, here are 2"):
        saved("npy", {"a": np.ones(1), "b": np.ones(1)})


def test_too_many_tensors_are_refused(monkeypatch):
    monkeypatch.setattr("hecli.formats.tensors.specs.TENSOR_LIMIT", 2)
    with pytest.raises(FormatError, match="holds 3 tensors"):
        open_tensors(npz(a=np.ones(1), b=np.ones(1), c=np.ones(1)), "file")


@pytest.mark.parametrize("missing", ["safetensors", "ml_dtypes"])
def test_a_missing_extra_is_said(tmp_path, monkeypatch, missing):
    path = tmp_path / "file.safetensors"
    save_file({"w": np.ones(2, np.float32).astype(ml_dtypes.bfloat16)}, path)
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    with path.open("rb") as stream, pytest.raises(Exception, match="not installed") as error:
        values(open_tensors(stream, "file"))
    assert error.value.hint == "pip install 'hecli[safetensors]'"


def test_safetensors_are_read_from_memory_too():
    content = {"w": np.arange(5, dtype=np.float32)}
    same(values(open_tensors(saved("safetensors", content), "file")), content)


@given(st.dictionaries(names, arrays(FLOATS + INTEGERS), min_size=1, max_size=3))
def test_arrays_in_memory_are_as_good_as_a_file(content):
    same(values(of_arrays(content)), content)
    same(to_arrays(of_arrays(content)), content)
    assert of_arrays(content).specs == open_tensors(saved("tensors", content), "file").specs


def test_what_is_no_array_is_a_wrong_type():
    with pytest.raises(TypeError, match="names of type str, not int"):
        of_arrays({1: np.ones(2)})


class Pipe(io.BytesIO):
    """Bytes that come once, in short reads."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise OSError("a pipe")

    def read(self, size=-1):
        return super().read(min(size, 1000) if size >= 0 else size)


@given(arrays(FLOATS + INTEGERS), st.booleans())
def test_npy_comes_through_a_pipe(array, fortran):
    data = npy(np.asfortranarray(array) if fortran else array).getvalue()
    opened = open_tensors(Pipe(data), "file")
    assert opened.once
    same(values(opened), {"arr_0": array})


def test_a_pipe_with_too_few_or_too_many_values_is_refused():
    data = npy(np.arange(2 * PIECE + 3, dtype=np.float32)).getvalue()
    for wrong, says in ((data[:-1], "ends too early"), (data + b"\0", "has more values than")):
        with pytest.raises(FormatError, match=says):
            values(open_tensors(Pipe(wrong), "file"))


def test_tensors_may_be_asked_for_with_some_left_out_and_again():
    """As with a plan that skips some: each has its own values, wherever others were left unread."""
    arrays = {
        name: np.full(size, at, np.float32)
        for at, (name, size) in enumerate({"a": 3, "m": 70_000, "z": 5}.items())
    }
    given = of_arrays(arrays)
    out = io.BytesIO()
    FORMATS["tensors"].write(out, given.specs, (given.read(spec) for spec in given.specs), None)
    out.seek(0)
    opened = open_tensors(out, "the file")
    for name in ("z", "a", "z", "m", "a", "m"):
        spec = next(each for each in opened.specs if each.name == name)
        found = np.concatenate(list(opened.read(spec)))
        assert np.array_equal(found, arrays[name])
