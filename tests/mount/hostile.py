"""An SFTP server that lies: python3 hostile.py KIND, on stdin and stdout.

It shows one directory with the files "good" (contents "good\\n") and, by KIND,
something that no client may believe."""
import struct
import sys

KIND = sys.argv[1]
REG, DIR, LNK = 0o100644, 0o040755, 0o120777


def u32(n):
    return struct.pack(">I", n)


def text(b):
    return u32(len(b)) + b


def attrs(mode, size=5, mtime=1):
    return u32(0xd) + struct.pack(">Q", size) + u32(mode) + u32(1) + u32(mtime)


def read_exactly(n):
    data = sys.stdin.buffer.read(n)
    if len(data) < n:
        sys.exit(0)
    return data


def send(kind, body):
    sys.stdout.buffer.write(u32(len(body) + 1) + bytes([kind]) + body)
    sys.stdout.buffer.flush()


def status(rid, code):
    send(101, rid + u32(code) + text(b"") + text(b""))


NAMES = {
    "name-empty": b"", "name-dotdot": b"../x", "name-slash": b"a/b",
    "name-absolute": b"/etc/passwd", "name-nul": b"a\0b",
    "name-long": b"n" * 300,
}
MODES = {"type-device": 0o020666, "type-block": 0o060666, "type-fifo": 0o010644,
         "type-socket": 0o140755, "type-none": 0o644, "setuid": 0o104755}
LINKS = {"link-absolute": b"/etc/passwd", "link-up": b"../../../etc/passwd",
         "link-hidden": b"x/../../../../etc/passwd", "link-empty": b"",
         "link-nul": b"good\0bad", "link-good": b"./good"}


def entries():
    found = [(b".", attrs(DIR)), (b"..", attrs(DIR)), (b"good", attrs(REG))]
    if KIND in NAMES:
        found.append((NAMES[KIND], attrs(REG)))
    if KIND in MODES:
        found.append((b"odd", attrs(MODES[KIND])))
    if KIND in LINKS:
        found.append((b"link", attrs(LNK)))
    return found


def lookup(path):
    name = path.rstrip(b"/").rsplit(b"/", 1)[-1]
    if name in (b"", b"root"):
        return attrs(DIR)
    if name == b"odd" and KIND in MODES:
        return attrs(MODES[KIND])
    return dict(entries()[2:]).get(name)


def answer_read(rid, offset, count):
    data = b"good\n"[offset:offset + count]
    if KIND == "data-too-long":
        data = b"x" * (count + 1)
    if not data:
        status(rid, 1)
    else:
        send(103, rid + text(data))


def answer_readdir(rid, done):
    if done and KIND != "endless":
        status(rid, 1)
        return
    found = entries()
    count = len(found)
    if KIND == "endless":
        found = [(b"n%d-%d" % (done, i), attrs(REG)) for i in range(100)]
        count = 100
    if KIND == "count":
        count = 0xffffffff
    send(104, rid + u32(count) + b"".join(text(n) + text(b"") + a
                                          for n, a in found))


def main():
    reads = 0
    while True:
        packet = read_exactly(struct.unpack(">I", read_exactly(4))[0])
        kind, rid, body = packet[0], packet[1:5], packet[5:]
        if kind == 1:
            if KIND == "greet-length":
                sys.stdout.buffer.write(u32(0x7fffffff))
                sys.stdout.buffer.flush()
            elif KIND == "greet-old":
                send(2, u32(2))
            elif KIND == "greet-other":
                send(101, u32(1) + u32(0))
            else:
                send(2, u32(3))
            continue
        first = body[4:4 + struct.unpack(">I", body[:4])[0]]
        if KIND == "unknown-id" and kind not in (16, 7):
            rid = u32(struct.unpack(">I", rid)[0] ^ 0x5555)
        if KIND == "length" and kind not in (16, 7):
            sys.stdout.buffer.write(u32(0xffffffff) + b"\x65" * 64)
            sys.stdout.buffer.flush()
            continue
        if kind == 16: # REALPATH
            send(104, rid + u32(1) + text(b"/root") + text(b"") + u32(0))
        elif kind in (7, 17): # LSTAT, STAT
            found = lookup(first)
            send(105, rid + found) if found else status(rid, 2)
        elif kind == 8: # FSTAT
            send(105, rid + attrs(REG))
        elif kind == 11: # OPENDIR
            reads = 0
            send(102, rid + text(b"d" * (300 if KIND == "handle" else 1)))
        elif kind == 12: # READDIR
            answer_readdir(rid, reads)
            reads += 1
        elif kind == 3: # OPEN
            if KIND == "wrong-type":
                send(105, rid + attrs(REG))
            elif KIND == "ok-for-handle":
                status(rid, 0)
            else:
                send(102, rid + text(b"f"))
        elif kind == 5: # READ
            at = 4 + len(first)
            answer_read(rid, *struct.unpack(">QI", body[at:at + 12]))
        elif kind == 19: # READLINK
            send(104, rid + u32(1) + text(LINKS.get(KIND, b"good")) +
                 text(b"") + u32(0))
        else:
            status(rid, 0 if kind == 4 else 8)


main()
