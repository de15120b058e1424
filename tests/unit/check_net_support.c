#include "check_net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* --- loop and sockets ----------------------------------------------------- */

uv_loop_t *loop_create(void)
{
    uv_loop_t *loop = malloc(sizeof(*loop));

    ck_assert_int_eq(uv_loop_init(loop), 0);
    return loop;
}

void loop_destroy(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(loop), 0);
    free(loop);
}

void loop_until(uv_loop_t *loop, const bool *flag)
{
    while (!*flag)
        uv_run(loop, UV_RUN_ONCE);
}

void tcp_pair(int fds[2], int buf_size)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (buf_size)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buf_size, sizeof(buf_size));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&addr, len), 0);
    fds[1] = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fds[1], 0);
    close(fd);
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        if (buf_size)
            setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &buf_size,
                       sizeof(buf_size));
    }
}

void stream_pair(uv_loop_t *loop, struct stream *s[2], int buf_size)
{
    int fds[2];

    tcp_pair(fds, buf_size);
    for (int i = 0; i < 2; i++) {
        s[i] = stream_create_fd(loop, fds[i]);
        ck_assert_ptr_nonnull(s[i]);
    }
}

void fd_write_all(uv_loop_t *loop, int fd, const void *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n =
            send(fd, (const char *)data + done, len - done, MSG_NOSIGNAL);

        if (n < 0)
            ck_assert_int_eq(errno, EAGAIN);
        else
            done += (size_t)n;
        uv_run(loop, UV_RUN_NOWAIT);
    }
}

void fd_read_all(uv_loop_t *loop, int fd, void *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = recv(fd, (char *)data + done, len - done, 0);

        ck_assert_int_ne(n, 0);
        if (n < 0)
            ck_assert_int_eq(errno, EAGAIN);
        else
            done += (size_t)n;
        uv_run(loop, UV_RUN_NOWAIT);
    }
}

/* --- certificates --------------------------------------------------------- */

static char *bio_text(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t)len);

    BIO_free(bio);
    return text;
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(ext);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}

void identity_make(struct identity *id, const struct identity *ca,
                   const char *cn, const char *san, long from, long to)
{
    X509_NAME *name;
    BIO *bio;

    id->pkey = EVP_EC_gen("P-256");
    id->x509 = X509_new();
    X509_set_version(id->x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id->x509), random());
    X509_gmtime_adj(X509_getm_notBefore(id->x509), from);
    X509_gmtime_adj(X509_getm_notAfter(id->x509), to);
    name = X509_get_subject_name(id->x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(id->x509, ca ? X509_get_subject_name(ca->x509) : name);
    X509_set_pubkey(id->x509, id->pkey);
    if (!ca)
        add_extension(id->x509, id->x509, NID_basic_constraints,
                      "critical,CA:TRUE");
    if (san)
        add_extension(id->x509, id->x509, NID_subject_alt_name, san);
    X509_sign(id->x509, ca ? ca->pkey : id->pkey, EVP_sha256());

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, id->x509);
    id->cert = bio_text(bio);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, id->pkey, NULL, NULL, 0, NULL, NULL);
    id->key = bio_text(bio);
}

void identity_release(struct identity *id)
{
    free(id->cert);
    free(id->key);
    X509_free(id->x509);
    EVP_PKEY_free(id->pkey);
    memset(id, 0, sizeof(*id));
}

/* --- a transfer ----------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Mostly small, sometimes up to max. */
static size_t random_size(struct endpoint *e, size_t max)
{
    uint64_t r = next_random(&e->size_state);
    size_t limit = max >> (r % 13);

    return 1 + (size_t)(r >> 8) % (limit ? limit : 1);
}

static void fill_chunk(struct endpoint *e)
{
    size_t len = random_size(e, sizeof(e->chunk));

    if (len > e->size - e->sent)
        len = e->size - e->sent;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t r = next_random(&e->data_state);

        memcpy(e->chunk + i, &r, len - i < 8 ? len - i : 8);
    }
    e->chunk_pos = 0;
    e->chunk_len = len;
}

static void endpoint_update(struct endpoint *e)
{
    unsigned want = 0;

    if (!e->eof)
        want |= STREAM_READABLE;
    if (!e->shut && (e->eof || !e->after_eof))
        want |= STREAM_WRITABLE;
    e->done = e->error || (e->eof && e->shut);
    stream_want(e->stream, e->error ? 0 : want);
}

static void endpoint_write(struct endpoint *e)
{
    while (!e->shut) {
        ssize_t n;

        if (e->sent == e->size) {
            n = stream_shutdown(e->stream);
            if (n == 0)
                e->shut = true;
            else if (n != -EAGAIN)
                e->error = (int)n;
            return;
        }
        if (e->chunk_pos == e->chunk_len)
            fill_chunk(e);
        n = stream_write(e->stream, e->chunk + e->chunk_pos,
                         e->chunk_len - e->chunk_pos);
        if (n <= 0) {
            if (n == -EAGAIN)
                e->eagain++;
            else
                e->error = n < 0 ? (int)n : -EIO;
            return;
        }
        EVP_DigestUpdate(e->out_hash, e->chunk + e->chunk_pos, (size_t)n);
        e->chunk_pos += (size_t)n;
        e->sent += (size_t)n;
    }
}

static void endpoint_read(struct endpoint *e)
{
    static uint8_t data[200000];
    size_t len = random_size(e, e->max_read);
    ssize_t n = stream_read(e->stream, data, len);

    if (n > 0) {
        ck_assert_int_le(n, (ssize_t)len);
        EVP_DigestUpdate(e->in_hash, data, (size_t)n);
        e->received += (size_t)n;
    } else if (n == 0) {
        e->eof = true;
    } else if (n != -EAGAIN) {
        e->error = (int)n;
    }
}

static void endpoint_event_cb(void *arg, unsigned events)
{
    struct endpoint *e = arg;

    if (events & STREAM_READABLE)
        endpoint_read(e);
    if (events & STREAM_WRITABLE)
        endpoint_write(e);
    endpoint_update(e);
}

struct endpoint *endpoint_create(struct stream *s, uint64_t seed, size_t size)
{
    struct endpoint *e = calloc(1, sizeof(*e));

    e->stream = s;
    e->data_state = seed;
    e->size_state = seed * 31 + 7;
    e->size = size;
    e->max_read = 200000;
    e->out_hash = EVP_MD_CTX_new();
    e->in_hash = EVP_MD_CTX_new();
    EVP_DigestInit_ex(e->out_hash, EVP_sha256(), NULL);
    EVP_DigestInit_ex(e->in_hash, EVP_sha256(), NULL);
    return e;
}

void endpoint_start(struct endpoint *e)
{
    stream_set_callback(e->stream, endpoint_event_cb, e);
    endpoint_update(e);
}

static void check_same(struct endpoint *from, struct endpoint *to)
{
    unsigned char out[EVP_MAX_MD_SIZE], in[EVP_MAX_MD_SIZE];

    ck_assert_uint_eq(from->sent, from->size);
    ck_assert_uint_eq(to->received, from->size);
    EVP_DigestFinal_ex(from->out_hash, out, NULL);
    EVP_DigestFinal_ex(to->in_hash, in, NULL);
    ck_assert_mem_eq(out, in, 32);
}

void endpoints_run(uv_loop_t *loop, struct endpoint *a, struct endpoint *b)
{
    endpoint_start(a);
    endpoint_start(b);
    while (!a->done || !b->done)
        uv_run(loop, UV_RUN_ONCE);
    ck_assert_int_eq(a->error, 0);
    ck_assert_int_eq(b->error, 0);
    check_same(a, b);
    check_same(b, a);
}

void endpoint_destroy(struct endpoint *e)
{
    stream_close(e->stream, NULL, NULL);
    EVP_MD_CTX_free(e->out_hash);
    EVP_MD_CTX_free(e->in_hash);
    free(e);
}
