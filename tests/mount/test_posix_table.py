"""Each case of posix_cases.py on a mount and on a local directory: the same
results, or those of the table, which says why SFTP 3 gives no others."""
import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from conftest import PROGRAM, Mount
from posix_cases import CASES
from servers import RawServer

ALL = ("", "strict", "async_names")
CACHED = ("", "async_names")

# What a mount gives instead, with which options, and why. fuse/README.md has the
# same in words.
EXCEPTIONS = {
    "extended_attributes": (["ENOTSUP", "ENOTSUP"], ALL, "SFTP 3 has none"),
    "files_too_large": (["EIO", 0, "EINVAL"], ALL, "the server says FAILURE"),
    "holes_are_punched": ("ENOTSUP", ALL, "SFTP 3 has no fallocate"),
    "holes_take_no_space": ([67108864, False], ALL, "attributes have no block count"),
    "links_are_counted": ([1, 1, False], ALL, "attributes have no link count and no inode"),
    "links_of_directories": (1, ALL, "likewise"),
    "open_without_a_name": ("ENOTSUP", ALL, "SFTP 3 has no O_TMPFILE"),
    "rename_exchanges": (["EINVAL", b"a"], ALL, "SFTP 3 has no RENAME_EXCHANGE"),
    "rename_of_what_does_not_fit": (
        ["EISDIR", "ENOTDIR", None, "ENOTDIR", "ENOENT", "ENOENT", "ENOTEMPTY", "ENOENT",
         "EINVAL", "ENOENT", "ENOENT", ["empty", "f", "full"]],
        ("async_names",),
        "names are answered before the server has; its refusal is told at fsync",
    ),
    "rename_to_another_name_of_it": (
        [None, ["b"]], CACHED, "the kernel thinks that they are two files; nothing is lost"),
    "seek_holes": ([0, 1048577, "ENXIO"], ALL, "SFTP 3 has no SEEK_HOLE: all is data"),
    "special_files": (["EPERM", "EPERM", "EPERM", None, ["f"]], ALL,
                      "only files, directories and links are made and shown (SECURITY 11)"),
    "symlinks_with_absolute_targets": (
        "EPERM", ALL, "links that leave the mount are refused without follow_outside"),
    "times_far_away": ([4294967286, 10], ALL, "times are 32 bits without a sign"),
    "times_of_nanoseconds": ([2000000000000], ALL, "times are seconds"),
    "times_of_the_inode": (False, ALL, "attributes have no ctime"),
    "trees_deeper_than_a_path": ("ENAMETOOLONG", ALL, "the server is told whole paths"),
    "unlinked_has_no_links": (1, ALL, "attributes have no link count"),
}


class World:
    """A mount and a local directory that every user may enter."""

    def __init__(self, options):
        self.base = Path(tempfile.mkdtemp(prefix="tp-posix-"))
        os.chmod(self.base, 0o755)
        for name in ("source", "mnt", "local"):
            (self.base / name).mkdir()
        self.server = RawServer()
        self.mount = Mount(self.base / "mnt", f"127.0.0.1:{self.base}/source",
                           f"{self.server.options()}{options}",
                           self.base / "log", PROGRAM)

    def close(self):
        self.mount.kill()
        self.server.close()
        shutil.rmtree(self.base, ignore_errors=True)


@pytest.fixture(scope="module", params=["", "strict", "async_names"])
def world(request):
    os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")
    options = ",default_permissions" + (f",{request.param}" if request.param
                                        else "")
    w = World(options)
    w.option = request.param
    yield w
    w.mount.kill()
    text = w.mount.text()
    w.close()
    assert "Sanitizer" not in text and "runtime error" not in text, text[-4000:]


def result(case, directory):
    try:
        return case(directory)
    except OSError as e:
        return f"OSError {errno.errorcode[e.errno]}"


@pytest.mark.parametrize("name", sorted(CASES))
def test_case(world, name):
    results = []
    for where in ("mnt", "local"):
        d = world.base / where / name
        d.mkdir()
        results.append(result(CASES[name], d))
    here, there = results
    assert not str(there).startswith("OSError")
    wanted, options, why = EXCEPTIONS.get(name, (None, (), ""))
    if world.option in options:
        assert here == wanted, why
        assert here != there, "it is no exception any more"
    else:
        assert here == there


def test_exceptions_are_of_cases():
    assert set(EXCEPTIONS) <= set(CASES)
