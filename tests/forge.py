"""What hecli will not do, for the transcripts of attacks: files with false contents and true digests.

forge body HEADER BODY OUT [IDENTITY]   the header of one file over the body of another
forge party UPDATE NAME OUT [IDENTITY]  an update under another name
forge alter FILE [AT]                   one bit of a file turned over, in its middle or there
"""

import sys
from pathlib import Path

from hecli.formats import envelope
from hecli.formats.reader import Reader
from hecli.identity.files import read_identity
from hecli.identity.signatures import signer
from hecli.plan.files import parse_plan


def _write(reader, header, body, out, identity):
    plan = parse_plan(header["plan"], reader.name)
    sign = None
    if identity:
        with Path(identity[0]).open("rb") as stream:
            sign = signer(read_identity(Reader(stream, identity[0]), str), reader.kind, plan.digest)
    with Path(out).open("wb") as stream:
        envelope.write(
            stream,
            reader.kind,
            header,
            body.prelude.sections,
            [body.section(each.name).read(each.records) for each in body.prelude.sections],
            sign=sign,
        )


def body(header, body, out, *identity):
    reader = Reader(Path(header).open("rb"), header)  # noqa: SIM115
    _write(reader, reader.header, Reader(Path(body).open("rb"), body), out, identity)  # noqa: SIM115


def party(update, name, out, *identity):
    reader = Reader(Path(update).open("rb"), update)  # noqa: SIM115
    _write(reader, reader.header | {"party": name}, reader, out, identity)


def alter(file, at=None):
    data = bytearray(Path(file).read_bytes())
    data[len(data) // 2 if at is None else int(at)] ^= 1
    Path(file).write_bytes(data)


if __name__ == "__main__":
    {"body": body, "party": party, "alter": alter}[sys.argv[1]](*sys.argv[2:])
