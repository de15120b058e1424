#include "sftpd/session_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sftp/status.h"

/* ---- life -----------------------------------------------------------------
 */

struct sftpd_session *sftpd_session_create(const struct sftpd_exports *exports,
                                           bool read_only,
                                           sftpd_write_cb *write_cb, void *arg)
{
    struct sftpd_session *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->out = malloc(OUT_SIZE);
    if (!s->out) {
        free(s);
        return NULL;
    }
    s->exports = exports;
    s->read_only = read_only;
    s->write_cb = write_cb;
    s->arg = arg;
    return s;
}

void sftpd_session_destroy(struct sftpd_session *s)
{
    if (!s)
        return;
    sftpd_handles_release(&s->handles);
    free(s->out);
    free(s);
}

/* ---- replies --------------------------------------------------------------
 */

static void flush(struct sftpd_session *s)
{
    int rc = 0;

    if (s->out_len > 0 && s->failed == 0)
        rc = s->write_cb(s->arg, s->out, s->out_len);
    if (rc < 0)
        s->failed = rc;
    s->out_len = 0;
}

void session_writer(struct sftpd_session *s, struct sftp_writer *w, size_t size)
{
    if (OUT_SIZE - s->out_len < size)
        flush(s);
    sftp_writer_init(w, s->out + s->out_len, OUT_SIZE - s->out_len);
}

int session_sent(struct sftpd_session *s, size_t len)
{
    s->out_len += len;
    return REPLIED;
}

static int reply_status(struct sftpd_session *s, uint32_t id, int err)
{
    struct sftp_writer w;

    session_writer(s, &w, SFTP_PACKET_MAX);
    sftp_encode_status(&w, id, sftp_errno_status(err),
                       err == SFTP_ERR_EOF ? "End of file"
                       : err               ? strerror(-err)
                                           : "Success");
    return session_sent(s, w.len);
}

int session_reply_ok(struct sftpd_session *s, uint32_t id)
{
    return reply_status(s, id, 0);
}

int session_reply_handle(struct sftpd_session *s, uint32_t id,
                         const struct sftpd_handle *handle)
{
    uint8_t bytes[SFTPD_HANDLE_BYTES];
    struct sftp_writer w;

    sftpd_handle_write(&s->handles, handle, bytes);
    session_writer(s, &w, SFTP_PACKET_MAX);
    sftp_encode_handle(&w, id, bytes, sizeof(bytes));
    return session_sent(s, w.len);
}

int session_reply_attrs(struct sftpd_session *s, uint32_t id,
                        const struct stat *st)
{
    struct sftp_attrs attrs;
    struct sftp_writer w;

    sftpd_attrs_read(st, &attrs);
    session_writer(s, &w, SFTP_PACKET_MAX);
    sftp_encode_attrs(&w, id, &attrs);
    return session_sent(s, w.len);
}

int session_reply_name(struct sftpd_session *s, uint32_t id, const char *name)
{
    static const struct sftp_attrs none;
    struct sftp_writer w;
    size_t mark;

    session_writer(s, &w, SFTP_PACKET_MAX);
    sftp_begin_names(&w, id, &mark);
    sftp_add_name(&w, name, name, &none);
    sftp_end_names(&w, mark, 1);
    return session_sent(s, w.len);
}

/* ---- places ---------------------------------------------------------------
 */

int session_place(const struct sftpd_session *s, struct sftp_text path,
                  struct sftpd_place *place)
{
    return sftpd_place_find(s->exports, path, place);
}

int session_place_to_change(const struct sftpd_session *s,
                            struct sftp_text path, struct sftpd_place *place)
{
    int rc = session_place(s, path, place);

    if (rc == 0 && session_is_read_only(s, place))
        rc = -EROFS;
    return rc;
}

/* ---- requests -------------------------------------------------------------
 */

static session_op *const ops[] = {
    [SFTP_OPEN] = op_open,         [SFTP_CLOSE] = op_close,
    [SFTP_READ] = op_read,         [SFTP_WRITE] = op_write,
    [SFTP_LSTAT] = op_lstat,       [SFTP_FSTAT] = op_fstat,
    [SFTP_SETSTAT] = op_setstat,   [SFTP_FSETSTAT] = op_fsetstat,
    [SFTP_OPENDIR] = op_opendir,   [SFTP_READDIR] = op_readdir,
    [SFTP_REMOVE] = op_remove,     [SFTP_MKDIR] = op_mkdir,
    [SFTP_RMDIR] = op_rmdir,       [SFTP_REALPATH] = op_realpath,
    [SFTP_STAT] = op_stat,         [SFTP_RENAME] = op_rename,
    [SFTP_READLINK] = op_readlink, [SFTP_SYMLINK] = op_symlink,
};

static session_op *find_op(const struct sftp_request *q)
{
    if (q->type != SFTP_EXTENDED)
        return (size_t)q->type < sizeof(ops) / sizeof(*ops) ? ops[q->type]
                                                            : NULL;
    switch (q->extension) {
    case SFTP_HAS_POSIX_RENAME:
        return op_posix_rename;
    case SFTP_HAS_STATVFS:
        return op_statvfs;
    case SFTP_HAS_HARDLINK:
        return op_hardlink;
    case SFTP_HAS_FSYNC:
        return op_fsync;
    case SFTP_HAS_LSETSTAT:
        return op_lsetstat;
    default:
        return NULL;
    }
}

/* The first packet of a connection. Other versions than 3 get ours. */
static int greet(struct sftpd_session *s, const uint8_t *packet, size_t len)
{
    uint32_t version;
    int rc = sftp_decode_init(packet, len, &version);

    if (rc < 0)
        return rc;
    s->greeted = true;
    return extension_version(s);
}

/* A request that is malformed but has an id is answered; what has none ends
 * the connection. */
static int serve(struct sftpd_session *s, const uint8_t *packet, size_t len)
{
    struct sftp_request q;
    int rc = sftp_decode_request(&q, packet, len);
    session_op *op;

    if (len < 5)
        return -EBADMSG;
    if (rc == -EOPNOTSUPP && q.type == SFTP_EXTENDED)
        rc = extension_serve(s, q.id, packet, len);
    if (rc == -EBADMSG)
        rc = -EINVAL;
    if (rc == 0) {
        op = find_op(&q);
        rc = op ? op(s, &q) : -EOPNOTSUPP;
    }
    if (rc != REPLIED)
        reply_status(s, q.id, rc);
    return 0;
}

static uint32_t packet_length(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

static ssize_t serve_all(struct sftpd_session *s, const uint8_t *data,
                         size_t len)
{
    size_t used = 0;

    while (len - used >= SFTP_LENGTH_BYTES && s->failed == 0) {
        const uint8_t *at = data + used;
        size_t size = packet_length(at);
        int rc;

        if (size == 0 || size > SFTP_PACKET_MAX)
            return -EMSGSIZE;
        if (len - used - SFTP_LENGTH_BYTES < size)
            break;
        at += SFTP_LENGTH_BYTES;
        rc = s->greeted ? serve(s, at, size) : greet(s, at, size);
        if (rc < 0)
            return rc;
        used += SFTP_LENGTH_BYTES + size;
    }
    return (ssize_t)used;
}

ssize_t sftpd_session_input(struct sftpd_session *s, const void *data,
                            size_t len)
{
    ssize_t used = serve_all(s, data, len);

    flush(s);
    return s->failed < 0 ? s->failed : used;
}
