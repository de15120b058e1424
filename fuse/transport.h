/*
 * transport.h - the byte stream that SFTP runs on: a socket as it is, or an SSH
 * channel on it
 *
 * Non-blocking: everything says -EAGAIN until poll(2) reports one of
 * transport_events().
 */
#ifndef TP_FUSE_TRANSPORT_H
#define TP_FUSE_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"

struct transport;
struct ssh_identity;

struct transport_ops {
    /* 0 when the stream is there, -EAGAIN, or an error with err filled. */
    int (*open)(struct transport *t, struct tp_error *err);
    /* Bytes read; 0 at the end. */
    ssize_t (*read)(struct transport *t, void *buf, size_t len);
    /* Bytes taken; they need not be on the wire yet: see `pending`. */
    ssize_t (*write)(struct transport *t, const struct iovec *iov, int n);
    /* Bytes that were taken are sent: 0, -EAGAIN or an error. */
    int (*flush)(struct transport *t);
    /* POLLIN, POLLOUT; wants_write: somebody has more to write. */
    short (*events)(struct transport *t, bool wants_write);
    void (*destroy)(struct transport *t); /* closes the socket as well */
};

struct transport {
    const struct transport_ops *ops;
    int fd;
    /* Bytes that the peer lets be under way to it; 0: no limit. */
    uint32_t window;
};

/* Takes the socket; NULL only without memory (then it is closed). */
struct transport *transport_create_raw(int fd);

/* The identity stays the caller's and must outlive the transport; `given`, if
 * it is not NULL, is used instead of it and is the transport's from here on. */
struct transport *transport_create_ssh(int fd, const struct ssh_identity *id,
                                       struct ssh_identity *given);

/* Takes over another, which from now on runs in a thread of its own. If there
 * can be none it is returned as it is. */
struct transport *transport_create_thread(struct transport *inner);

#endif
