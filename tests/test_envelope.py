"""The envelope: one encoding for each file, and every defect its own error."""

import io

import msgpack
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hecli.errors import FormatError, HecliError
from hecli.formats import canonical, envelope
from hecli.formats.canonical import pack, unpack
from hecli.formats.envelope import Section
from hecli.formats.reader import Reader
from hecli.identity.signatures import Identity, signer
from tests.support import encrypted, npz, rewritten

scalars = (
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text()
    | st.binary(max_size=300)
    | st.floats(allow_nan=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
headers = st.dictionaries(st.text(max_size=8), scalars | st.lists(scalars, max_size=4), max_size=6)


def make(header=None, kind="update", size=7, records=(b"1234567", b"abcdefg")):
    out = io.BytesIO()
    sections = [Section.of("lanes", size, len(records))] if records else []
    envelope.write(out, kind, header or {}, sections, records)
    return out.getvalue()


def read(data):
    opened = Reader(io.BytesIO(data), "file")
    sections = [opened.section(each.name) for each in opened.prelude.sections]
    return opened, b"".join(block for section in sections for block in section.blocks(100))


layouts = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 50), st.integers(1, 60)), max_size=4)


@given(headers, layouts, st.data())
def test_what_is_written_is_read(header, layout, data):
    """Sections with chunks of any size, written in pieces of any size, read in any order."""
    sections = [Section(name, *numbers) for name, numbers in zip("abcd", layout, strict=False)]
    contents = [
        data.draw(
            st.binary(min_size=each.record_size * each.records, max_size=each.record_size * each.records)
        )
        for each in sections
    ]
    body = b"".join(contents)
    cut = data.draw(st.integers(0, len(body)))
    out = io.BytesIO()
    digest = envelope.write(out, "sum", header, sections, [body[:cut], b"", body[cut:]])
    opened, found = read(out.getvalue())
    assert (opened.kind, opened.header, opened.digest, found) == ("sum", header, digest, body)
    opened = Reader(out, "file")
    for section, content in reversed(list(zip(sections, contents, strict=True))):
        reader = opened.section(section.name)
        assert b"".join(reader.checked_blocks(7)) == content
        reader.rewind()
        assert reader.read(section.records) == content


def test_a_record_may_be_larger_than_a_chunk_usually_is():
    size = 3 * envelope.CHUNK_SIZE + 1
    records = [bytes([at]) * size for at in range(3)]
    data = make(size=size, records=records)
    opened, found = read(data)
    assert opened.prelude.sections[0].chunk == 1
    assert found == b"".join(records)


def test_chunks_lie_where_the_specification_says():
    count = 2 * envelope.CHUNK_SIZE // 768 + 5
    body = bytes(range(256)) * (3 * count)
    out = io.BytesIO()
    sections = [Section.of("lanes", 768, count), Section.of("control", 5, 1)]
    envelope.write(out, "update", {}, sections, [body, b"12345"])
    per_chunk = envelope.CHUNK_SIZE // 768
    unpacker = msgpack.Unpacker(io.BytesIO(out.getvalue()))
    prelude, header, *chunks, trailer = list(unpacker)
    declared = [["lanes", 768, count, per_chunk], ["control", 5, 1, envelope.CHUNK_SIZE // 5]]
    assert prelude == ["hecli", 2, "update", 1, declared]
    assert header == {}
    assert [len(chunk) // 768 for chunk in chunks[:-1]] == [per_chunk, per_chunk, count - 2 * per_chunk]
    assert chunks[-1] == b"12345"
    assert set(trailer) == {"chunks", "digest", "signatures"}


def containers(value):
    """How many maps and lists there are, and how deep they go."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return 0, 1
    counts = [containers(each) for each in inner]
    return 1 + sum(count for count, _ in counts), 1 + max((depth for _, depth in counts), default=0)


@given(values)
def test_packing_is_canonical(value):
    count, depth = containers(value)
    assume(count <= canonical.MAP_LIMIT and depth <= canonical.DEPTH_LIMIT)
    assert unpack(pack(value), "file", "it") == value


def test_maps_are_sorted_whatever_their_order():
    assert pack({"b": 1, "a": 2}) == pack({"a": 2, "b": 1}) == b"\x82\xa1a\x02\xa1b\x01"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x82\xa1a\x01\xa1a\x01", "same key twice"),
        (b"\x82\xa1b\x01\xa1a\x01", "canonical"),
        (b"\x81\xa1a\xcc\x01", "canonical"),
        (b"\x81\xd9\x01a\x01", "canonical"),
        (b"\x81\xa1a\xca\x3f\x80\x00\x00", "canonical"),
        (b"\x81\xa1a\x01\x00", "not valid msgpack"),
        (b"\x81\x01\x01", "not valid msgpack"),
        (b"\x81\xa1a", "not valid msgpack"),
        (b"\x81\xa1a\xa1\xff", "not valid msgpack"),
        (b"\xc1", "not valid msgpack"),
        (b"\xd4\x05a", "canonical"),
        (b"\x91" * 20 + b"\x01", "nested too deeply"),
        (b"\x91" * 5000 + b"\x01", "msgpack"),
        (b"\xdd\xff\xff\xff\xff", "not valid msgpack"),
    ],
)
def test_other_encodings_are_refused(data, says):
    with pytest.raises(FormatError, match=says):
        unpack(data, "file", "it")


def test_a_file_cut_short_anywhere_is_refused():
    data = make({"plan": {"a": 1}})
    for end in range(len(data)):
        with pytest.raises(FormatError) as error:
            read(data[:end])
        assert "ends too early" in error.value.message
        assert "cut short" in error.value.hint


def test_any_bit_flipped_is_refused():
    data = make({"plan": {"a": 1}, "party": "alice"})
    for at in range(len(data)):
        for bit in range(8):
            altered = bytearray(data)
            altered[at] ^= 1 << bit
            with pytest.raises(FormatError):
                read(bytes(altered))


def test_any_bit_of_a_real_update_flipped_is_refused():
    data = encrypted(npz(w=np.ones(5, np.float32))).getvalue()
    for at in range(0, len(data), 7):
        altered = bytearray(data)
        altered[at] ^= 1 << at % 8
        with pytest.raises(FormatError):
            read(bytes(altered))


def test_bytes_too_many_are_refused():
    with pytest.raises(FormatError, match="1 bytes too many"):
        read(make() + b"\0")


@pytest.mark.parametrize(
    ("prelude", "says"),
    [
        (("hecli", 1, "update", 1, 0, 0), "format version 1"),
        (("hecli", 3, "update", 1, []), "format version 3"),
        (("hecli", 0, "update", 1, []), "format version 0"),
        (("hecli", 2, "novel", 1, []), "unknown kind 'novel'"),
        (("hecli", 2, "update", 0, []), "a header of 0 bytes"),
        (("hecli", 2, "update", 2**40, []), "a header of 1,099,511,627,776"),
        (("hecli", 2, "update", 1, [["a", 768, 2**63, 1365]]), "records of 768"),
        (("hecli", 2, "update", 1, [["a", 2**40, 1, 1]]), "records of 1,099"),
        (("hecli", 2, "update", 1, [["a", 768, 2**47, 1365]]), "records of 768"),
        (("hecli", 2, "update", 1, [["a", 768, 2**30, 1365]]), "ends too early"),
        (("hecli", 2, "update", 1, [["a", 768, -5, 1]]), "-5 records of 768"),
        (("hecli", 2, "update", 1, [["a", 0, 5, 1]]), "5 records of 0 bytes"),
        (("hecli", 2, "update", 1, [["a", 5, 0, 1]]), "0 records of 5 bytes"),
        (("hecli", 2, "update", 1, [["a", 5, 1, 0]]), "0 in a chunk"),
        (("hecli", 2, "update", 1, [["a", 5, 1, 2**30]]), "in a chunk"),
        (("hecli", 2, "update", 1, [["a", 5, True, 1]]), "wrong fields"),
        (("hecli", 2, "update", 1, [["a", 5, 1]]), "wrong fields"),
        (("hecli", 2, "update", 1, [["A", 5, 1, 1]]), "declares"),
        (("hecli", 2, "update", 1, [["a", 5, 1, 1]] * 2), "declares"),
        (("hecli", 2, "update", 1, [[name, 5, 1, 1] for name in "abcdefghi"]), "declares"),
        (("hecli", 2, "update", -1, []), "a header of -1"),
        (("hecli", True, "update", 1, []), "wrong fields"),
        (("hecli", 2, b"update", 1, []), "wrong fields"),
        (("hecli", 2, "u" * 600, 1, []), "too long"),
    ],
)
def test_a_lying_prelude_is_refused_before_anything_is_read(prelude, says):
    with pytest.raises(FormatError) as error:
        read(msgpack.packb(prelude) + b"\x80" * 100)
    assert says in error.value.message


@pytest.mark.parametrize("data", [b"", b"\x96", b"\x96\xa5hec", b"\x95\xa5hecli", b"\x95\xa5hecli\xcd"])
def test_the_very_start_of_a_file_is_one_cut_short(data):
    with pytest.raises(FormatError, match="ends too early"):
        read(data)


@pytest.mark.parametrize("data", [b"hello", b"\x93NUMPY", b"\x85\xa5hecli", b"\x95\xa5heclj\x02"])
def test_other_files_are_no_hecli_files(data):
    with pytest.raises(FormatError, match="not a hecli file"):
        read(data)


def test_a_trailer_that_lies_is_refused():
    data = make()
    front, trailer = data.split(b"\x83\xa6chunks")
    trailer = msgpack.unpackb(b"\x83\xa6chunks" + trailer)
    for altered, says in (
        (trailer | {"digest": bytes(32)}, "does not match"),
        (trailer | {"chunks": bytes(32)}, "does not match"),
        (trailer | {"chunks": bytes(31), "digest": bytes(33)}, "wrong number|not match|canonical|msgpack"),
    ):
        with pytest.raises(FormatError, match=says):
            read(front + pack(altered))


@pytest.mark.parametrize(
    ("kind", "signatures", "says"),
    [
        ("tensors", [1], "is signed, which a tensor file cannot be"),
        ("update", [1], "signature is malformed"),
        ("update", [1, 2], "more than one signature"),
        ("update", [["a", bytes(32), bytes(32), bytes(32), bytes(63)]], "signature is malformed"),
        ("update", [["a", bytes(32), bytes(31), bytes(32), bytes(64)]], "signature is malformed"),
        ("update", [["a", bytes(32), bytes(32), bytes(64)]], "no key against quantum computers"),
    ],
)
def test_signatures_that_are_none_are_refused(kind, signatures, says):
    data = make(kind=kind, records=())
    front = data[: data.index(b"\x83\xa6chunks")]
    trailer = msgpack.unpackb(data[len(front) :])
    with pytest.raises(FormatError, match=says):
        read(front + pack(trailer | {"signatures": signatures}))


def test_a_signed_file_cut_short_anywhere_is_refused():
    out = io.BytesIO()
    envelope.write(out, "update", {}, sign=signer(Identity.generate("alice"), "update"))
    data = out.getvalue()
    assert read(data)[0].signature[0] == "alice"
    for end in range(len(data)):
        with pytest.raises(FormatError, match="ends too early"):
            read(data[:end])
    for more in (b"\0", bytes(1000)):
        with pytest.raises(FormatError, match=f"{len(more):,} bytes too many|bytes too many"):
            read(data + more)


def test_a_huge_header_is_refused_when_written():
    with pytest.raises(HecliError, match="more than"):
        envelope.write(io.BytesIO(), "plan", {"x": bytes(envelope.HEADER_LIMIT)})


@pytest.mark.parametrize("body", [b"", b"1", b"1" * 15])
def test_a_body_of_the_wrong_length_is_refused_when_written(body):
    with pytest.raises(FormatError, match="the body"):
        envelope.write(io.BytesIO(), "update", {}, [Section.of("lanes", 7, 2)], [body])


def test_a_forger_can_recompute_digests():
    """So that the tests built on `rewritten` test what lies behind the digests."""
    file = encrypted(npz(w=np.ones(5, np.float32)))
    assert rewritten(file).getvalue() == file.getvalue()
    assert Reader(rewritten(file, header={"a": 1}), "file").header == {"a": 1}
