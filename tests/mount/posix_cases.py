"""What programs do with files, as cases that run on any directory: each returns
plain values, an error as its name. test_posix_table.py runs them on a mount and
on a local directory and compares; what cannot agree is in its table."""
import ctypes
import errno
import fcntl
import json
import mmap
import os
import socket
import stat
import subprocess
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
CASES = {}
AT_FDCWD, NOREPLACE, EXCHANGE = -100, 1, 2
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


def case(function):
    CASES[function.__name__] = function
    return function


def tell(function, *arguments, **more):
    """What it returned, or the name of its error."""
    try:
        value = function(*arguments, **more)
    except OSError as e:
        return errno.errorcode[e.errno]
    return value if isinstance(value, (int, str, bytes, list, bool)) else None


def call(name, *arguments):
    value = getattr(libc, name)(*arguments)
    return errno.errorcode[ctypes.get_errno()] if value < 0 else value


def opens(path, flags, mode=0o644):
    """Opens and closes."""
    try:
        os.close(os.open(path, flags, mode))
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"


def put(path, data=b"data"):
    path.write_bytes(data)
    return path


def mode_of(path):
    return oct(os.lstat(path).st_mode)


def names(path):
    return sorted(os.listdir(path))


def in_child(script, *arguments, uid=0):
    """Python in another process; the script prints JSON."""
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    done = subprocess.run([*(become if uid else []), sys.executable, "-c",
                           CHILD + script, *map(str, arguments)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


CHILD = """
import errno, fcntl, json, os, struct, sys
def tell(function, *arguments):
    try:
        function(*arguments)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"
"""


# ---- open ------------------------------------------------------------------


@case
def open_exclusive(d):
    put(d / "f")
    (d / "d").mkdir()
    os.symlink("nowhere", d / "l")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    return [opens(d / n, flags) for n in ("f", "d", "l", "new")]


@case
def open_creates_behind_a_link(d):
    os.symlink("target", d / "l")
    return [opens(d / "l", os.O_CREAT | os.O_WRONLY), names(d)]


@case
def open_of_what_is_not_there(d):
    put(d / "f")
    return [opens(d / "x" / "y", os.O_CREAT | os.O_WRONLY),
            opens(d / "f" / "y", os.O_CREAT | os.O_WRONLY),
            opens(d / "x", os.O_WRONLY), opens(f"{d}/f/", os.O_RDONLY),
            opens(f"{d}/new/", os.O_CREAT | os.O_WRONLY)]


@case
def open_directories(d):
    put(d / "f")
    return [opens(d, os.O_WRONLY), opens(d, os.O_RDWR),
            opens(d, os.O_CREAT | os.O_RDONLY),
            opens(d / "f", os.O_RDONLY | os.O_DIRECTORY),
            opens(d, os.O_RDONLY | os.O_DIRECTORY)]


@case
def open_does_not_follow(d):
    put(d / "f")
    os.symlink("f", d / "l")
    return [opens(d / "l", os.O_RDONLY | os.O_NOFOLLOW),
            opens(d / "f", os.O_RDONLY | os.O_NOFOLLOW)]


@case
def open_truncates(d):
    sizes = []
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY):
        opens(put(d / "f"), flags | os.O_TRUNC)
        sizes.append((d / "f").stat().st_size)
    return sizes


@case
def open_for_one_way(d):
    put(d / "f")
    r, w = os.open(d / "f", os.O_RDONLY), os.open(d / "f", os.O_WRONLY)
    found = [tell(os.write, r, b"x"), tell(os.read, w, 1),
             tell(os.ftruncate, r, 1)]
    os.close(r)
    os.close(w)
    return found


@case
def open_path_only(d):
    fd = os.open(put(d / "f"), os.O_PATH)
    found = [os.fstat(fd).st_size, tell(os.read, fd, 1)]
    os.close(fd)
    return found


@case
def open_without_a_name(d):
    return opens(d, os.O_TMPFILE | os.O_RDWR)


@case
def open_makes_modes(d):
    before = os.umask(0o027)
    for i, mode in enumerate((0o666, 0o777, 0, 0o4755, 0o1644)):
        opens(d / f"f{i}", os.O_CREAT | os.O_WRONLY, mode)
    os.umask(before)
    return [mode_of(d / n) for n in names(d)]


@case
def open_makes_what_it_may_not_open_again(d):
    fd = os.open(d / "f", os.O_CREAT | os.O_RDWR, 0)
    found = [os.write(fd, b"abc"), tell(os.pread, fd, 9, 0)]
    os.close(fd)
    return found + [mode_of(d / "f")]


# ---- reading and writing ---------------------------------------------------


@case
def append_is_at_the_end(d):
    fd = os.open(put(d / "f"), os.O_RDWR | os.O_APPEND)
    os.pwrite(fd, b"one", 0)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b"two")
    found = [os.lseek(fd, 0, os.SEEK_CUR), os.pread(fd, 99, 0)]
    os.close(fd)
    return found


@case
def seek(d):
    fd = os.open(put(d / "f", b"0123456789"), os.O_RDWR)
    found = [os.lseek(fd, -3, os.SEEK_END), os.read(fd, 9), os.read(fd, 9),
             tell(os.lseek, fd, -1, os.SEEK_SET), os.lseek(fd, 100, os.SEEK_SET),
             os.read(fd, 9), tell(os.pread, fd, 9, -1)]
    os.close(fd)
    return found


@case
def seek_holes(d):
    with open(d / "f", "wb") as f:
        f.seek(1 << 20)
        f.write(b"x")
    fd = os.open(d / "f", os.O_RDONLY)
    found = [tell(os.lseek, fd, 0, os.SEEK_DATA),
             tell(os.lseek, fd, 0, os.SEEK_HOLE),
             tell(os.lseek, fd, 1 << 21, os.SEEK_DATA)]
    os.close(fd)
    return found


@case
def holes_take_no_space(d):
    with open(d / "f", "wb") as f:
        f.truncate(1 << 26)
    return [(d / "f").stat().st_size, (d / "f").stat().st_blocks < 1000]


@case
def holes_are_zeros(d):
    with open(d / "f", "w+b") as f:
        for at in (0, 10000, 300000, 50):
            f.seek(at)
            f.write(b"#")
        f.flush()
        f.seek(0)
        data = f.read()
    return [len(data), data.count(b"\0"), [i for i in (0, 50, 10000, 300000)
                                           if data[i:i + 1] == b"#"]]


@case
def vectors(d):
    fd = os.open(d / "f", os.O_CREAT | os.O_RDWR)
    found = [os.writev(fd, [b"ab", b"", b"cde"]), os.pwritev(fd, [b"X"], 2)]
    a, b = bytearray(2), bytearray(9)
    found += [os.preadv(fd, [a, b], 0), bytes(a), bytes(b)]
    os.close(fd)
    return found


@case
def synchronous_writes(d):
    found = []
    for flag in (os.O_SYNC, os.O_DSYNC):
        fd = os.open(d / "f", os.O_CREAT | os.O_RDWR | flag)
        found += [os.write(fd, b"x" * 70000), tell(os.fsync, fd),
                  tell(os.fdatasync, fd)]
        os.close(fd)
    return found


@case
def copies_in_the_kernel(d):
    put(d / "f", bytes(range(256)) * 1000)
    r = os.open(d / "f", os.O_RDONLY)
    w = os.open(d / "g", os.O_CREAT | os.O_RDWR)
    found = [os.copy_file_range(r, w, 100000, 3), os.sendfile(w, r, 5, 50000),
             os.fstat(w).st_size, os.pread(w, 8, 99998)]
    os.close(r)
    os.close(w)
    return found


@case
def space_is_reserved(d):
    fd = os.open(put(d / "f"), os.O_RDWR)
    found = [tell(os.posix_fallocate, fd, 0, 100000), os.fstat(fd).st_size,
             os.pread(fd, 6, 0)]
    os.close(fd)
    return found


@case
def holes_are_punched(d):
    fd = os.open(put(d / "f", b"x" * 9000), os.O_RDWR)
    keep_size_punch = 3
    found = call("fallocate", fd, keep_size_punch, ctypes.c_long(0),
                 ctypes.c_long(4096))
    os.close(fd)
    return found


@case
def files_too_large(d):
    fd = os.open(d / "f", os.O_CREAT | os.O_RDWR)
    found = [tell(os.ftruncate, fd, 1 << 61), os.fstat(fd).st_size]
    try:
        os.pwrite(fd, b"x", 1 << 61)
        os.fsync(fd)
        found.append("ok")
    except OSError as e:
        found.append(errno.errorcode[e.errno])
    try:
        os.close(fd)
    except OSError:
        pass
    return found


# ---- truncate --------------------------------------------------------------


@case
def truncate(d):
    put(d / "f", b"x" * 5000)
    found = []
    for size in (5000, 4096, 10, 0, 7, 100000):
        os.truncate(d / "f", size)
        data = (d / "f").read_bytes()
        found += [len(data), data.count(b"x")]
    return found


@case
def truncate_what_cannot_be(d):
    put(d / "f")
    os.symlink("f", d / "l")
    (d / "d").mkdir()
    return [tell(os.truncate, d / "d", 0), tell(os.truncate, d / "none", 0),
            tell(os.truncate, d / "f" / "x", 0), tell(os.truncate, d / "f", -1),
            tell(os.truncate, d / "l", 1), (d / "f").stat().st_size]


@case
def truncate_under_a_reader(d):
    put(d / "f", b"x" * 300000)
    with open(d / "f", "rb", buffering=0) as f:
        f.read(10)
        os.truncate(d / "f", 20)
        return [len(f.read(300000)), os.fstat(f.fileno()).st_size]


# ---- mmap ------------------------------------------------------------------


@case
def mapped(d):
    fd = os.open(put(d / "f", b"a" * 10000), os.O_RDWR)
    with mmap.mmap(fd, 10000) as m:
        m[5000:5003] = b"XYZ"
        before = os.pread(fd, 3, 5000)
        os.pwrite(fd, b"123", 6000)
        found = [before, m[6000:6003]]
        m.flush()
    os.close(fd)
    return found + [(d / "f").read_bytes()[4999:5004]]


@case
def mapped_private(d):
    fd = os.open(put(d / "f", b"a" * 100), os.O_RDONLY)
    with mmap.mmap(fd, 100, flags=mmap.MAP_PRIVATE,
                   prot=mmap.PROT_READ | mmap.PROT_WRITE) as m:
        m[0:1] = b"b"
        found = [m[:2], os.pread(fd, 2, 0)]
    os.close(fd)
    return found


@case
def mapped_without_right(d):
    fd = os.open(put(d / "f"), os.O_RDONLY)
    try:
        mmap.mmap(fd, 4).close()
        found = "ok"
    except OSError as e:
        found = errno.errorcode[e.errno]
    os.close(fd)
    return found


# ---- names -----------------------------------------------------------------


@case
def names_are_limited(d):
    put(d / "f")
    long, longer = "n" * 255, "n" * 256
    (d / "d").mkdir()
    found = [opens(d / long, os.O_CREAT | os.O_WRONLY),
             tell(os.unlink, d / long), tell(os.mkdir, d / long),
             tell(os.rename, d / long, d / "d" / long), names(d / "d") == [long]]
    for function in (os.stat, os.unlink, os.mkdir, os.rmdir, os.readlink,
                     os.listdir):
        found.append(tell(function, d / longer))
    return found + [opens(d / longer, os.O_CREAT | os.O_WRONLY),
                    tell(os.symlink, "x", d / longer),
                    tell(os.link, d / "f", d / longer),
                    tell(os.rename, d / "f", d / longer)]


@case
def paths_are_limited(d):
    at = f"{d}/"
    whole = at + "./" * ((4096 - len(at)) // 2)
    return [tell(os.stat, whole[:4094].rstrip("/")) is None,
            tell(os.stat, whole + "./" * 10)]


@case
def trees_deeper_than_a_path(d):
    """By descriptors there is no limit."""
    fd, found = os.open(d, os.O_RDONLY), []
    try:
        for _ in range(20):
            os.mkdir("n" * 250, dir_fd=fd)
            down = os.open("n" * 250, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = down
        found = "ok"
    except OSError as e:
        found = errno.errorcode[e.errno]
    os.close(fd)
    subprocess.run(["rm", "-rf", str(d / ("n" * 250))], check=False)
    return found


@case
def not_a_directory(d):
    put(d / "f")
    path = d / "f" / "x"
    return [tell(function, path) for function in
            (os.stat, os.unlink, os.mkdir, os.rmdir, os.readlink, os.listdir)
            ] + [tell(os.rename, path, d / "g"), tell(os.rename, d / "f", path),
                 tell(os.symlink, "x", path), tell(os.link, d / "f", path),
                 tell(os.chmod, path, 0o600), tell(os.stat, f"{d}/f/"),
                 tell(os.unlink, f"{d}/f/")]


@case
def not_there(d):
    return [tell(function, d / "x") for function in
            (os.stat, os.unlink, os.rmdir, os.readlink, os.listdir)
            ] + [tell(os.mkdir, d / "x" / "y"), tell(os.chmod, d / "x", 0),
                 tell(os.chown, d / "x", 0, 0), tell(os.utime, d / "x"),
                 tell(os.rename, d / "x", d / "y"),
                 tell(os.link, d / "x", d / "y"),
                 tell(os.symlink, "t", d / "x" / "y"), tell(os.symlink, "", d / "e")]


# ---- directories -----------------------------------------------------------


@case
def mkdir(d):
    put(d / "f")
    os.symlink("none", d / "l")
    (d / "d").mkdir()
    before = os.umask(0o022)
    os.mkdir(d / "m", 0o1777)
    os.umask(before)
    return [tell(os.mkdir, d / n) for n in ("f", "l", "d", ".")
            ] + [mode_of(d / "m"), tell(os.mkdir, f"{d}/slash/")]


@case
def groups_are_inherited(d):
    (d / "d").mkdir()
    os.chown(d / "d", 0, 4321)
    os.chmod(d / "d", 0o2775)
    (d / "d" / "sub").mkdir()
    put(d / "d" / "f")
    return [mode_of(d / "d"), mode_of(d / "d" / "sub"),
            (d / "d" / "sub").stat().st_gid, (d / "d" / "f").stat().st_gid]


@case
def rmdir(d):
    put(d / "f")
    (d / "full" / "x").mkdir(parents=True)
    (d / "d").mkdir()
    os.symlink("d", d / "l")
    return [tell(os.rmdir, d / n) for n in ("f", "full", "l", "none")
            ] + [tell(os.rmdir, f"{d}/d/."), tell(os.rmdir, f"{d}/d/.."),
                 tell(os.rmdir, f"{d}/d/"), names(d)]


@case
def rmdir_of_what_is_open(d):
    (d / "d").mkdir()
    fd = os.open(d / "d", os.O_RDONLY)
    os.rmdir(d / "d")
    found = [tell(os.listdir, fd), tell(os.mkdir, "x", dir_fd=fd),
             stat.S_ISDIR(os.fstat(fd).st_mode)]
    os.close(fd)
    return found


@case
def links_of_directories(d):
    (d / "d" / "sub").mkdir(parents=True)
    return (d / "d").stat().st_nlink


@case
def directories_are_not_read(d):
    fd = os.open(d, os.O_RDONLY)
    found = [tell(os.read, fd, 10), tell(os.pread, fd, 10, 0)]
    os.close(fd)
    return found


@case
def positions_in_directories(d):
    """seekdir goes back to what telldir told, also over a change."""
    for i in range(500):
        put(d / f"f{i:03}", b"")
    for name, result in (("opendir", ctypes.c_void_p),
                         ("readdir", ctypes.c_void_p),
                         ("telldir", ctypes.c_long)):
        getattr(libc, name).restype = result
    handle = ctypes.c_void_p(libc.opendir(bytes(d)))

    def rest():
        found = []
        while entry := libc.readdir(handle):
            found.append(ctypes.string_at(entry + 19).decode())
        return found

    for _ in range(200):
        libc.readdir(handle)
    position = libc.telldir(handle)
    first = rest()
    libc.seekdir(handle, ctypes.c_long(position))
    again = rest()
    libc.rewinddir(handle)
    everything = rest()
    put(d / "new")
    libc.rewinddir(handle)
    more = rest()
    libc.closedir(handle)
    return [first == again, len(first), len(everything), "new" in more]


@case
def entries_say_what_they_are(d):
    put(d / "f")
    (d / "d").mkdir()
    os.symlink("f", d / "l")
    return sorted([e.name, e.is_file(follow_symlinks=False),
                   e.is_dir(follow_symlinks=False), e.is_symlink(),
                   e.inode() == os.lstat(e.path).st_ino]
                  for e in os.scandir(d))


@case
def below_a_descriptor(d):
    (d / "d").mkdir()
    fd = os.open(d / "d", os.O_RDONLY)
    os.rename(d / "d", d / "moved")
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.mkdir("sub", dir_fd=fd)
    os.symlink("f", "l", dir_fd=fd)
    os.rename("f", "g", src_dir_fd=fd, dst_dir_fd=fd)
    found = [sorted(os.listdir(fd)), os.readlink("l", dir_fd=fd),
             tell(os.stat, "f", dir_fd=fd), tell(os.unlink, "g", dir_fd=fd)]
    os.close(fd)
    return found + [names(d / "moved")]


@case
def the_current_directory(d):
    before = os.getcwd()
    (d / "d").mkdir()
    os.chdir(d / "d")
    try:
        os.rename(d / "d", d / "e")
        found = [os.getcwd() == str(d / "e")]
        os.rmdir(d / "e")
        found += [tell(os.getcwd), tell(os.stat, "x"), opens("x", os.O_CREAT)]
    finally:
        os.chdir(before)
    return found


# ---- rename ----------------------------------------------------------------


@case
def rename_over(d):
    put(d / "a", b"a")
    put(d / "b", b"bb")
    with open(d / "b", "rb") as old:
        os.rename(d / "a", d / "b")
        return [names(d), (d / "b").read_bytes(), old.read(),
                tell(os.rename, d / "b", d / "b"), names(d)]


@case
def rename_of_what_does_not_fit(d):
    put(d / "f")
    for name in ("d", "empty", "full/x"):
        (d / name).mkdir(parents=True)
    return [tell(os.rename, d / a, d / b) for a, b in (
        ("f", "d"), ("d", "f"), ("d", "full"), ("f", "f/x"), ("d", "d/x"),
        ("d", "d/x/y"), ("full/x", "full"), ("d", "."), (".", "x"), ("f", "x/y"),
        ("d", "empty"))] + [names(d)]


@case
def rename_of_links(d):
    put(d / "f")
    os.symlink("f", d / "l")
    os.symlink("none", d / "m")
    os.rename(d / "l", d / "k")
    os.rename(d / "f", d / "m")
    return [names(d), os.readlink(d / "k"), mode_of(d / "m")]


@case
def rename_with_flags(d):
    put(d / "a", b"a")
    put(d / "b", b"b")

    def rename(source, target, flags):
        return call("renameat2", AT_FDCWD, bytes(d / source), AT_FDCWD,
                    bytes(d / target), flags)

    return [rename("a", "b", NOREPLACE), rename("a", "c", NOREPLACE),
            rename("x", "y", NOREPLACE), names(d)]


@case
def rename_exchanges(d):
    put(d / "a", b"a")
    put(d / "b", b"b")
    return [call("renameat2", AT_FDCWD, bytes(d / "a"), AT_FDCWD,
                 bytes(d / "b"), EXCHANGE), (d / "a").read_bytes()]


@case
def rename_to_another_name_of_it(d):
    """POSIX: nothing happens."""
    put(d / "a")
    os.link(d / "a", d / "b")
    return [tell(os.rename, d / "a", d / "b"), names(d)]


# ---- links -----------------------------------------------------------------


@case
def link(d):
    put(d / "f")
    (d / "d").mkdir()
    os.symlink("f", d / "l")
    found = [tell(os.link, d / a, d / b) for a, b in (
        ("f", "g"), ("f", "d"), ("f", "l"), ("d", "e"), ("none", "e"),
        ("f", "none/e"))]
    os.link(d / "l", d / "k", follow_symlinks=False)
    return found + [names(d), os.readlink(d / "k")]


@case
def links_are_one_file(d):
    put(d / "f")
    os.link(d / "f", d / "g")
    put(d / "f", b"changed")
    os.chmod(d / "g", 0o600)
    data = (d / "g").read_bytes()
    os.unlink(d / "f")
    return [data, mode_of(d / "g"), (d / "g").read_bytes()]


@case
def links_are_counted(d):
    put(d / "f")
    os.link(d / "f", d / "g")
    one, two = (d / "f").stat(), (d / "g").stat()
    return [one.st_nlink, two.st_nlink, one.st_ino == two.st_ino]


@case
def unlink(d):
    put(d / "f")
    (d / "d").mkdir()
    os.symlink("f", d / "l")
    return [tell(os.unlink, d / n) for n in ("d", "l", "f", "f")] + [names(d)]


@case
def unlinked_but_open(d):
    fd = os.open(put(d / "f"), os.O_RDWR)
    os.unlink(d / "f")
    os.pwrite(fd, b"more", 4)
    put(d / "f", b"another")
    os.fchmod(fd, 0o600)
    os.ftruncate(fd, 6)
    found = [os.pread(fd, 99, 0), os.fstat(fd).st_size,
             oct(os.fstat(fd).st_mode), (d / "f").read_bytes()]
    os.close(fd)
    return found


@case
def unlinked_has_no_links(d):
    fd = os.open(put(d / "f"), os.O_RDWR)
    os.unlink(d / "f")
    found = os.fstat(fd).st_nlink
    os.close(fd)
    return found


@case
def symlink(d):
    put(d / "f")
    (d / "d").mkdir()
    found = [tell(os.symlink, "f", d / n) for n in ("f", "d", "l", "l")]
    os.symlink("d/", d / "s")
    return found + [os.lstat(d / "l").st_size, mode_of(d / "l"),
                    tell(os.readlink, d / "f"), tell(os.readlink, d / "d"),
                    tell(os.listdir, d / "s"), os.readlink(d / "s")]


@case
def symlinks_are_limited(d):
    found = []
    for n in (1, 255, 1000, 4000, 4095, 4096):
        target = ("x/" * n)[:n]
        found.append(tell(os.symlink, target, d / f"l{n}"))
        if found[-1] is None:
            found.append(tell(os.readlink, d / f"l{n}") == target)
    return found


@case
def symlinks_in_circles(d):
    os.symlink("a", d / "a")
    os.symlink("c", d / "b")
    os.symlink("b", d / "c")
    put(d / "l0")
    for i in range(45):
        os.symlink(f"l{i}", d / f"l{i + 1}")
    return [tell(os.stat, d / "a"), opens(d / "b", os.O_RDONLY),
            tell(os.chmod, d / "b", 0o600), tell(os.listdir, d / "c" / "x"),
            tell(os.stat, d / "l40"), tell(os.stat, d / "l41")]


@case
def symlinks_of_their_own(d):
    put(d / "f")
    os.symlink("f", d / "l")
    os.chown(d / "l", 11, 12, follow_symlinks=False)
    os.utime(d / "l", (100, 200), follow_symlinks=False)
    st = os.lstat(d / "l")
    return [st.st_uid, st.st_gid, int(st.st_mtime), (d / "f").stat().st_uid,
            (d / "f").stat().st_mtime > 1e9]


@case
def symlinks_with_absolute_targets(d):
    os.symlink("/etc/passwd", d / "l")
    return tell(os.readlink, d / "l")


# ---- attributes ------------------------------------------------------------


@case
def chmod(d):
    put(d / "f")
    (d / "d").mkdir()
    found = []
    for mode in (0, 0o7777, 0o4711, 0o2750, 0o1644, 0o644):
        os.chmod(d / "f", mode)
        os.chmod(d / "d", mode)
        found += [mode_of(d / "f"), mode_of(d / "d")]
    with open(d / "f", "rb") as f:
        os.fchmod(f.fileno(), 0o611)
    return found + [mode_of(d / "f")]


@case
def chown(d):
    put(d / "f")
    found = []
    for uid, gid in ((1, 2), (-1, 3), (4, -1), (-1, -1), (2**32 - 2, 0)):
        os.chown(d / "f", uid, gid)
        st = (d / "f").stat()
        found += [st.st_uid, st.st_gid]
    with open(d / "f", "rb") as f:
        os.fchown(f.fileno(), 7, 8)
    return found + [(d / "f").stat().st_uid]


@case
def chown_takes_setuid_away(d):
    put(d / "f")
    os.chmod(d / "f", 0o6755)
    os.chown(d / "f", 5, 5)
    return mode_of(d / "f")


@case
def times(d):
    put(d / "f")
    found = []
    for when in ((0, 0), (1000, 2000), (2**31 - 1, 2**31 + 5)):
        os.utime(d / "f", when)
        st = (d / "f").stat()
        found += [int(st.st_atime), int(st.st_mtime)]
    return found


@case
def times_of_nanoseconds(d):
    put(d / "f")
    os.utime(d / "f", ns=(1000000000123, 2000000000456))
    return [(d / "f").stat().st_mtime_ns]


@case
def times_far_away(d):
    put(d / "f")
    found = []
    for when in (-10, 2**32 + 10):
        os.utime(d / "f", (when, when))
        found.append(int((d / "f").stat().st_mtime))
    return found


@case
def times_now_and_omitted(d):
    put(d / "f")
    os.utime(d / "f", (1000, 2000))

    class Timespec(ctypes.Structure):
        _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]

    def set_times(a, m):
        both = (Timespec * 2)(Timespec(5, a), Timespec(6, m))
        call("utimensat", AT_FDCWD, bytes(d / "f"), both, 0)
        st = (d / "f").stat()
        now = time.time()
        return [abs(now - st.st_atime) < 30, int(st.st_atime) if st.st_atime < 1e6
                else 0, abs(now - st.st_mtime) < 30,
                int(st.st_mtime) if st.st_mtime < 1e6 else 0]

    return [set_times(UTIME_OMIT, UTIME_OMIT), set_times(UTIME_OMIT, 0),
            set_times(0, UTIME_OMIT), set_times(UTIME_NOW, UTIME_OMIT),
            set_times(0, 0), set_times(UTIME_OMIT, UTIME_NOW)]


@case
def times_that_move_by_themselves(d):
    def is_new(path):
        return time.time() - path.stat().st_mtime < 30

    def old(path):
        os.utime(path, (1000, 1000))

    put(d / "f")
    (d / "d").mkdir()
    old(d / "f")
    with open(d / "f", "r+b") as f:
        f.write(b"x")
    found = [is_new(d / "f")]
    old(d / "f")
    os.truncate(d / "f", 2)
    found.append(is_new(d / "f"))
    old(d / "f")
    os.chmod(d / "f", 0o600)
    (d / "f").read_bytes()
    found.append(is_new(d / "f"))
    for change in (lambda: put(d / "d" / "x"), lambda: os.unlink(d / "d" / "x"),
                   lambda: os.mkdir(d / "d" / "y"),
                   lambda: os.rename(d / "d" / "y", d / "z")):
        old(d / "d")
        change()
        found.append(is_new(d / "d"))
    return found


@case
def times_of_the_inode(d):
    put(d / "f")
    os.utime(d / "f", (1000, 1000))
    os.chmod(d / "f", 0o600)
    return (d / "f").stat().st_ctime > 1e6


@case
def extended_attributes(d):
    put(d / "f")
    return [tell(os.setxattr, d / "f", "user.x", b"1"),
            tell(os.listxattr, d / "f")]


@case
def special_files(d):
    with socket.socket(socket.AF_UNIX) as s:
        return [tell(os.mkfifo, d / "p"),
                tell(os.mknod, d / "c", stat.S_IFCHR | 0o600, os.makedev(1, 3)),
                tell(s.bind, f"/proc/self/fd/{os.open(d, os.O_PATH)}/s"),
                tell(os.mknod, d / "f", stat.S_IFREG | 0o640), names(d)]


# ---- several processes -----------------------------------------------------


@case
def locks_of_ranges(d):
    """fcntl(2): who holds what, and who may not."""
    put(d / "f", b"x" * 100)
    script = """
f = open(sys.argv[1], "r+b")
asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 5, 1, 0)
kind, _, start, length, pid = struct.unpack(
    "hhqqi4x", fcntl.fcntl(f, fcntl.F_GETLK, asked))
print(json.dumps([
    tell(fcntl.lockf, f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0),
    tell(fcntl.lockf, f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 50),
    tell(fcntl.lockf, f, fcntl.LOCK_SH | fcntl.LOCK_NB, 10, 20),
    tell(fcntl.lockf, f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 20),
    kind == fcntl.F_WRLCK, start, length, pid == os.getppid()]))
"""
    with open(d / "f", "r+b") as f:
        fcntl.lockf(f, fcntl.LOCK_EX, 10, 0)
        fcntl.lockf(f, fcntl.LOCK_SH, 10, 20)
        held = in_child(script, d / "f")
        fcntl.lockf(f, fcntl.LOCK_UN)
        return held + in_child(script, d / "f")[:4]


@case
def locks_of_files(d):
    put(d / "f")
    script = """
f = open(sys.argv[1], "r+b")
print(json.dumps([tell(fcntl.flock, f, how | fcntl.LOCK_NB)
                  for how in (fcntl.LOCK_EX, fcntl.LOCK_SH)]))
"""
    with open(d / "f", "rb") as f:
        found = []
        for how in (fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN):
            fcntl.flock(f, how)
            found += in_child(script, d / "f")
        return found


@case
def programs_run(d):
    put(d / "yes", b"#!/bin/sh\nexit 7\n")
    os.chmod(d / "yes", 0o755)
    put(d / "no", b"#!/bin/sh\nexit 7\n")
    with open("/bin/sleep", "rb") as f:
        put(d / "sleep", f.read())
    os.chmod(d / "sleep", 0o755)
    found = [subprocess.run([d / "yes"]).returncode]
    try:
        subprocess.run([d / "no"])
    except OSError as e:
        found.append(errno.errorcode[e.errno])
    running = subprocess.Popen([d / "sleep", "60"])
    found.append(opens(d / "sleep", os.O_WRONLY))
    running.kill()
    running.wait()
    return found


@case
def access(d):
    put(d / "f")
    os.chmod(d / "f", 0o644)
    os.chmod(put(d / "x"), 0o755)
    return [[os.access(d / n, how) for how in (os.F_OK, os.R_OK, os.W_OK, os.X_OK)]
            for n in ("f", "x", "none")]


NOBODY = """
d = sys.argv[1]
def touch(name, flags=os.O_CREAT | os.O_WRONLY):
    os.close(os.open(d + "/" + name, flags))
print(json.dumps([
    tell(touch, "mine", os.O_RDONLY), tell(touch, "mine", os.O_WRONLY),
    tell(touch, "shared", os.O_WRONLY), tell(touch, "closed/f"),
    tell(os.mkdir, d + "/closed/d"), tell(os.listdir, d + "/closed"),
    tell(os.listdir, d + "/dark"), tell(os.stat, d + "/dark/f"),
    tell(os.unlink, d + "/closed/f"), tell(os.rename, d + "/closed/f", d + "/g"),
    tell(os.chmod, d + "/shared", 0o600), tell(os.chown, d + "/shared", 9, 9),
    tell(os.utime, d + "/shared", (1, 1)), tell(os.utime, d + "/mine"),
    tell(os.truncate, d + "/mine", 0), tell(touch, "sticky/f", os.O_WRONLY),
    tell(os.unlink, d + "/sticky/f"), tell(os.rename, d + "/sticky/f", d + "/h"),
    tell(os.access, d + "/mine", os.W_OK)]))
"""


@case
def rights_of_others(d):
    """A user who owns nothing of it."""
    os.chmod(d, 0o755)
    os.chmod(put(d / "mine"), 0o644)
    os.chmod(put(d / "shared"), 0o666)
    for name, mode in (("closed", 0o755), ("dark", 0o700), ("sticky", 0o1777)):
        (d / name).mkdir()
        put(d / name / "f")
        os.chmod(d / name, mode)
    return in_child(NOBODY, d, uid=65534)
