/*
 * tls_bio.c - what SSL writes to and reads from
 *
 * Writing: a call of more than one record sets `collect`, so that the BIO
 * appends the records to `out`, which then goes down in one write(). What is
 * not taken there stays in `out` and nothing more is encrypted until it has
 * left: `out` is bounded by one batch, and an SSL_write() never ends half way.
 * A call of one record goes straight down.
 */
#include <errno.h>

#include "net/tls_internal.h"

#define OUT_MAX (TLS_BATCH_SIZE + TLS_BATCH_EXTRA + 32768)

static int bio_write_cb(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls_bio *b = BIO_get_data(bio);
    size_t done = 0;

    BIO_clear_retry_flags(bio);
    if (!b->collect && buf_used(&b->out) == 0) {
        ssize_t n = stream_write(b->below, data, len);

        if (n < 0 && n != -EAGAIN) {
            b->io_error = (int)n;
            return 0;
        }
        if (n > 0)
            done = (size_t)n;
    }
    if (done < len && buf_append(&b->out, data + done, len - done) == 0)
        done = len;
    *written = done;
    if (done > 0)
        return 1;
    BIO_set_retry_write(bio);
    return 0;
}

static int bio_read_cb(BIO *bio, char *data, size_t len, size_t *got)
{
    struct tls_bio *b = BIO_get_data(bio);
    ssize_t n = -EAGAIN;

    BIO_clear_retry_flags(bio);
    /* After a short read another one would only cost a system call; if there
     * is more by now, the event will come. */
    if (!b->below_short)
        n = stream_read(b->below, data, len);
    if (n > 0) {
        b->below_short = (size_t)n < len;
        *got = (size_t)n;
        return 1;
    }
    if (n == -EAGAIN)
        BIO_set_retry_read(bio);
    else if (n == 0)
        b->below_eof = true;
    else
        b->io_error = (int)n;
    return 0;
}

static long bio_ctrl_cb(BIO *bio, int cmd, long num, void *ptr)
{
    const struct tls_bio *b = BIO_get_data(bio);

    (void)num;
    (void)ptr;
    if (cmd == BIO_CTRL_FLUSH)
        return 1;
    if (cmd == BIO_CTRL_EOF)
        return b->below_eof;
    return 0;
}

BIO_METHOD *tls_bio_method_create(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tp stream");

    if (!m || BIO_meth_set_write_ex(m, bio_write_cb) != 1 ||
        BIO_meth_set_read_ex(m, bio_read_cb) != 1 ||
        BIO_meth_set_ctrl(m, bio_ctrl_cb) != 1) {
        BIO_meth_free(m);
        return NULL;
    }
    return m;
}

bool tls_bio_attach(struct tls_bio *b, BIO_METHOD *method, SSL *ssl,
                    struct stream *below)
{
    BIO *bio = ssl ? BIO_new(method) : NULL;

    if (!bio)
        return false;
    b->below = below;
    buf_init(&b->out, OUT_MAX);
    BIO_set_data(bio, b);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return true;
}

int tls_bio_flush(struct tls_bio *b)
{
    if (b->write_error)
        return b->write_error;
    while (buf_used(&b->out) > 0) {
        ssize_t n =
            stream_write(b->below, buf_head(&b->out), buf_used(&b->out));

        if (n == -EAGAIN)
            return -EAGAIN;
        if (n <= 0) {
            b->write_error = n < 0 ? (int)n : -EPIPE;
            buf_release(&b->out);
            return b->write_error;
        }
        buf_consume(&b->out, (size_t)n);
    }
    return 0;
}
