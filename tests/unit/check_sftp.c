/* Unit tests: packets of SFTP, both ways. */
#include <errno.h>
#include <string.h>

#include "sftp/reply.h"
#include "sftp/request.h"
#include "sftp/status.h"
#include "suite.h"

#define TEXT(s) ((struct sftp_text){(s), sizeof(s) - 1})

static const struct sftp_attrs some_attrs = {
    .flags = SFTP_ATTR_SIZE | SFTP_ATTR_UIDGID | SFTP_ATTR_PERMISSIONS |
             SFTP_ATTR_ACMODTIME,
    .uid = 1000,
    .gid = 100,
    .mode = 0100644,
    .atime = 1,
    .mtime = 0xfffffffe,
    .size = 5ull << 32,
};

static const struct sftp_request requests[] = {
    {.type = SFTP_OPEN,
     .path = TEXT("/a\xff b"),
     .flags = 0x1b,
     .attrs = {.flags = SFTP_ATTR_PERMISSIONS, .mode = 0600}},
    {.type = SFTP_CLOSE, .handle = TEXT("h")},
    {.type = SFTP_READ,
     .handle = TEXT("\0\0\1"),
     .offset = 1ull << 40,
     .count = 131072},
    {.type = SFTP_WRITE, .handle = TEXT("h"), .offset = 7, .data = TEXT("xyz")},
    {.type = SFTP_LSTAT, .path = TEXT("p")},
    {.type = SFTP_FSTAT, .handle = TEXT("h")},
    {.type = SFTP_SETSTAT, .path = TEXT("p"), .attrs = {.flags = 0}},
    {.type = SFTP_FSETSTAT,
     .handle = TEXT("h"),
     .attrs = {.flags = SFTP_ATTR_SIZE, .size = 12}},
    {.type = SFTP_OPENDIR, .path = TEXT("")},
    {.type = SFTP_READDIR, .handle = TEXT("h")},
    {.type = SFTP_REMOVE, .path = TEXT("p")},
    {.type = SFTP_MKDIR, .path = TEXT("p")},
    {.type = SFTP_RMDIR, .path = TEXT("p")},
    {.type = SFTP_REALPATH, .path = TEXT(".")},
    {.type = SFTP_STAT, .path = TEXT("p")},
    {.type = SFTP_RENAME, .path = TEXT("from"), .target = TEXT("to")},
    {.type = SFTP_READLINK, .path = TEXT("p")},
    {.type = SFTP_SYMLINK, .path = TEXT("link"), .target = TEXT("../x")},
    {.type = SFTP_EXTENDED,
     .extension = SFTP_HAS_POSIX_RENAME,
     .path = TEXT("from"),
     .target = TEXT("to")},
    {.type = SFTP_EXTENDED,
     .extension = SFTP_HAS_HARDLINK,
     .path = TEXT("from"),
     .target = TEXT("to")},
    {.type = SFTP_EXTENDED, .extension = SFTP_HAS_STATVFS, .path = TEXT("p")},
    {.type = SFTP_EXTENDED, .extension = SFTP_HAS_FSYNC, .handle = TEXT("h")},
    {.type = SFTP_EXTENDED,
     .extension = SFTP_HAS_LSETSTAT,
     .path = TEXT("p"),
     .attrs = {.flags = SFTP_ATTR_ACMODTIME, .atime = 3, .mtime = 4}},
};

#define N_REQUESTS ((int)(sizeof(requests) / sizeof(requests[0])))

static void same_text(struct sftp_text a, struct sftp_text b)
{
    ck_assert_uint_eq(a.len, b.len);
    if (b.len)
        ck_assert_mem_eq(a.data, b.data, b.len);
}

/* The packet of request i without its length field; WRITE with its data. */
static size_t packet_of(int i, uint8_t *out, size_t size)
{
    struct sftp_writer w;
    size_t len;

    sftp_writer_init(&w, out, size);
    ck_assert_int_eq(sftp_encode_request(&w, &requests[i]), 0);
    len = w.len;
    if (requests[i].type == SFTP_WRITE) {
        memcpy(out + len, requests[i].data.data, requests[i].data.len);
        len += requests[i].data.len;
    }
    ck_assert_uint_eq(len - 4, (size_t)out[2] << 8 | out[3]);
    memmove(out, out + 4, len - 4);
    return len - 4;
}

START_TEST(requests_come_back)
{
    const struct sftp_request *want = &requests[_i];
    struct sftp_request got;
    uint8_t packet[512];
    size_t len = packet_of(_i, packet, sizeof(packet));

    ck_assert_int_eq(sftp_decode_request(&got, packet, len), 0);
    ck_assert_int_eq(got.type, want->type);
    ck_assert_uint_eq(got.extension, want->extension);
    ck_assert_uint_eq(got.flags, want->flags);
    ck_assert_uint_eq(got.count, want->count);
    ck_assert_uint_eq(got.offset, want->offset);
    same_text(got.path, want->path);
    same_text(got.target, want->target);
    same_text(got.handle, want->handle);
    same_text(got.data, want->data);
    ck_assert_mem_eq(&got.attrs, &want->attrs, sizeof(got.attrs));
}
END_TEST

START_TEST(cut_or_longer_requests_are_refused)
{
    struct sftp_request got;
    uint8_t packet[512];
    size_t len = packet_of(_i, packet, sizeof(packet));

    for (size_t cut = 0; cut < len; cut++) {
        int rc = sftp_decode_request(&got, packet, cut);

        /* a name that is cut is an unknown extension at most */
        ck_assert_int_lt(rc, 0);
    }
    packet[len] = 0;
    ck_assert_int_eq(sftp_decode_request(&got, packet, len + 1), -EBADMSG);
}
END_TEST

START_TEST(symlink_is_as_openssh_has_it)
{
    struct sftp_request q = {
        .type = SFTP_SYMLINK, .path = TEXT("link"), .target = TEXT("says")};
    uint8_t packet[64];
    struct sftp_writer w;

    sftp_writer_init(&w, packet, sizeof(packet));
    ck_assert_int_eq(sftp_encode_request(&w, &q), 0);
    ck_assert_mem_eq(packet + 9, "\0\0\0\4says\0\0\0\4link", 16);
}
END_TEST

START_TEST(unknown_requests_keep_their_id)
{
    static const uint8_t unknown[] = {99, 0, 0, 0, 7};
    static const uint8_t extended[] = "\310\0\0\0\7\0\0\0\3a@b";
    struct sftp_request q;

    ck_assert_int_eq(sftp_decode_request(&q, unknown, 5), -EOPNOTSUPP);
    ck_assert_uint_eq(q.id, 7);
    ck_assert_int_eq(sftp_decode_request(&q, extended, 12), -EOPNOTSUPP);
    ck_assert_uint_eq(q.id, 7);
}
END_TEST

START_TEST(a_path_with_nul_is_refused)
{
    static const uint8_t stat[] = "\7\0\0\0\1\0\0\0\3a\0b";
    struct sftp_request q;

    ck_assert_int_eq(sftp_decode_request(&q, stat, 12), -EBADMSG);
}
END_TEST

static struct sftp_reader body_of(struct sftp_writer *w)
{
    struct sftp_reader r;

    sftp_reader_init(&r, w->data + 9, w->len - 9);
    return r;
}

START_TEST(replies_come_back)
{
    uint8_t packet[512];
    struct sftp_writer w;
    struct sftp_reader r;
    struct sftp_reply_status status;
    struct sftp_text handle;
    struct sftp_attrs attrs;
    struct sftp_statvfs in = {.bsize = 1, .namemax = 255}, st;

    sftp_writer_init(&w, packet, sizeof(packet));
    ck_assert_int_eq(sftp_encode_status(&w, 1, SFTP_FAILURE, "no"), 0);
    r = body_of(&w);
    ck_assert_int_eq(sftp_decode_status(&r, &status), 0);
    ck_assert_uint_eq(status.code, SFTP_FAILURE);
    same_text(status.message, TEXT("no"));

    ck_assert_int_eq(sftp_encode_handle(&w, 1, "\0\1", 2), 0);
    r = body_of(&w);
    ck_assert_int_eq(sftp_decode_handle(&r, &handle), 0);
    same_text(handle, TEXT("\0\1"));

    ck_assert_int_eq(sftp_encode_attrs(&w, 1, &some_attrs), 0);
    r = body_of(&w);
    ck_assert_int_eq(sftp_decode_attrs(&r, &attrs), 0);
    ck_assert_mem_eq(&attrs, &some_attrs, sizeof(attrs));

    ck_assert_int_eq(sftp_encode_statvfs(&w, 1, &in), 0);
    r = body_of(&w);
    ck_assert_int_eq(sftp_decode_statvfs(&r, &st), 0);
    ck_assert_mem_eq(&in, &st, sizeof(st));
}
END_TEST

START_TEST(a_bare_status_is_enough)
{
    struct sftp_reply_status status;
    struct sftp_reader r;

    sftp_reader_init(&r, "\0\0\0\2", 4);
    ck_assert_int_eq(sftp_decode_status(&r, &status), 0);
    sftp_reader_init(&r, "\0\0\0", 3);
    ck_assert_int_eq(sftp_decode_status(&r, &status), -EBADMSG);
}
END_TEST

START_TEST(handles_have_a_length)
{
    uint8_t packet[512];
    char handle[SFTP_HANDLE_MAX + 1] = "";
    struct sftp_writer w;
    struct sftp_reader r;
    struct sftp_text got;

    sftp_writer_init(&w, packet, sizeof(packet));
    sftp_encode_handle(&w, 1, handle, sizeof(handle));
    r = body_of(&w);
    ck_assert_int_eq(sftp_decode_handle(&r, &got), -EBADMSG);
    sftp_encode_handle(&w, 1, handle, 0);
    r = body_of(&w);
    ck_assert_int_eq(sftp_decode_handle(&r, &got), -EBADMSG);
}
END_TEST

START_TEST(names_come_back_until_they_do_not_fit)
{
    uint8_t packet[300];
    struct sftp_writer w;
    struct sftp_reader r;
    struct sftp_name name;
    uint32_t count = 0, left;
    size_t mark;

    sftp_writer_init(&w, packet, sizeof(packet));
    sftp_begin_names(&w, 9, &mark);
    while (sftp_add_name(&w, "name", "long", &some_attrs) == 0)
        count++;
    ck_assert_int_eq(sftp_end_names(&w, mark, count), 0);
    ck_assert_uint_gt(count, 2);
    r = body_of(&w);
    ck_assert_int_eq(sftp_decode_names(&r, &left), 0);
    ck_assert_uint_eq(left, count);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(sftp_next_name(&r, &left, &name), 1);
        same_text(name.name, TEXT("name"));
    }
    ck_assert_int_eq(sftp_next_name(&r, &left, &name), 0);
}
END_TEST

START_TEST(a_count_of_names_that_are_not_there)
{
    struct sftp_name name;
    struct sftp_reader r;
    uint32_t left;

    sftp_reader_init(&r, "\377\377\377\377\0\0\0\1a", 9);
    ck_assert_int_eq(sftp_decode_names(&r, &left), 0);
    ck_assert_int_eq(sftp_next_name(&r, &left, &name), -EBADMSG);
}
END_TEST

START_TEST(entries_of_directories)
{
    char longest[256];

    memset(longest, 'x', sizeof(longest));
    ck_assert(sftp_name_is_entry(TEXT("a")));
    ck_assert(sftp_name_is_entry(TEXT("...")));
    ck_assert(sftp_name_is_entry(TEXT("\xff\n\\")));
    ck_assert(sftp_name_is_entry((struct sftp_text){longest, 255}));
    ck_assert(!sftp_name_is_entry((struct sftp_text){longest, 256}));
    ck_assert(!sftp_name_is_entry(TEXT("")));
    ck_assert(!sftp_name_is_entry(TEXT(".")));
    ck_assert(!sftp_name_is_entry(TEXT("..")));
    ck_assert(!sftp_name_is_entry(TEXT("a/b")));
    ck_assert(!sftp_name_is_entry(TEXT("/")));
    ck_assert(!sftp_name_is_entry(TEXT("a\0b")));
}
END_TEST

START_TEST(versions)
{
    uint8_t packet[512];
    struct sftp_writer w;
    struct sftp_reader r;
    uint32_t bits;

    sftp_writer_init(&w, packet, sizeof(packet));
    ck_assert_int_eq(sftp_encode_version(&w, SFTP_HAS_FSYNC | SFTP_HAS_STATVFS),
                     0);
    sftp_reader_init(&r, w.data + 5, w.len - 5);
    ck_assert_int_eq(sftp_decode_version(&r, &bits), 0);
    ck_assert_uint_eq(bits, SFTP_HAS_FSYNC | SFTP_HAS_STATVFS);
    sftp_reader_init(&r, "\0\0\0\2", 4);
    ck_assert_int_eq(sftp_decode_version(&r, &bits), -EPROTONOSUPPORT);
    sftp_reader_init(&r, "\0\0\0\3\0\0\0\1", 8);
    ck_assert_int_eq(sftp_decode_version(&r, &bits), -EBADMSG);
}
END_TEST

START_TEST(what_does_not_fit_is_said)
{
    uint8_t packet[20];
    struct sftp_writer w;

    sftp_writer_init(&w, packet, sizeof(packet));
    ck_assert_int_eq(sftp_encode_request(&w, &requests[0]), -ENOBUFS);
    ck_assert_int_eq(sftp_encode_data(&w, 1, SFTP_PACKET_MAX), -ENOBUFS);
}
END_TEST

START_TEST(status_and_errno)
{
    ck_assert_int_eq(sftp_status_errno(SFTP_OK), 0);
    ck_assert_int_eq(sftp_status_errno(SFTP_EOF), SFTP_ERR_EOF);
    ck_assert_int_eq(sftp_status_errno(12345), -EIO);
    ck_assert_uint_eq(sftp_errno_status(-EXDEV), SFTP_PERMISSION_DENIED);
    ck_assert_uint_eq(sftp_errno_status(-ENOSPC), SFTP_FAILURE);
    for (uint32_t code = SFTP_OK; code <= SFTP_BAD_MESSAGE; code++)
        ck_assert_uint_eq(sftp_errno_status(sftp_status_errno(code)), code);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sftp");
    TCase *t = tcase_create("packets");

    tcase_add_loop_test(t, requests_come_back, 0, N_REQUESTS);
    tcase_add_loop_test(t, cut_or_longer_requests_are_refused, 0, N_REQUESTS);
    tcase_add_test(t, symlink_is_as_openssh_has_it);
    tcase_add_test(t, unknown_requests_keep_their_id);
    tcase_add_test(t, a_path_with_nul_is_refused);
    tcase_add_test(t, replies_come_back);
    tcase_add_test(t, a_bare_status_is_enough);
    tcase_add_test(t, handles_have_a_length);
    tcase_add_test(t, names_come_back_until_they_do_not_fit);
    tcase_add_test(t, a_count_of_names_that_are_not_there);
    tcase_add_test(t, entries_of_directories);
    tcase_add_test(t, versions);
    tcase_add_test(t, what_does_not_fit_is_said);
    tcase_add_test(t, status_and_errno);
    suite_add_tcase(s, t);
    return suite_run(s);
}
