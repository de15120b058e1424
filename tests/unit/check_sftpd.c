/* Unit tests: what the agent's file server does with requests, on real files.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sftp/reply.h"
#include "sftp/request.h"
#include "sftpd/session.h"
#include "suite.h"
#include "tempdir.h"

#define TEXT(s) ((struct sftp_text){(s), (uint32_t)strlen(s)})

/* data: rw at /data; config: ro at /etc/app; token at /var/run/t, a file at
 * /etc/one.conf; and outside, which nobody may see. */
static struct {
    char dir[64];
    struct sftpd_exports exports;
    struct sftpd_session *session;
    uint8_t *replies;
    size_t len;
} w;

static int write_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    ck_assert(w.len + len < 8 * SFTP_PACKET_MAX);
    memcpy(w.replies + w.len, data, len);
    w.len += len;
    return 0;
}

static const char *file_at(const char *name)
{
    static char path[4][256];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", w.dir, name);
    return path[turn];
}

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(file_at(name), "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void add(const char *path, const char *source, bool read_only)
{
    ck_assert_int_eq(
        sftpd_exports_add(&w.exports, path, file_at(source), read_only, NULL),
        0);
}

static void greet(void)
{
    static const uint8_t init[] = {0, 0, 0, 5, SFTP_INIT, 0, 0, 0, 3};

    ck_assert_int_eq(sftpd_session_input(w.session, init, sizeof(init)), 9);
    ck_assert_int_eq(w.replies[4], SFTP_VERSION_REPLY);
    w.len = 0;
}

static void setup(void)
{
    static const char *const dirs[] = {"data", "data/nested", "config",
                                       "nested", "outside"};

    memset(&w, 0, sizeof(w));
    tempdir_make(w.dir);
    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
        ck_assert_int_eq(mkdir(file_at(dirs[i]), 0755), 0);
    put_file("outside/secret", "secret");
    put_file("one.conf", "one");
    put_file("config/key", "value");
    put_file("nested/inner", "inner");
    add("/data", "data", false);
    add("/etc/app", "config", true);
    add("/etc/one.conf", "one.conf", false);
    add("/data/nested", "nested", false);
    sftpd_exports_open(&w.exports);
    w.replies = malloc(8 * SFTP_PACKET_MAX);
    w.session = sftpd_session_create(&w.exports, false, write_cb, NULL);
    umask(0);
    greet();
}

static void teardown(void)
{
    sftpd_session_destroy(w.session);
    sftpd_exports_release(&w.exports);
    free(w.replies);
    tempdir_remove(w.dir);
}

/* ---- one request -----------------------------------------------------------
 */

struct answer {
    uint8_t type;
    uint32_t code; /* of STATUS */
    struct sftp_reader body;
};

static struct answer read_answer(uint32_t id)
{
    struct sftp_reader r;
    struct answer a = {0};
    uint32_t len;

    sftp_reader_init(&r, w.replies, w.len);
    len = sftp_get_u32(&r);
    ck_assert_uint_eq(len, sftp_reader_left(&r));
    a.type = sftp_get_u8(&r);
    ck_assert_uint_eq(sftp_get_u32(&r), id);
    a.body = r;
    if (a.type == SFTP_STATUS)
        a.code = sftp_get_u32(&r);
    w.len = 0;
    return a;
}

static struct answer send_packet(const struct sftp_writer *p)
{
    ck_assert_int_eq(sftpd_session_input(w.session, p->data, p->len),
                     (ssize_t)p->len);
    return read_answer(77);
}

static struct answer ask(const struct sftp_request *request)
{
    static uint8_t packet[SFTP_PACKET_MAX + 64];
    struct sftp_request q = *request;
    struct sftp_writer p;

    q.id = 77;
    sftp_writer_init(&p, packet, sizeof(packet));
    ck_assert_int_eq(sftp_encode_request(&p, &q), 0);
    if (q.type == SFTP_WRITE) {
        memcpy(packet + p.len, q.data.data, q.data.len);
        p.len += q.data.len;
    }
    return send_packet(&p);
}

static uint32_t status(const struct sftp_request *q)
{
    struct answer a = ask(q);

    ck_assert_int_eq(a.type, SFTP_STATUS);
    return a.code;
}

#define ASK(...)    ask(&(struct sftp_request){__VA_ARGS__})
#define STATUS(...) status(&(struct sftp_request){__VA_ARGS__})

/* A handle, kept here; len 0 if it was refused. */
static struct sftp_text open_at(const char *path, uint32_t flags)
{
    static char bytes[SFTP_HANDLE_MAX];
    struct answer a =
        ASK(.type = SFTP_OPEN, .path = TEXT(path), .flags = flags);
    struct sftp_text text = {bytes, 0};

    if (a.type != SFTP_HANDLE)
        return text;
    ck_assert_int_eq(sftp_decode_handle(&a.body, &text), 0);
    memcpy(bytes, text.data, text.len);
    text.data = bytes;
    return text;
}

static bool can_read(const char *path, const char *want)
{
    struct sftp_text handle = open_at(path, SFTP_FLAG_READ), data;
    struct answer a;

    if (handle.len == 0)
        return false;
    a = ASK(.type = SFTP_READ, .handle = handle, .count = 1000);
    ck_assert_int_eq(a.type, SFTP_DATA);
    ck_assert_int_eq(sftp_decode_data(&a.body, &data), 0);
    ck_assert_uint_eq(data.len, strlen(want));
    ck_assert_mem_eq(data.data, want, data.len);
    data = handle;
    ck_assert_uint_eq(STATUS(.type = SFTP_CLOSE, .handle = handle), SFTP_OK);
    return true;
}

static struct sftp_attrs attrs_of(const char *path)
{
    struct answer a = ASK(.type = SFTP_LSTAT, .path = TEXT(path));
    struct sftp_attrs attrs = {0};

    if (a.type == SFTP_ATTRS)
        ck_assert_int_eq(sftp_decode_attrs(&a.body, &attrs), 0);
    return attrs;
}

/* ---- the tree ---------------------------------------------------------------
 */

START_TEST(exports_are_there)
{
    ck_assert(can_read("/etc/app/key", "value"));
    ck_assert(can_read("etc//app/./key", "value"));
    ck_assert(can_read("/etc/one.conf", "one"));
    ck_assert(can_read("/data/nested/inner", "inner"));
    ck_assert(S_ISDIR(attrs_of("/").mode));
    ck_assert(S_ISDIR(attrs_of("/etc").mode));
    ck_assert_uint_eq(attrs_of("/etc/passwd").flags, 0);
    ck_assert_uint_eq(attrs_of("/etc/one.conf/x").flags, 0);
    ck_assert_uint_eq(attrs_of("/datax").flags, 0);
}
END_TEST

/* Names of a directory, in one line each; with "." and "..". */
static void list(const char *path, char out[1024])
{
    char bytes[SFTP_HANDLE_MAX];
    struct answer a = ASK(.type = SFTP_OPENDIR, .path = TEXT(path));
    struct sftp_text handle;
    struct sftp_name name;
    uint32_t left;

    out[0] = '\0';
    ck_assert_int_eq(a.type, SFTP_HANDLE);
    sftp_decode_handle(&a.body, &handle);
    memcpy(bytes, handle.data, handle.len);
    handle.data = bytes;
    a = ASK(.type = SFTP_READDIR, .handle = handle);
    ck_assert_int_eq(a.type, SFTP_NAME);
    ck_assert_int_eq(sftp_decode_names(&a.body, &left), 0);
    while (sftp_next_name(&a.body, &left, &name) == 1)
        sprintf(out + strlen(out), "%.*s\n", (int)name.name.len,
                name.name.data);
    ck_assert_uint_eq(STATUS(.type = SFTP_READDIR, .handle = handle), SFTP_EOF);
    ck_assert_uint_eq(STATUS(.type = SFTP_CLOSE, .handle = handle), SFTP_OK);
    ck_assert_uint_eq(STATUS(.type = SFTP_CLOSE, .handle = handle),
                      SFTP_BAD_MESSAGE);
}

START_TEST(directories_are_listed)
{
    char names[1024];

    list("/", names);
    ck_assert_str_eq(names, "data\netc\n");
    list("/etc", names);
    ck_assert_str_eq(names, "app\none.conf\n");
    list("/etc/app", names);
    ck_assert_ptr_nonnull(strstr(names, "key\n"));
    ck_assert_ptr_null(strstr(names, "secret"));
}
END_TEST

/* The entry's type and size as a listing says them, in its attributes and in
 * the line for people. */
static void check_entry(const struct sftp_name *name, mode_t type,
                        uint64_t size)
{
    static const char letters[] = {[S_IFREG >> 12] = '-',
                                   [S_IFDIR >> 12] = 'd'};

    ck_assert_uint_ne(name->attrs.flags & SFTP_ATTR_PERMISSIONS, 0);
    ck_assert_uint_eq(name->attrs.mode & S_IFMT, type);
    ck_assert_int_eq(name->longname.data[0], letters[type >> 12]);
    if (type == S_IFREG)
        ck_assert_uint_eq(name->attrs.size, size);
}

/* Above exports: one that is a file (a subPath) is listed as one, with its own
 * attributes; the ways are directories; what is not there has no attributes. */
START_TEST(files_among_exports_are_listed)
{
    struct answer a = ASK(.type = SFTP_OPENDIR, .path = TEXT("/etc"));
    char bytes[SFTP_HANDLE_MAX];
    struct sftp_text handle;
    struct sftp_name name;
    uint32_t left;
    unsigned seen = 0;

    ck_assert_int_eq(unlink(file_at("one.conf")), 0);
    put_file("one.conf", "another"); /* as the kubelet replaces it */
    sftp_decode_handle(&a.body, &handle);
    memcpy(bytes, handle.data, handle.len);
    handle.data = bytes;
    a = ASK(.type = SFTP_READDIR, .handle = handle);
    ck_assert_int_eq(sftp_decode_names(&a.body, &left), 0);
    ck_assert_uint_eq(left, 2);
    while (sftp_next_name(&a.body, &left, &name) == 1) {
        bool is_file = name.name.len == 8;

        check_entry(&name, is_file ? S_IFREG : S_IFDIR, 7);
        seen |= is_file ? 1 : 2;
    }
    ck_assert_uint_eq(seen, 3);
    ck_assert_int_eq(unlink(file_at("one.conf")), 0);
    a = ASK(.type = SFTP_OPENDIR, .path = TEXT("/etc"));
    sftp_decode_handle(&a.body, &handle);
    memcpy(bytes, handle.data, handle.len);
    handle.data = bytes;
    a = ASK(.type = SFTP_READDIR, .handle = handle);
    ck_assert_int_eq(sftp_decode_names(&a.body, &left), 0);
    while (sftp_next_name(&a.body, &left, &name) == 1)
        if (name.name.len == 8)
            ck_assert_uint_eq(name.attrs.flags, 0);
}
END_TEST

START_TEST(nothing_leads_out)
{
    static const char *const paths[] = {
        "/data/../outside/secret",
        "/data/../../../../../../../../../../etc/passwd",
        "/../../etc/passwd",
        "/data/up/outside/secret",
        "/data/absolute",
        "/data/relative",
        "/data/proc/self/root/etc/passwd",
        "/data/fd",
        "/proc/self/root/etc/passwd",
        "/data/../proc/self/environ",
    };
    char outside[128];

    ck_assert_int_eq(symlink("..", file_at("data/up")), 0);
    ck_assert_int_eq(
        symlink(file_at("outside/secret"), file_at("data/absolute")), 0);
    ck_assert_int_eq(symlink("../outside/secret", file_at("data/relative")), 0);
    ck_assert_int_eq(symlink("/proc", file_at("data/proc")), 0);
    ck_assert_int_eq(symlink("/proc/self/fd/0", file_at("data/fd")), 0);
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        ck_assert_msg(open_at(paths[i], SFTP_FLAG_READ).len == 0, "%s",
                      paths[i]);
        ck_assert_msg(
            open_at(paths[i], SFTP_FLAG_WRITE | SFTP_FLAG_CREAT).len == 0, "%s",
            paths[i]);
        ck_assert_int_eq(ASK(.type = SFTP_STAT, .path = TEXT(paths[i])).type,
                         SFTP_STATUS);
        ck_assert_uint_ne(
            STATUS(.type = SFTP_SETSTAT, .path = TEXT(paths[i]),
                   .attrs = {.flags = SFTP_ATTR_PERMISSIONS, .mode = 0}),
            SFTP_OK);
    }
    ck_assert_uint_ne(
        STATUS(.type = SFTP_MKDIR, .path = TEXT("/data/up/outside/dir")),
        SFTP_OK);
    ck_assert_uint_ne(
        STATUS(.type = SFTP_REMOVE, .path = TEXT("/data/up/outside/secret")),
        SFTP_OK);
    ck_assert_uint_ne(STATUS(.type = SFTP_RENAME, .path = TEXT("/data/fd"),
                             .target = TEXT("/data/up/outside/fd")),
                      SFTP_OK);
    ck_assert_uint_ne(STATUS(.type = SFTP_EXTENDED,
                             .extension = SFTP_HAS_HARDLINK,
                             .path = TEXT("/data/up/outside/secret"),
                             .target = TEXT("/data/mine")),
                      SFTP_OK);
    ck_assert_int_eq(ASK(.type = SFTP_OPENDIR, .path = TEXT("/data/up")).type,
                     SFTP_STATUS);
    snprintf(outside, sizeof(outside), "%s", file_at("outside/secret"));
    ck_assert_int_eq(access(outside, R_OK), 0);
    ck_assert_int_ne(access(file_at("outside/dir"), F_OK), 0);
}
END_TEST

/* What is mounted below an export is another export's, or nobody's: a token
 * that this client may not see. Needs a mount namespace (root, or user
 * namespaces); without one there is nothing to test. */
START_TEST(mounts_below_are_not_served)
{
    char where[128];

    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return;
    snprintf(where, sizeof(where), "%s", file_at("data/hidden"));
    ck_assert_int_eq(mkdir(where, 0755), 0);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(file_at("outside"), where, NULL, MS_BIND, NULL) < 0)
        return;
    ck_assert_int_eq(symlink("hidden/secret", file_at("data/there")), 0);
    /* Roots of before are those of the other namespace. */
    sftpd_exports_release(&w.exports);
    add("/data", "data", false);
    sftpd_exports_open(&w.exports);
    put_file("data/plain", "plain");
    ck_assert(can_read("/data/plain", "plain"));
    ck_assert_int_eq(access(file_at("data/hidden/secret"), R_OK), 0);
    ck_assert(!can_read("/data/hidden/secret", "secret"));
    ck_assert(!can_read("/data/there", "secret"));
    ck_assert_int_eq(
        ASK(.type = SFTP_OPENDIR, .path = TEXT("/data/hidden")).type,
        SFTP_STATUS);
    ck_assert_uint_ne(
        STATUS(.type = SFTP_REMOVE, .path = TEXT("/data/hidden/secret")),
        SFTP_OK);
    ck_assert_int_eq(umount2(where, MNT_DETACH), 0);
}
END_TEST

START_TEST(links_within_are_followed)
{
    struct answer a;
    struct sftp_name name;
    uint32_t left;

    put_file("data/real", "text");
    ck_assert_uint_eq(STATUS(.type = SFTP_SYMLINK, .path = TEXT("/data/link"),
                             .target = TEXT("real")),
                      SFTP_OK);
    ck_assert(can_read("/data/link", "text"));
    ck_assert(S_ISLNK(attrs_of("/data/link").mode));
    /* Any text can be in a link; who follows it is the client. */
    ck_assert_uint_eq(STATUS(.type = SFTP_SYMLINK, .path = TEXT("/data/far"),
                             .target = TEXT("/etc/passwd")),
                      SFTP_OK);
    a = ASK(.type = SFTP_READLINK, .path = TEXT("/data/far"));
    ck_assert_int_eq(a.type, SFTP_NAME);
    sftp_decode_names(&a.body, &left);
    ck_assert_int_eq(sftp_next_name(&a.body, &left, &name), 1);
    ck_assert_mem_eq(name.name.data, "/etc/passwd", name.name.len);
    ck_assert_uint_eq(STATUS(.type = SFTP_READLINK, .path = TEXT("/data/real")),
                      SFTP_BAD_MESSAGE);
}
END_TEST

/* ---- files ------------------------------------------------------------------
 */

START_TEST(files_are_written)
{
    struct sftp_text handle = open_at(
        "/data/new", SFTP_FLAG_WRITE | SFTP_FLAG_CREAT | SFTP_FLAG_EXCL);
    struct stat st;

    ck_assert_uint_gt(handle.len, 0);
    ck_assert_uint_eq(STATUS(.type = SFTP_WRITE, .handle = handle, .offset = 2,
                             .data = TEXT("cd")),
                      SFTP_OK);
    ck_assert_uint_eq(
        STATUS(.type = SFTP_WRITE, .handle = handle, .data = TEXT("ab")),
        SFTP_OK);
    ck_assert_uint_eq(STATUS(.type = SFTP_EXTENDED, .handle = handle,
                             .extension = SFTP_HAS_FSYNC),
                      SFTP_OK);
    ck_assert_uint_eq(
        STATUS(.type = SFTP_FSETSTAT, .handle = handle,
               .attrs = {.flags = SFTP_ATTR_PERMISSIONS | SFTP_ATTR_ACMODTIME,
                         .mode = 0640,
                         .mtime = 1234567}),
        SFTP_OK);
    ck_assert_uint_eq(STATUS(.type = SFTP_CLOSE, .handle = handle), SFTP_OK);
    ck_assert(can_read("/data/new", "abcd"));
    ck_assert_int_eq(stat(file_at("data/new"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
    ck_assert_int_eq(st.st_mtim.tv_sec, 1234567);
    ck_assert_uint_eq(attrs_of("/data/new").mtime, 1234567);
    ck_assert_uint_eq(
        open_at("/data/new", SFTP_FLAG_WRITE | SFTP_FLAG_CREAT | SFTP_FLAG_EXCL)
            .len,
        0);
    ck_assert_uint_eq(
        STATUS(.type = SFTP_SETSTAT, .path = TEXT("/data/new"),
               .attrs = {.flags = SFTP_ATTR_SIZE | SFTP_ATTR_PERMISSIONS,
                         .size = 1,
                         .mode = 04755}),
        SFTP_OK);
    ck_assert_int_eq(stat(file_at("data/new"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 04755);
    ck_assert_int_eq(st.st_size, 1);
}
END_TEST

START_TEST(appending_appends)
{
    struct sftp_text handle;

    put_file("data/log", "one ");
    handle = open_at("/data/log", SFTP_FLAG_WRITE | SFTP_FLAG_APPEND);
    ck_assert_uint_eq(
        STATUS(.type = SFTP_WRITE, .handle = handle, .data = TEXT("two")),
        SFTP_OK);
    ck_assert(can_read("/data/log", "one two"));
}
END_TEST

START_TEST(names_change)
{
    put_file("data/a", "a");
    put_file("data/b", "b");
    ck_assert_uint_eq(STATUS(.type = SFTP_RENAME, .path = TEXT("/data/a"),
                             .target = TEXT("/data/b")),
                      SFTP_FAILURE);
    ck_assert_uint_eq(STATUS(.type = SFTP_RENAME, .path = TEXT("/data/a"),
                             .target = TEXT("/data/c")),
                      SFTP_OK);
    ck_assert_uint_eq(STATUS(.type = SFTP_EXTENDED, .path = TEXT("/data/c"),
                             .extension = SFTP_HAS_POSIX_RENAME,
                             .target = TEXT("/data/b")),
                      SFTP_OK);
    ck_assert(can_read("/data/b", "a"));
    ck_assert_uint_eq(STATUS(.type = SFTP_EXTENDED, .path = TEXT("/data/b"),
                             .extension = SFTP_HAS_HARDLINK,
                             .target = TEXT("/data/hard")),
                      SFTP_OK);
    ck_assert_uint_eq(STATUS(.type = SFTP_REMOVE, .path = TEXT("/data/b")),
                      SFTP_OK);
    ck_assert(can_read("/data/hard", "a"));
    ck_assert_uint_eq(
        STATUS(.type = SFTP_MKDIR, .path = TEXT("/data/d"),
               .attrs = {.flags = SFTP_ATTR_PERMISSIONS, .mode = 0700}),
        SFTP_OK);
    ck_assert_uint_eq(attrs_of("/data/d").mode, S_IFDIR | 0700);
    ck_assert_uint_eq(STATUS(.type = SFTP_REMOVE, .path = TEXT("/data/d")),
                      SFTP_FAILURE);
    ck_assert_uint_eq(STATUS(.type = SFTP_RMDIR, .path = TEXT("/data/d")),
                      SFTP_OK);
    ck_assert_uint_eq(STATUS(.type = SFTP_RMDIR, .path = TEXT("/data/nested")),
                      SFTP_FAILURE); /* an export */
    ck_assert_uint_eq(STATUS(.type = SFTP_MKDIR, .path = TEXT("/etc/new")),
                      SFTP_NO_SUCH_FILE);
}
END_TEST

static void check_read_only(const char *path, const char *below)
{
    char name[128], other[128];

    snprintf(name, sizeof(name), "%s%s", path, below);
    snprintf(other, sizeof(other), "%s/other", path);
    ck_assert_uint_eq(open_at(name, SFTP_FLAG_READ | SFTP_FLAG_WRITE).len, 0);
    ck_assert_uint_eq(open_at(name, SFTP_FLAG_READ | SFTP_FLAG_TRUNC).len, 0);
    ck_assert_uint_eq(open_at(other, SFTP_FLAG_READ | SFTP_FLAG_CREAT).len, 0);
    ck_assert_uint_eq(STATUS(.type = SFTP_REMOVE, .path = TEXT(name)),
                      SFTP_PERMISSION_DENIED);
    ck_assert_uint_eq(
        STATUS(.type = SFTP_RENAME, .path = TEXT(name), .target = TEXT(other)),
        SFTP_PERMISSION_DENIED);
    ck_assert_uint_eq(STATUS(.type = SFTP_MKDIR, .path = TEXT(other)),
                      SFTP_PERMISSION_DENIED);
    ck_assert_uint_eq(
        STATUS(.type = SFTP_SYMLINK, .path = TEXT(other), .target = TEXT("x")),
        SFTP_PERMISSION_DENIED);
    ck_assert_uint_eq(STATUS(.type = SFTP_SETSTAT, .path = TEXT(name),
                             .attrs = {.flags = SFTP_ATTR_PERMISSIONS}),
                      SFTP_PERMISSION_DENIED);
}

START_TEST(read_only_is_read_only)
{
    struct sftp_text handle = open_at("/etc/app/key", SFTP_FLAG_READ);
    struct sftp_statvfs st;
    struct answer a;

    check_read_only("/etc/app", "/key");
    ck_assert_uint_eq(STATUS(.type = SFTP_FSETSTAT, .handle = handle,
                             .attrs = {.flags = SFTP_ATTR_PERMISSIONS}),
                      SFTP_PERMISSION_DENIED);
    ck_assert_uint_ne(
        STATUS(.type = SFTP_WRITE, .handle = handle, .data = TEXT("x")),
        SFTP_OK);
    a = ASK(.type = SFTP_EXTENDED, .extension = SFTP_HAS_STATVFS,
            .path = TEXT("/etc/app"));
    ck_assert_int_eq(a.type, SFTP_EXTENDED_REPLY);
    ck_assert_int_eq(sftp_decode_statvfs(&a.body, &st), 0);
    ck_assert_uint_eq(st.flag & 1, 1);
    ck_assert(can_read("/etc/app/key", "value"));
}
END_TEST

START_TEST(an_engagement_may_be_read_only)
{
    put_file("data/x", "x");
    sftpd_session_destroy(w.session);
    w.session = sftpd_session_create(&w.exports, true, write_cb, NULL);
    greet();
    check_read_only("/data", "/x");
    ck_assert(can_read("/data/x", "x"));
}
END_TEST

START_TEST(only_files_and_directories_open)
{
    ck_assert_int_eq(mkfifo(file_at("data/fifo"), 0666), 0);
    ck_assert_uint_eq(open_at("/data/fifo", SFTP_FLAG_READ).len, 0);
    ck_assert_uint_eq(
        open_at("/data/fifo", SFTP_FLAG_READ | SFTP_FLAG_WRITE).len, 0);
    ck_assert_uint_eq(open_at("/data", SFTP_FLAG_READ).len, 0);
    ck_assert_uint_eq(open_at("/", SFTP_FLAG_READ).len, 0);
}
END_TEST

START_TEST(handles_are_limited)
{
    size_t count = 0;

    put_file("data/x", "x");
    while (open_at("/data/x", SFTP_FLAG_READ).len > 0)
        ck_assert_uint_le(++count, 1024);
    ck_assert_uint_ge(count, 500);
}
END_TEST

/* ---- extensions of ours, packets --------------------------------------------
 */

static void begin_extended(struct sftp_writer *p, void *data, size_t size,
                           const char *name)
{
    sftp_writer_init(p, data, size);
    sftp_begin(p, SFTP_EXTENDED);
    sftp_put_u32(p, 77);
    sftp_put_string(p, name);
}

START_TEST(limits_are_told)
{
    uint8_t packet[256];
    struct sftp_writer p;
    struct answer a;

    begin_extended(&p, packet, sizeof(packet), "limits@openssh.com");
    sftp_finish(&p, 0);
    a = send_packet(&p);
    ck_assert_int_eq(a.type, SFTP_EXTENDED_REPLY);
    ck_assert_uint_eq(sftp_get_u64(&a.body), SFTP_PACKET_MAX);
    ck_assert_uint_eq(sftp_get_u64(&a.body), SFTPD_DATA_MAX);
}
END_TEST

START_TEST(data_is_copied)
{
    uint8_t packet[256];
    char from[8], to[8];
    struct sftp_text handle;
    struct sftp_writer p;

    put_file("data/from", "0123456789");
    handle = open_at("/data/from", SFTP_FLAG_READ);
    memcpy(from, handle.data, 8);
    handle = open_at("/data/to", SFTP_FLAG_WRITE | SFTP_FLAG_CREAT);
    memcpy(to, handle.data, 8);
    begin_extended(&p, packet, sizeof(packet), "copy-data");
    sftp_put_text(&p, from, 8);
    sftp_put_u64(&p, 2);
    sftp_put_u64(&p, 5);
    sftp_put_text(&p, to, 8);
    sftp_put_u64(&p, 1);
    sftp_finish(&p, 0);
    ck_assert_uint_eq(send_packet(&p).code, SFTP_OK);
    ck_assert_uint_eq(STATUS(.type = SFTP_SETSTAT, .path = TEXT("/data/to"),
                             .attrs = {.flags = SFTP_ATTR_SIZE, .size = 6}),
                      SFTP_OK);
    handle = open_at("/data/to", SFTP_FLAG_READ | SFTP_FLAG_WRITE);
    ck_assert_uint_eq(
        STATUS(.type = SFTP_WRITE, .handle = handle, .data = TEXT("x")),
        SFTP_OK);
    ck_assert(can_read("/data/to", "x23456"));
}
END_TEST

START_TEST(malformed_requests_are_answered)
{
    uint8_t packet[64];
    struct sftp_writer p;

    begin_extended(&p, packet, sizeof(packet), "unknown@example.org");
    sftp_finish(&p, 0);
    ck_assert_uint_eq(send_packet(&p).code, SFTP_OP_UNSUPPORTED);
    sftp_writer_init(&p, packet, sizeof(packet));
    sftp_begin(&p, SFTP_OPEN);
    sftp_put_u32(&p, 77);
    sftp_put_u32(&p, 1000); /* a path that is not there */
    sftp_finish(&p, 0);
    ck_assert_uint_eq(send_packet(&p).code, SFTP_BAD_MESSAGE);
    /* What has no id, or is too long, ends it. */
    ck_assert_int_lt(sftpd_session_input(w.session, "\0\0\0\1\3", 5), 0);
    ck_assert_int_lt(sftpd_session_input(w.session, "\0\x10\0\0\3", 5), 0);
    ck_assert_int_lt(sftpd_session_input(w.session, "\0\0\0\0\3", 5), 0);
}
END_TEST

/* Many at once, cut anywhere: replies in order. */
START_TEST(requests_are_pipelined)
{
    static uint8_t packets[200 * 64];
    struct sftp_writer p;
    struct sftp_reader r;
    size_t len = 0, fed = 0, kept = 0;

    put_file("data/x", "x");
    for (uint32_t id = 0; id < 200; id++) {
        struct sftp_request q = {
            .type = SFTP_LSTAT, .id = id, .path = TEXT("/data/x")};

        sftp_writer_init(&p, packets + len, sizeof(packets) - len);
        ck_assert_int_eq(sftp_encode_request(&p, &q), 0);
        len += p.len;
    }
    while (fed < len) {
        ssize_t done;

        fed = fed + 37 < len ? fed + 37 : len;
        done = sftpd_session_input(w.session, packets + kept, fed - kept);
        ck_assert_int_ge(done, 0);
        kept += (size_t)done;
    }
    ck_assert_uint_eq(kept, len);
    sftp_reader_init(&r, w.replies, w.len);
    for (uint32_t id = 0; id < 200; id++) {
        struct sftp_text packet = sftp_get_text(&r);

        ck_assert_int_eq(packet.data[0], SFTP_ATTRS);
        ck_assert_int_eq((uint8_t)packet.data[4], id);
    }
    ck_assert(sftp_reader_done(&r));
}
END_TEST

START_TEST(large_directories_come_in_parts)
{
    struct answer a = {0};
    char name[64], bytes[SFTP_HANDLE_MAX];
    struct sftp_text handle;
    size_t seen = 0;
    uint32_t left;

    for (int i = 0; i < 1500; i++) {
        snprintf(name, sizeof(name), "data/%040d", i);
        put_file(name, "");
    }
    a = ASK(.type = SFTP_OPENDIR, .path = TEXT("/data"));
    sftp_decode_handle(&a.body, &handle);
    memcpy(bytes, handle.data, handle.len);
    handle.data = bytes;
    for (int parts = 0;; parts++) {
        a = ASK(.type = SFTP_READDIR, .handle = handle);
        if (a.type == SFTP_STATUS)
            break;
        sftp_decode_names(&a.body, &left);
        seen += left;
        ck_assert_int_lt(parts, 100);
    }
    ck_assert_uint_eq(a.code, SFTP_EOF);
    ck_assert_uint_eq(seen, 1503); /* ".", "..", "nested" */
}
END_TEST

static Suite *sftpd_suite(void)
{
    Suite *suite = suite_create("sftpd");
    TCase *tc = tcase_create("requests");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, exports_are_there);
    tcase_add_test(tc, directories_are_listed);
    tcase_add_test(tc, files_among_exports_are_listed);
    tcase_add_test(tc, nothing_leads_out);
    tcase_add_test(tc, mounts_below_are_not_served);
    tcase_add_test(tc, links_within_are_followed);
    tcase_add_test(tc, files_are_written);
    tcase_add_test(tc, appending_appends);
    tcase_add_test(tc, names_change);
    tcase_add_test(tc, read_only_is_read_only);
    tcase_add_test(tc, an_engagement_may_be_read_only);
    tcase_add_test(tc, only_files_and_directories_open);
    tcase_add_test(tc, handles_are_limited);
    tcase_add_test(tc, limits_are_told);
    tcase_add_test(tc, data_is_copied);
    tcase_add_test(tc, malformed_requests_are_answered);
    tcase_add_test(tc, requests_are_pipelined);
    tcase_add_test(tc, large_directories_come_in_parts);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(sftpd_suite());
}
