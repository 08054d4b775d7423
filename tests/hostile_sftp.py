"""A server that greets as SFTP asks for, and then answers as no server should."""

import struct
import sys

OPENDIR, READDIR, READ, CLOSE = 11, 12, 5, 4


def string(data):
    return struct.pack(">I", len(data)) + data


def send(kind, number, body):
    packet = bytes([kind]) + struct.pack(">I", number) + body
    sys.stdout.buffer.write(struct.pack(">I", len(packet)) + packet)
    sys.stdout.buffer.flush()


def answer(mode, kind, number):
    attributes = struct.pack(">IQ", 1, 1 << 60 if mode == "huge" else 100)
    if mode == "silent":
        return
    if kind in (3, OPENDIR):
        send(102, number, string(b"handle"))
    elif kind == 8:
        send(105, number, attributes)
    elif kind == CLOSE or mode == "ok":
        send(101, number, struct.pack(">I", 0) + string(b"") + string(b""))
    elif kind == READDIR and mode == "names":
        send(104, number, struct.pack(">I", 100) + 100 * (string(b"x") + string(b"x") + attributes))
    elif mode == "numbers":
        send(103 if kind == READ else 104, number, struct.pack(">I", 2**32 - 1))
    elif mode == "short":
        sys.stdout.buffer.write(struct.pack(">I", 1 << 30))
        sys.exit()
    else:
        send(103, number, string(b""))


def main(mode):
    source = sys.stdin.buffer
    size = struct.unpack(">I", source.read(4))[0]
    source.read(size)
    sys.stdout.buffer.write(struct.pack(">IBI", 5, 2, 3))
    sys.stdout.buffer.flush()
    while head := source.read(4):
        packet = source.read(struct.unpack(">I", head)[0])
        answer(mode, packet[0], struct.unpack_from(">I", packet, 1)[0])


if __name__ == "__main__":
    main(sys.argv[1])
