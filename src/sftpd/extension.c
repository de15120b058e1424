/*
 * extension.c - extensions of OpenSSH (its PROTOCOL file, 4) that src/sftp does
 * not decode: fstatvfs, limits, copy-data; and the VERSION that names them all
 */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "sftpd/session_internal.h"

#define COPY_STEP ((size_t)1 << 30)

static int serve_fstatvfs(struct sftpd_session *s, uint32_t id,
                          struct sftp_reader *r)
{
    struct sftpd_handle *h = sftpd_handle_find(&s->handles, sftp_get_text(r));
    struct sftp_statvfs out;
    struct sftp_writer w;
    struct statvfs st;
    int fd;

    if (!sftp_reader_done(r))
        return -EBADMSG;
    fd = !h ? -1 : h->dir ? dirfd(h->dir) : h->fd;
    if (fd < 0)
        return -EBADF;
    if (fstatvfs(fd, &st) < 0)
        return -errno;
    sftpd_attrs_statvfs(&st, h->read_only || s->read_only, &out);
    session_writer(s, &w, SFTP_PACKET_MAX);
    sftp_encode_statvfs(&w, id, &out);
    return session_sent(s, w.len);
}

static int serve_limits(struct sftpd_session *s, uint32_t id,
                        struct sftp_reader *r)
{
    struct sftp_writer w;

    if (!sftp_reader_done(r))
        return -EBADMSG;
    session_writer(s, &w, SFTP_PACKET_MAX);
    sftp_begin(&w, SFTP_EXTENDED_REPLY);
    sftp_put_u32(&w, id);
    sftp_put_u64(&w, SFTP_PACKET_MAX);
    sftp_put_u64(&w, SFTPD_DATA_MAX);
    sftp_put_u64(&w, SFTPD_DATA_MAX);
    sftp_put_u64(&w, SFTPD_HANDLES_MAX);
    sftp_finish(&w, 0);
    return session_sent(s, w.len);
}

/* len 0: up to the end of the file. */
static int copy(int in, off_t in_at, int out, off_t out_at, uint64_t len)
{
    bool all = len == 0;

    while (all || len > 0) {
        size_t step = all || len > COPY_STEP ? COPY_STEP : (size_t)len;
        ssize_t done = copy_file_range(in, &in_at, out, &out_at, step, 0);

        if (done < 0)
            return -errno;
        if (done == 0)
            return 0;
        len -= all ? 0 : (uint64_t)done;
    }
    return 0;
}

static int serve_copy(struct sftpd_session *s, struct sftp_reader *r)
{
    struct sftpd_handle *in = sftpd_handle_find(&s->handles, sftp_get_text(r));
    uint64_t in_at = sftp_get_u64(r), len = sftp_get_u64(r);
    struct sftpd_handle *out = sftpd_handle_find(&s->handles, sftp_get_text(r));
    uint64_t out_at = sftp_get_u64(r);

    if (!sftp_reader_done(r))
        return -EBADMSG;
    if (!in || !out || in->fd < 0 || out->fd < 0 || !out->can_write)
        return -EBADF;
    if (in == out || in_at > INT64_MAX || out_at > INT64_MAX)
        return -EINVAL;
    return copy(in->fd, (off_t)in_at, out->fd, (off_t)out_at, len);
}

static bool is_name(struct sftp_text text, const char *name)
{
    return text.len == strlen(name) && !memcmp(text.data, name, text.len);
}

int extension_serve(struct sftpd_session *s, uint32_t id, const void *data,
                    size_t len)
{
    struct sftp_reader r;
    struct sftp_text name;

    sftp_reader_init(&r, data, len);
    sftp_get_u8(&r);
    sftp_get_u32(&r);
    name = sftp_get_text(&r);
    if (is_name(name, "fstatvfs@openssh.com"))
        return serve_fstatvfs(s, id, &r);
    if (is_name(name, "limits@openssh.com"))
        return serve_limits(s, id, &r);
    if (is_name(name, "copy-data")) {
        int rc = serve_copy(s, &r);

        return rc == 0 ? session_reply_ok(s, id) : rc;
    }
    return -EOPNOTSUPP;
}

int extension_version(struct sftpd_session *s)
{
    static const char *const pairs[][2] = {
        {SFTP_EXT_POSIX_RENAME, "1"},  {SFTP_EXT_STATVFS, "2"},
        {"fstatvfs@openssh.com", "2"}, {SFTP_EXT_HARDLINK, "1"},
        {SFTP_EXT_FSYNC, "1"},         {SFTP_EXT_LSETSTAT, "1"},
        {"limits@openssh.com", "1"},   {"copy-data", "1"},
    };
    struct sftp_writer w;

    session_writer(s, &w, SFTP_PACKET_MAX);
    sftp_begin(&w, SFTP_VERSION_REPLY);
    sftp_put_u32(&w, SFTP_VERSION);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        sftp_put_string(&w, pairs[i][0]);
        sftp_put_string(&w, pairs[i][1]);
    }
    sftp_finish(&w, 0);
    session_sent(s, w.len);
    return 0;
}
