"""Many files, large files, odd names: everything must arrive as it was."""
import errno
import hashlib
import os
import random
import subprocess
import threading
from pathlib import Path

import pytest

from conftest import PEAK_BYTES, RELEASE

BIG = int(os.environ.get("TP_MOUNT_BIG", 24 << 20))


def make_tree(root, rng, files=400):
    """Directories, files of all sizes, modes, times and links."""
    directories = [root]
    for i in range(30):
        d = rng.choice(directories) / f"d{i}"
        d.mkdir(mode=rng.choice([0o755, 0o700, 0o2775]))
        directories.append(d)
    for i in range(files):
        path = rng.choice(directories) / f"f {i}\u00e9"
        size = rng.choice([0, 1, 100, 4096, 5000, 131072, 131073, 400000])
        path.write_bytes(rng.randbytes(size))
        os.chmod(path, rng.choice([0o644, 0o600, 0o755, 0o444]))
        os.utime(path, (rng.randrange(2**31), rng.randrange(2**31)))
    for i in range(20):
        os.symlink(f"f {i}\u00e9", rng.choice(directories) / f"l{i}")


def describe(root):
    """Everything that a copy must have kept."""
    found = {}
    for path in sorted(Path(root).rglob("*")):
        st = path.lstat()
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("dir", oct(st.st_mode))
        else:
            found[name] = (oct(st.st_mode), int(st.st_mtime),
                           hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def run(*command, **more):
    subprocess.run([str(c) for c in command], check=True, **more)


def copy_cp(source, target):
    run("cp", "-a", f"{source}/.", target)


def copy_rsync(source, target):
    run("rsync", "-a", f"{source}/", target)
    left = subprocess.run(["rsync", "-ainc", f"{source}/", str(target)],
                          check=True, capture_output=True, text=True).stdout
    assert left == "", left


def copy_tar(source, target):
    with subprocess.Popen(["tar", "-C", source, "-cf", "-", "."],
                          stdout=subprocess.PIPE) as tar:
        run("tar", "-C", target, "-xpf", "-", stdin=tar.stdout)
    assert tar.returncode == 0


@pytest.mark.parametrize("copy", [copy_cp, copy_rsync, copy_tar])
def test_copies_are_equal(mount, source, tmp_path, copy):
    m = mount()
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    back.mkdir()
    make_tree(there, random.Random(7))
    (m.point / "x").mkdir()
    copy(there, m.point / "x")
    assert describe(m.point / "x") == describe(there)
    assert describe(source / "x") == describe(there)
    m2 = mount()
    copy(m2.point / "x", back)
    assert describe(back) == describe(there)


def test_big_files_at_once(mount, source):
    """Twelve writers, then twelve readers."""
    m = mount()
    failures = []

    def data(i):
        return random.Random(i).randbytes(1 << 20)

    def write(i):
        with open(m.point / f"b{i}", "wb") as f:
            for _ in range(BIG >> 20):
                f.write(data(i))

    def read(i):
        want = data(i)
        with open(m.point / f"b{i}", "rb") as f:
            for k in range(BIG >> 20):
                if f.read(1 << 20) != want:
                    failures.append((i, k))

    for job in (write, read):
        threads = [threading.Thread(target=job, args=(i,)) for i in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if job is write:
            assert all((source / f"b{i}").stat().st_size == BIG
                       for i in range(12))
            assert m.unmount() == 0, m.text()
            m = mount()
    assert failures == []


def test_beyond_four_gigabytes(mnt, source):
    at = (5 << 30) + 12345
    with open(mnt / "a", "wb") as f:
        f.seek(at)
        f.write(b"far away")
    assert (source / "a").stat().st_size == at + 8
    assert (mnt / "a").stat().st_size == at + 8
    with open(mnt / "a", "rb") as f:
        f.seek(at - 2)
        assert f.read() == b"\0\0far away"
        f.seek(at - (1 << 20))
        assert len(f.read()) == (1 << 20) + 8
    os.truncate(mnt / "a", (4 << 30) + 1)
    assert (source / "a").stat().st_size == (4 << 30) + 1


@pytest.mark.parametrize("count", [100000])
def test_a_large_directory(mount, source, count):
    for i in range(count):
        os.close(os.open(source / f"name-{i:06}", os.O_CREAT | os.O_WRONLY))
    m = mount()
    assert len(os.listdir(m.point)) == count
    total = sum(e.stat().st_size + 1 for e in os.scandir(m.point))
    assert total == count
    assert (m.point / "name-099999").stat().st_size == 0
    (m.point / "name-000000").unlink()
    (m.point / "zz").touch()
    names = os.listdir(m.point)
    assert len(names) == count and "name-000000" not in names and "zz" in names


def test_names_of_any_bytes(mnt, source):
    names = [bytes([c]) * 3 for c in range(1, 256) if c != ord("/")]
    names += [b"a\nb", b"\xff\xfe", b"-rf", b" ", b"\\", b"*?[]"]
    for name in names:
        with open(os.path.join(os.fsencode(mnt), name), "wb") as f:
            f.write(name)
    assert set(os.listdir(os.fsencode(source))) == set(names)
    assert set(os.listdir(os.fsencode(mnt))) == set(names)
    for name in names:
        with open(os.path.join(os.fsencode(mnt), name), "rb") as f:
            assert f.read() == name
        os.unlink(os.path.join(os.fsencode(mnt), name))
    assert os.listdir(source) == []


@pytest.fixture
def small_disk(tmp_path):
    d = tmp_path / "disk"
    d.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=50", "tmpfs", d)
    yield d
    run("umount", "-l", d)


@pytest.mark.parametrize("how", ["close", "fsync", "strict"])
def test_a_full_disk_is_told(mount, small_disk, how):
    m = mount("strict" if how == "strict" else "", path=small_disk)
    fd = os.open(m.point / "a", os.O_CREAT | os.O_WRONLY)
    with pytest.raises(OSError) as info:
        for _ in range(100):
            os.write(fd, b"x" * 100000)
            if how == "fsync":
                os.fsync(fd)
        if how == "close":
            os.fdatasync(fd)
    assert info.value.errno == errno.ENOSPC
    try:
        os.close(fd)
    except OSError as e: # more was written after the first failure
        assert e.errno == errno.ENOSPC
    (m.point / "a").unlink()
    (m.point / "b").write_text("there is room again")
    assert (small_disk / "b").read_text() == "there is room again"
    assert m.unmount() == 0, m.text()


def test_no_more_inodes(mount, small_disk):
    m = mount(path=small_disk)
    with pytest.raises(OSError) as info:
        for i in range(100):
            (m.point / f"f{i}").touch()
    assert info.value.errno == errno.ENOSPC


def test_two_clients(mount, source):
    """Close-to-open: what one has closed the other sees when it opens."""
    one, two = mount().point, mount().point
    for i in range(30):
        writer, reader = (one, two) if i % 2 else (two, one)
        (writer / "a").write_text(f"{i} " * (i + 1))
        assert (reader / "a").read_text() == f"{i} " * (i + 1)
    with open(one / "b", "wb") as f, open(two / "b", "r+b") as g:
        f.write(b"1" * 100000)
        f.flush()
        g.seek(100000)
        g.write(b"2" * 100000)
    assert (source / "b").read_bytes() == b"1" * 100000 + b"2" * 100000


def test_two_clients_names(mount):
    one, two = mount("strict").point, mount("strict").point
    (one / "d").mkdir()
    assert (two / "d").is_dir()
    (two / "d" / "a").write_text("a")
    assert os.listdir(one / "d") == ["a"]
    os.rename(one / "d", one / "e")
    assert not (two / "d").exists() and (two / "e" / "a").read_text() == "a"
    (one / "e" / "a").unlink()
    (one / "e" / "a").mkdir()
    assert (two / "e" / "a").is_dir()


def sqlite(path, script):
    return subprocess.run(["sqlite3", "-cmd", ".timeout 20000", path],
                          input=script, text=True, capture_output=True,
                          check=True, timeout=120).stdout.split()


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "wal"])
def test_a_database(mount, source, tmp_path, mode):
    """SQLite, strict: transactions, one that is taken back, and the file is
    whole where the server has it."""
    m = mount("strict")
    inserts = "".join(f"insert into t values({i}, hex(randomblob(50)));"
                      for i in range(50))
    assert sqlite(m.point / "db", f"pragma journal_mode={mode}; create table "
                  f"t(i integer primary key, t); {inserts} begin; delete from t;"
                  "rollback; select count(*) from t;") == [mode, "50"]
    assert sqlite(m.point / "db", "begin; update t set t = hex(randomblob(5000));"
                  "commit; select count(*), sum(length(t)) from t; "
                  "pragma integrity_check;") == ["50|500000", "ok"]
    assert m.unmount() == 0, m.text()
    assert sqlite(source / "db", "pragma journal_mode; select count(*) from t;"
                  "pragma integrity_check;") == [
                      mode if mode == "wal" else "delete", "50", "ok"]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_of_many(mount, source, mode):
    """Four processes of one machine at once; locks and, for WAL, shared memory
    are those of its kernel."""
    m = mount("strict")
    sqlite(m.point / "db", f"pragma journal_mode={mode}; create table t(n);")
    insert = "".join(f"insert into t values({i});" for i in range(25))
    writers = [subprocess.Popen(["sqlite3", "-cmd", ".timeout 60000",
                                 m.point / "db", insert],
                                stderr=subprocess.PIPE, text=True)
               for _ in range(4)]
    assert [(w.communicate(timeout=120)[1], w.returncode)
            for w in writers] == [("", 0)] * 4
    assert sqlite(m.point / "db", "select count(*), sum(n) from t;"
                  "pragma integrity_check;") == ["100|1200", "ok"]


def test_a_database_that_is_killed(mount, source):
    """In a transaction: the next one takes it back."""
    m = mount("strict")
    sqlite(m.point / "db", "create table t(n); insert into t values(1);")
    killed = subprocess.Popen(["sqlite3", m.point / "db"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    killed.stdin.write("pragma cache_size=1; begin; with recursive c(n) as "
                       "(select 2 union all select n + 1 from c where n < 5000)"
                       " insert into t select n from c; select 'there';\n")
    killed.stdin.flush()
    assert killed.stdout.readline() == "there\n"
    killed.kill()
    killed.wait()
    assert (source / "db-journal").stat().st_size > 0
    assert sqlite(m.point / "db", "select count(*) from t; "
                  "pragma integrity_check;") == ["1", "ok"]


def test_memory_stays_bounded(mount, source):
    """Peak of the process that serves, over the worst of the above."""
    m = mount(program=RELEASE)
    for i in range(50000):
        os.close(os.open(source / f"n{i}", os.O_CREAT))

    def write(i):
        with open(m.point / f"big{i}", "wb", buffering=0) as f:
            for _ in range(40):
                f.write(b"w" * (1 << 20))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sum(e.stat().st_size for e in os.scandir(m.point))
    run("cat", *[m.point / f"big{i}" for i in range(6)],
        stdout=subprocess.DEVNULL)
    peak = m.rss_peak()
    print(f"peak {peak >> 20} MiB")
    assert peak <= PEAK_BYTES
