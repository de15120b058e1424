/*
 * An SSH channel with the subsystem sftp, by libssh2 in non-blocking mode.
 *
 * libssh2 wants a call that said EAGAIN repeated with the same arguments: what
 * is written goes through a buffer of our own (`out`) that does not change
 * until it is gone. The window and the packet size are measured
 * (doc/decisions.md): larger packets end the connection in libssh2 1.10.
 */
#include "fuse/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuse/ssh_identity.h"

#define WINDOW_BYTES (16 * 1024 * 1024)
#define OUT_BYTES    (128 * 1024)

enum ssh_state {
    SSH_CONNECT,   /* the socket is not connected yet */
    SSH_HANDSHAKE, /* keys are exchanged */
    SSH_CHECK,     /* who is it? */
    SSH_AUTH,      /* with keys[key] */
    SSH_CHANNEL,
    SSH_SUBSYSTEM,
    SSH_OPEN, /* reads and writes are legal */
};

struct ssh_transport {
    struct transport base;
    const struct ssh_identity *id;
    struct ssh_identity *given; /* owned, or NULL */
    LIBSSH2_SESSION *session;
    LIBSSH2_CHANNEL *channel;
    enum ssh_state state;
    size_t key;
    unsigned long stalled; /* the window when nothing more could be written */
    size_t out_at, out_len;
    uint8_t out[OUT_BYTES];
};

static int ssh_error(struct ssh_transport *s, int code, const char *what,
                     struct tp_error *err)
{
    char *text = NULL;

    libssh2_session_last_error(s->session, &text, NULL, 0);
    return tp_error_set(err, code, "%s: %s", what, text ? text : "failed");
}

static int step_connect(struct ssh_transport *s, struct tp_error *err)
{
    struct pollfd p = {.fd = s->base.fd, .events = POLLOUT};
    int failure = 0;
    socklen_t len = sizeof(failure);

    if (poll(&p, 1, 0) == 0)
        return -EAGAIN;
    if (getsockopt(s->base.fd, SOL_SOCKET, SO_ERROR, &failure, &len) == 0 &&
        failure)
        return tp_error_errno(err, -failure, "connect");
    return ssh_identity_prefer(s->id, s->session, err);
}

static int step_handshake(struct ssh_transport *s, struct tp_error *err)
{
    int rc = libssh2_session_handshake(s->session, s->base.fd);

    if (rc == LIBSSH2_ERROR_EAGAIN)
        return -EAGAIN;
    return rc ? ssh_error(s, -EPROTO, "SSH handshake", err) : 0;
}

/* Each key in turn; a key that the server does not want is no error. */
static int step_auth(struct ssh_transport *s, struct tp_error *err)
{
    while (s->key < s->id->n_keys) {
        const char *key = s->id->keys[s->key];
        int rc = libssh2_userauth_publickey_frommemory(
            s->session, s->id->user, strlen(s->id->user), NULL, 0, key,
            strlen(key), NULL);

        if (rc == 0)
            return 0;
        if (rc == LIBSSH2_ERROR_EAGAIN)
            return -EAGAIN;
        s->key++;
    }
    return ssh_error(s, -EACCES, "SSH authentication by key", err);
}

static int step_channel(struct ssh_transport *s, struct tp_error *err)
{
    s->channel = libssh2_channel_open_ex(
        s->session, "session", sizeof("session") - 1, WINDOW_BYTES,
        LIBSSH2_CHANNEL_PACKET_DEFAULT, NULL, 0);
    if (s->channel)
        return 0;
    if (libssh2_session_last_errno(s->session) == LIBSSH2_ERROR_EAGAIN)
        return -EAGAIN;
    return ssh_error(s, -EPROTO, "SSH channel", err);
}

static int step_subsystem(struct ssh_transport *s, struct tp_error *err)
{
    int rc = libssh2_channel_subsystem(s->channel, "sftp");

    if (rc == LIBSSH2_ERROR_EAGAIN)
        return -EAGAIN;
    return rc ? ssh_error(s, -EPROTO, "SSH subsystem sftp", err) : 0;
}

static int step_check(struct ssh_transport *s, struct tp_error *err)
{
    return ssh_identity_check(s->id, s->session, err);
}

static int ssh_open(struct transport *t, struct tp_error *err)
{
    static int (*const steps[])(struct ssh_transport *, struct tp_error *) = {
        [SSH_CONNECT] = step_connect, [SSH_HANDSHAKE] = step_handshake,
        [SSH_CHECK] = step_check,     [SSH_AUTH] = step_auth,
        [SSH_CHANNEL] = step_channel, [SSH_SUBSYSTEM] = step_subsystem,
    };
    struct ssh_transport *s = (struct ssh_transport *)t;

    while (s->state != SSH_OPEN) {
        int rc = steps[s->state](s, err);

        if (rc < 0)
            return rc;
        s->state++;
    }
    return 0;
}

static ssize_t result_of(ssize_t rc)
{
    if (rc >= 0)
        return rc;
    return rc == LIBSSH2_ERROR_EAGAIN ? -EAGAIN : -ECONNRESET;
}

static ssize_t ssh_read(struct transport *t, void *buf, size_t len)
{
    struct ssh_transport *s = (struct ssh_transport *)t;
    ssize_t n = libssh2_channel_read(s->channel, buf, len);

    if (n == 0 && !libssh2_channel_eof(s->channel))
        return -EAGAIN;
    return result_of(n);
}

/* The largest seen: OpenSSH opens channels with none and grants it later. */
static void note_window(struct ssh_transport *s)
{
    unsigned long window = libssh2_channel_window_write(s->channel);

    if (window > s->base.window && window <= UINT32_MAX)
        s->base.window = (uint32_t)window;
}

static int ssh_flush(struct transport *t)
{
    struct ssh_transport *s = (struct ssh_transport *)t;

    note_window(s);
    while (s->out_at < s->out_len) {
        ssize_t n =
            libssh2_channel_write(s->channel, (const char *)s->out + s->out_at,
                                  s->out_len - s->out_at);

        if (n == 0 || n == LIBSSH2_ERROR_EAGAIN) {
            s->stalled = libssh2_channel_window_write(s->channel);
            return -EAGAIN;
        }
        if (n < 0)
            return (int)result_of(n);
        s->out_at += (size_t)n;
    }
    s->out_at = s->out_len = 0;
    return 0;
}

static ssize_t ssh_write(struct transport *t, const struct iovec *iov, int n)
{
    struct ssh_transport *s = (struct ssh_transport *)t;
    int rc = ssh_flush(t);

    if (rc < 0)
        return rc;
    for (int i = 0; i < n && s->out_len < OUT_BYTES; i++) {
        size_t len = iov[i].iov_len;

        if (len > OUT_BYTES - s->out_len)
            len = OUT_BYTES - s->out_len;
        memcpy(s->out + s->out_len, iov[i].iov_base, len);
        s->out_len += len;
    }
    n = (int)s->out_len;
    rc = ssh_flush(t);
    return rc < 0 && rc != -EAGAIN ? rc : n;
}

static short ssh_events(struct transport *t, bool wants_write)
{
    struct ssh_transport *s = (struct ssh_transport *)t;
    int directions = libssh2_session_block_directions(s->session);
    bool out = directions & LIBSSH2_SESSION_BLOCK_OUTBOUND;

    (void)wants_write; /* what was taken decides */
    if (s->state == SSH_CONNECT)
        return POLLOUT;
    /* News of the window come by reading, perhaps after the last try. */
    if (s->out_at < s->out_len &&
        libssh2_channel_window_write(s->channel) > s->stalled)
        out = true;
    return (short)(POLLIN | (out ? POLLOUT : 0));
}

/* The peer may be gone: nothing is waited for, and nothing said to it. */
static void ssh_destroy(struct transport *t)
{
    struct ssh_transport *s = (struct ssh_transport *)t;

    shutdown(t->fd, SHUT_RDWR);
    if (s->session)
        libssh2_session_free(s->session);
    close(t->fd);
    ssh_identity_destroy(s->given);
    free(s);
}

static const struct transport_ops ssh_ops = {
    .open = ssh_open,
    .read = ssh_read,
    .write = ssh_write,
    .flush = ssh_flush,
    .events = ssh_events,
    .destroy = ssh_destroy,
};

struct transport *transport_create_ssh(int fd, const struct ssh_identity *id,
                                       struct ssh_identity *given)
{
    struct ssh_transport *s = calloc(1, sizeof(*s));

    if (s)
        s->session = libssh2_session_init();
    if (!s || !s->session) {
        free(s);
        close(fd);
        ssh_identity_destroy(given);
        return NULL;
    }
    libssh2_session_set_blocking(s->session, 0);
    s->base.ops = &ssh_ops;
    s->base.fd = fd;
    s->given = given;
    s->id = given ? given : id;
    return &s->base;
}
