"""What POSIX says of files and directories, on a mount; SFTP's exceptions are
at the end."""
import errno
import fcntl
import mmap
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

import pytest

from servers import RawServer

def fails(code, function, *arguments):
    with pytest.raises(OSError) as info:
        function(*arguments)
    assert info.value.errno == code, os.strerror(info.value.errno)


def test_write_and_read(mnt, source):
    (mnt / "a").write_bytes(b"hello")
    assert (source / "a").read_bytes() == b"hello"
    assert (mnt / "a").read_bytes() == b"hello"


def test_empty_file(mnt, source):
    (mnt / "a").touch()
    assert (source / "a").stat().st_size == 0
    assert (mnt / "a").read_bytes() == b""


def test_create_exclusive(mnt, source):
    (source / "a").touch()
    fails(errno.EEXIST, os.open, mnt / "a", os.O_CREAT | os.O_EXCL)


def test_names_that_are_not_there(mnt):
    fails(errno.ENOENT, os.stat, mnt / "a")
    fails(errno.ENOENT, os.unlink, mnt / "a")
    fails(errno.ENOENT, os.rmdir, mnt / "a")
    fails(errno.ENOENT, os.listdir, mnt / "a")
    fails(errno.ENOENT, os.rename, mnt / "a", mnt / "b")
    fails(errno.ENOENT, os.open, mnt / "a", os.O_RDONLY)


def test_a_file_is_no_directory(mnt, source):
    (source / "a").touch()
    fails(errno.ENOTDIR, os.listdir, mnt / "a")
    fails(errno.ENOTDIR, os.rmdir, mnt / "a")
    fails(errno.ENOTDIR, os.stat, mnt / "a" / "b")


def test_a_directory_is_no_file(mnt, source):
    (source / "d").mkdir()
    fails(errno.EISDIR, os.open, mnt / "d", os.O_WRONLY)
    fails(errno.EISDIR, os.unlink, mnt / "d")


def test_directories(mnt, source):
    (mnt / "d").mkdir(0o750)
    assert stat.S_IMODE((source / "d").stat().st_mode) == 0o750
    fails(errno.EEXIST, os.mkdir, mnt / "d")
    (mnt / "d" / "a").touch()
    fails(errno.ENOTEMPTY, os.rmdir, mnt / "d")
    (mnt / "d" / "a").unlink()
    (mnt / "d").rmdir()
    assert not (source / "d").exists()


def test_listing(mnt, source):
    names = {f"n{i}" for i in range(300)}
    for name in names:
        (source / name).touch()
    assert set(os.listdir(mnt)) == names
    (mnt / "n7").unlink()
    (mnt / "new").touch()
    assert set(os.listdir(mnt)) == names - {"n7"} | {"new"}


def test_a_directory_that_changes_while_it_is_read(mnt, source):
    for i in range(2000):
        (source / f"n{i:04}").touch()
    seen = []
    with os.scandir(mnt) as entries:
        for i, entry in enumerate(entries):
            seen.append(entry.name)
            if i % 2:
                os.unlink(entry.path)
    assert sorted(seen) == [f"n{i:04}" for i in range(2000)]
    assert len(os.listdir(source)) == 1000


def test_rename(mnt, source):
    (mnt / "a").write_text("a")
    os.rename(mnt / "a", mnt / "b")
    assert os.listdir(source) == ["b"] and (mnt / "b").read_text() == "a"
    assert not (mnt / "a").exists()


def test_rename_over(mnt, source):
    (mnt / "a").write_text("a")
    (mnt / "b").write_text("longer b")
    with open(mnt / "b") as old:
        os.rename(mnt / "a", mnt / "b")
        assert old.read() == "longer b"
    assert (mnt / "b").read_text() == "a" and (source / "b").read_text() == "a"


def test_rename_of_a_tree(mnt):
    (mnt / "d" / "e").mkdir(parents=True)
    (mnt / "d" / "e" / "f").write_text("f")
    with open(mnt / "d" / "e" / "f", "a") as f:
        os.rename(mnt / "d", mnt / "x")
        f.write("more")
    assert (mnt / "x" / "e" / "f").read_text() == "fmore"


def test_rename_over_a_full_directory(mnt):
    (mnt / "d").mkdir()
    (mnt / "e").mkdir()
    (mnt / "e" / "f").touch()
    fails(errno.ENOTEMPTY, os.rename, mnt / "d", mnt / "e")
    (mnt / "e" / "f").unlink()
    os.rename(mnt / "d", mnt / "e")
    assert not (mnt / "d").exists()


def test_rename_that_does_not_replace(mnt):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    (mnt / "a").write_text("a")
    (mnt / "b").write_text("b")

    def rename(source, target):
        return libc.renameat2(-100, bytes(mnt / source), -100,
                              bytes(mnt / target), 1)

    assert rename("a", "b") == -1 and ctypes.get_errno() == errno.EEXIST
    assert rename("a", "c") == 0
    assert (mnt / "c").read_text() == "a" and (mnt / "b").read_text() == "b"


def test_unlinked_but_open(mnt):
    with open(mnt / "a", "w+") as f:
        f.write("one")
        f.flush()
        os.unlink(mnt / "a")
        f.write("two")
        f.flush()
        assert os.fstat(f.fileno()).st_size == 6
        f.seek(0)
        assert f.read() == "onetwo"
        os.ftruncate(f.fileno(), 1)
        assert os.fstat(f.fileno()).st_size == 1
    (mnt / "a").write_text("new")
    assert (mnt / "a").read_text() == "new"


def test_append(mnt, source):
    (source / "a").write_bytes(b"1")
    with open(mnt / "a", "ab") as f:
        f.write(b"2")
        f.flush()
        os.fsync(f.fileno())
        with open(source / "a", "ab") as other:
            other.write(b"X")
        f.write(b"3")
    assert (source / "a").read_bytes() == b"12X3"


def test_append_and_read(mnt, source):
    (source / "a").write_bytes(b"1")
    fd = os.open(mnt / "a", os.O_RDWR | os.O_APPEND)
    os.write(fd, b"2")
    assert os.pread(fd, 10, 0) == b"12"
    os.write(fd, b"3")
    os.close(fd)
    assert (source / "a").read_bytes() == b"123"


def test_truncate(mnt, source):
    (mnt / "a").write_bytes(b"x" * 300000)
    os.truncate(mnt / "a", 100)
    assert (mnt / "a").read_bytes() == b"x" * 100
    os.truncate(mnt / "a", 200)
    assert (mnt / "a").read_bytes() == b"x" * 100 + b"\0" * 100
    with open(mnt / "a", "wb"):
        pass
    assert (source / "a").stat().st_size == 0


def test_truncate_of_what_was_just_written(mnt, source):
    with open(mnt / "a", "wb") as f:
        for _ in range(50):
            f.write(b"y" * 100000)
            f.flush()
        os.ftruncate(f.fileno(), 10)
        f.seek(0, 2)
        f.write(b"end")
    assert (source / "a").read_bytes() == b"y" * 10 + b"end"


def test_a_file_that_may_not_be_written_again(mnt, source):
    fd = os.open(mnt / "a", os.O_CREAT | os.O_WRONLY, 0o444)
    os.write(fd, b"once")
    os.ftruncate(fd, 2)
    os.close(fd)
    assert (source / "a").read_bytes() == b"on"


def test_holes(mnt, source):
    with open(mnt / "a", "wb") as f:
        f.seek(1 << 20)
        f.write(b"z")
    assert (source / "a").read_bytes() == b"\0" * (1 << 20) + b"z"
    assert (mnt / "a").read_bytes()[-2:] == b"\0z"


def test_modes_and_owners(mnt, source):
    (mnt / "a").touch()
    os.chmod(mnt / "a", 0o4711)
    os.chown(mnt / "a", 12, 34)
    st = (source / "a").stat()
    assert (st.st_uid, st.st_gid) == (12, 34)
    os.chown(mnt / "a", -1, 56)
    assert (source / "a").stat().st_uid == 12
    assert (mnt / "a").stat().st_gid == 56
    os.chmod(mnt / "a", 0o640)
    assert stat.S_IMODE((source / "a").stat().st_mode) == 0o640


def test_times(mnt, source):
    (mnt / "a").write_text("a")
    os.utime(mnt / "a", (1000, 2000))
    assert (source / "a").stat().st_mtime == 2000
    assert (mnt / "a").stat().st_atime == 1000
    os.utime(mnt / "a")
    assert abs((source / "a").stat().st_mtime - time.time()) < 5


def test_times_set_before_close(mnt, source):
    """As tar and cp -p do it: the data must not come behind the time."""
    fd = os.open(mnt / "a", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"x" * 500000)
    os.utime(fd, (1000, 2000))
    os.close(fd)
    assert (source / "a").stat().st_mtime == 2000


def test_a_written_file_has_a_new_time(mnt, source):
    (source / "a").write_text("a")
    os.utime(source / "a", (1000, 2000))
    assert (mnt / "a").stat().st_mtime == 2000
    with open(mnt / "a", "a") as f:
        f.write("b")
        f.flush()
        assert os.fstat(f.fileno()).st_mtime > 1e9
    assert (mnt / "a").stat().st_mtime == int((source / "a").stat().st_mtime)


def test_symbolic_links(mnt, source):
    (source / "d").mkdir()
    (source / "a").write_text("a")
    os.symlink("../a", mnt / "d" / "l")
    assert os.readlink(source / "d" / "l") == "../a"
    assert os.readlink(mnt / "d" / "l") == "../a"
    assert (mnt / "d" / "l").read_text() == "a"
    os.symlink("nowhere", mnt / "l")
    fails(errno.ENOENT, os.stat, mnt / "l")
    fails(errno.EEXIST, os.symlink, "x", mnt / "l")
    os.chown(mnt / "l", 5, 6, follow_symlinks=False)
    assert os.lstat(source / "l").st_uid == 5
    os.utime(mnt / "l", (1, 2), follow_symlinks=False)
    assert os.lstat(source / "l").st_mtime == 2


def test_hard_links(mnt, source):
    (mnt / "a").write_text("a")
    os.link(mnt / "a", mnt / "b")
    assert (source / "a").stat().st_nlink == 2
    with open(mnt / "b", "a") as f:
        f.write("b")
    assert (source / "a").read_text() == "ab"
    fails(errno.EEXIST, os.link, mnt / "a", mnt / "b")


def test_statfs(mnt, source):
    here, there = os.statvfs(mnt), os.statvfs(source)
    assert here.f_blocks * here.f_frsize == there.f_blocks * there.f_frsize
    assert here.f_namemax == 255


def test_long_names(mnt, source):
    (mnt / ("n" * 255)).touch()
    assert os.listdir(source) == ["n" * 255]
    fails(errno.ENAMETOOLONG, os.stat, mnt / ("n" * 256))
    fails(errno.ENAMETOOLONG, os.mkdir, mnt / ("n" * 256))


def test_mapped_files(mnt, source):
    size = 3 * 4096 + 17
    (mnt / "a").write_bytes(b"a" * size)
    with open(mnt / "a", "r+b") as f:
        with mmap.mmap(f.fileno(), size) as m:
            assert m[:3] == b"aaa"
            m[5000:5005] = b"HELLO"
            m[size - 1:] = b"z"
            m.flush()
            assert (source / "a").read_bytes()[5000:5005] == b"HELLO"
            m[0:1] = b"Q"
    got = (mnt / "a").read_bytes()
    assert got[:1] == b"Q" and got[-1:] == b"z" and len(got) == size
    assert (source / "a").read_bytes() == got


def test_a_mapped_file_beside_one_that_appends(mnt, source):
    (mnt / "a").write_bytes(b"a" * 4096)
    appender = open(mnt / "a", "ab", buffering=0)
    with open(mnt / "a", "r+b") as f, mmap.mmap(f.fileno(), 4096) as m:
        m[10:15] = b"HELLO"
        m.flush()
    appender.write(b"end")
    appender.close()
    got = (source / "a").read_bytes()
    assert got == b"a" * 10 + b"HELLO" + b"a" * 4081 + b"end"


def test_locks_are_local(mnt):
    (mnt / "a").touch()
    with open(mnt / "a", "r+") as one, open(mnt / "a", "r+") as two:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fails(errno.EWOULDBLOCK, fcntl.flock, two,
              fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.lockf(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        pid = os.fork()
        if pid == 0:
            try:
                fcntl.lockf(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_direct_io(mnt, source):
    buffer = mmap.mmap(-1, 8192)
    buffer[:] = b"d" * 8192
    fd = os.open(mnt / "a", os.O_CREAT | os.O_RDWR | os.O_DIRECT)
    assert os.pwrite(fd, buffer, 4096) == 8192
    back = mmap.mmap(-1, 8192)
    assert os.preadv(fd, [back], 4096) == 8192 and back[:] == buffer[:]
    os.close(fd)
    assert (source / "a").read_bytes() == b"\0" * 4096 + b"d" * 8192


def test_sync(mnt, source):
    with open(mnt / "a", "wb", buffering=0) as f:
        f.write(b"x" * 1000000)
        os.fsync(f.fileno())
        assert (source / "a").stat().st_size == 1000000
    fd = os.open(mnt, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_extended_attributes_are_refused(mnt):
    (mnt / "a").touch()
    fails(errno.EOPNOTSUPP, os.setxattr, mnt / "a", "user.x", b"1")
    fails(errno.EOPNOTSUPP, os.getxattr, mnt / "a", "user.x")
    fails(errno.EOPNOTSUPP, os.listxattr, mnt / "a")


def test_files_that_are_not_files(mnt, source):
    os.mkfifo(source / "pipe")
    os.mknod(source / "dev", 0o644 | stat.S_IFCHR, os.makedev(1, 3))
    (source / "a").touch()
    assert os.listdir(mnt) == ["a"]
    fails(errno.ENOENT, os.stat, mnt / "pipe")
    fails(errno.EPERM, os.mkfifo, mnt / "p")
    fails(errno.EPERM, os.mknod, mnt / "c", stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(mnt / "f", stat.S_IFREG | 0o600)
    assert (source / "f").is_file()


def test_read_only(mount, source):
    (source / "a").write_text("a")
    point = mount("ro").point
    assert (point / "a").read_text() == "a"
    fails(errno.EROFS, os.open, point / "a", os.O_WRONLY)
    fails(errno.EROFS, os.open, point / "b", os.O_CREAT | os.O_WRONLY)
    fails(errno.EROFS, os.unlink, point / "a")
    fails(errno.EROFS, os.mkdir, point / "d")
    fails(errno.EROFS, os.chmod, point / "a", 0o777)
    fails(errno.EROFS, os.truncate, point / "a", 0)


def test_inode_numbers_stay(mount, source):
    (source / "d").mkdir()
    (source / "d" / "a").touch()
    first = mount()
    before = (first.point / "d" / "a").stat().st_ino
    entry = next(os.scandir(first.point / "d"))
    assert entry.inode() == before
    first.unmount()
    assert (mount().point / "d" / "a").stat().st_ino == before


def test_a_path_below(mount, source):
    (source / "d").mkdir()
    (source / "d" / "a").write_text("a")
    assert (mount(path=source / "d").point / "a").read_text() == "a"


def test_many_small_writes(mnt, source):
    want = bytearray()
    with open(mnt / "a", "wb", buffering=0) as f:
        for i in range(5000):
            piece = bytes([i % 251]) * (i % 97 + 1)
            f.write(piece)
            want += piece
    assert (source / "a").read_bytes() == want


def test_two_handles_of_one_file(mnt, source):
    """What one wrote the other reads, at once, whichever connection they use."""
    (source / "a").write_bytes(b"." * (4 << 20))
    with open(mnt / "a", "r+b", buffering=0) as one, \
            open(mnt / "a", "r+b", buffering=0) as two:
        for i in range(200):
            at = i * 20011 % (4 << 20)
            one.seek(at)
            one.write(b"%08d" % i)
            two.seek(at)
            assert two.read(8) == b"%08d" % i
            two.seek(at + 2)
            two.write(b"##")
            one.seek(at)
            assert one.read(4) == b"00##"


def test_a_directory_that_may_not_be_listed(mount):
    """Its files can be reached by name, by who may enter it."""
    source = Path(tempfile.mkdtemp())
    (source / "d").mkdir()
    for i in range(5):
        (source / "d" / f"f{i}").write_text("x")
    os.chmod(source, 0o777)
    os.chmod(source / "d", 0o711)
    other = RawServer(uid="nobody")
    try:
        point = mount(of=other, path=source).point
        fails(errno.EACCES, os.listdir, point / "d")
        for i in range(5):
            assert (point / "d" / f"f{i}").stat().st_size == 1
            fails(errno.ENOENT, os.stat, point / "d" / f"g{i}")
        fails(errno.EACCES, os.open, point / "d" / "new", os.O_CREAT)
        fails(errno.EACCES, os.mkdir, point / "d" / "new")
    finally:
        other.close()
        shutil.rmtree(source)
