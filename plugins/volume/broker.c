#include "broker.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#include "base/broker.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "confine.h"
#include "keys.h"
#include "net/tls.h"
#include "program.h"

#define CONTROL_SOCKET "control.sock"
#define ASK_MS         12000
#define ID_LEN         26
#define KEY_MAX        (64 * 1024)

struct broker {
    const char *dir, *engagement;
    uv_loop_t loop;
    struct tls_ctx *tls;
};

/* One request of the daemon; ends when `done`. */
struct ask {
    struct broker *b;
    struct stream *stream;
    uv_timer_t timer;
    struct buf in, out;
    bool done, closed;
    struct json_object *answer; /* owned, or NULL */
    char error[200];
};

/* ---- asking the daemon --------------------------------------------------- */

/* The directory may be another one than last time: the volume was removed and
 * made again. The paths in it are short enough for a socket's address. */
static int connect_in_dir(const struct broker *b, const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd, rc;

    if (chdir(b->dir) < 0)
        return -errno;
    strncpy(addr.sun_path, name, sizeof(addr.sun_path) - 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

static void closed_cb(void *arg)
{
    struct ask *a = arg;

    a->closed = true;
}

static void finish(struct ask *a, const char *error)
{
    if (a->done)
        return;
    a->done = true;
    if (error)
        snprintf(a->error, sizeof(a->error), "%s", error);
    stream_close(a->stream, closed_cb, a);
    uv_close((uv_handle_t *)&a->timer, NULL);
}

static void write_request(struct ask *a)
{
    while (buf_used(&a->out) > 0) {
        ssize_t n =
            stream_write(a->stream, buf_head(&a->out), buf_used(&a->out));

        if (n == -EAGAIN) {
            stream_want(a->stream, STREAM_READABLE | STREAM_WRITABLE);
            return;
        }
        if (n < 0) {
            finish(a, "tp-daemon broke off");
            return;
        }
        buf_consume(&a->out, (size_t)n);
    }
    stream_want(a->stream, STREAM_READABLE);
}

static void read_answer(struct ask *a)
{
    uint8_t *to = buf_reserve(&a->in, buf_room(&a->in)), *end;
    ssize_t n = to ? stream_read(a->stream, to, buf_room(&a->in)) : -ENOBUFS;

    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        const char *text = tls_error_text(a->stream);

        finish(a, text ? text : "tp-daemon broke off");
        return;
    }
    buf_commit(&a->in, (size_t)n);
    end = memchr(buf_head(&a->in), '\n', buf_used(&a->in));
    if (!end)
        return;
    a->answer = json_parse_text((char *)buf_head(&a->in),
                                (size_t)(end - buf_head(&a->in)), NULL);
    finish(a, a->answer ? NULL : "tp-daemon answered what is not JSON");
}

static void event_cb(void *arg, unsigned events)
{
    struct ask *a = arg;

    if (events & STREAM_READABLE)
        read_answer(a);
    if (!a->done && events & STREAM_WRITABLE)
        write_request(a);
}

static void handshake_cb(void *arg, int status, const char *text)
{
    struct ask *a = arg;

    if (status == -EKEYREJECTED)
        finish(a, "tp-daemon has other keys: run tp connect again (or tp "
                  "volume install)");
    else if (status < 0)
        finish(a, status == -ECONNRESET
                      ? "tp-daemon has no session with volumes: run tp connect"
                      : text);
    else
        write_request(a);
}

static void timeout_cb(uv_timer_t *timer)
{
    finish(timer->data, "tp-daemon does not answer");
}

static void start(struct ask *a, int fd)
{
    struct stream *below = stream_create_fd(&a->b->loop, fd);

    uv_timer_init(&a->b->loop, &a->timer);
    a->timer.data = a;
    uv_timer_start(&a->timer, timeout_cb, ASK_MS, 0);
    a->stream = below ? tls_connect(a->b->tls, below, KEYS_DAEMON_NAME, ASK_MS,
                                    handshake_cb, a)
                      : NULL;
    if (a->stream) {
        stream_set_callback(a->stream, event_cb, a);
        return;
    }
    a->done = a->closed = true;
    snprintf(a->error, sizeof(a->error), "out of memory");
    uv_close((uv_handle_t *)&a->timer, NULL);
}

/* {"error", "code"}; owned. */
static struct json_object *failure(const char *text, const char *code)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "error", text);
    json_put_str(obj, "code", code);
    return obj;
}

/* FILES with "id" and "key", or a failure. Owned. */
static struct json_object *ask_files(struct broker *b)
{
    cleanup_json struct json_object *request = json_object_new_object();
    struct ask a = {.b = b};
    const char *text;
    int fd = connect_in_dir(b, CONTROL_SOCKET);

    if (fd < 0)
        return failure("tp-daemon does not answer: run tp connect",
                       "not-connected");
    json_put_str(request, "op", "files");
    json_put_str(request, "name", b->engagement);
    text = json_to_text(request);
    buf_init(&a.in, PROGRAM_LINE_MAX);
    buf_init(&a.out, 8192);
    buf_append(&a.out, text, strlen(text));
    buf_append(&a.out, "\n", 1);
    start(&a, fd);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    if (a.in.data)
        explicit_bzero(a.in.data, a.in.size);
    buf_release(&a.in);
    buf_release(&a.out);
    return a.answer ? a.answer : failure(a.error, "unreachable");
}

/* ---- answering tp-mount -------------------------------------------------- */

static bool is_id(const char *text)
{
    return strlen(text) == ID_LEN &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") == ID_LEN;
}

static int give(const struct broker *b, struct json_object *files)
{
    const char *id = json_get_str(files, "id", "");
    char name[ID_LEN + sizeof(".sock")];
    int fd, rc;

    if (!is_id(id))
        return broker_refuse(PROGRAM_SHARED_FD,
                             json_get_str(files, "error", "no such files"));
    snprintf(name, sizeof(name), "%s.sock", id);
    fd = connect_in_dir(b, name);
    if (fd < 0)
        return broker_refuse(PROGRAM_SHARED_FD,
                             "tp-daemon does not take connections to files");
    rc = broker_give(PROGRAM_SHARED_FD, fd, json_get_str(files, "hostKey", ""),
                     json_get_str(files, "key", ""));
    close(fd);
    return rc;
}

/* A request is taken out of the socket when it was answered: if we end before
 * that, it is the next broker's. */
static int serve(struct broker *b)
{
    int rc;

    while ((rc = broker_peek(PROGRAM_SHARED_FD)) == 1) {
        struct json_object *files = ask_files(b);

        rc = give(b, files);
        json_object_put(files);
        if (rc < 0 || (rc = broker_wait(PROGRAM_SHARED_FD)) != 1)
            break;
    }
    return rc < 0 && rc != -EPIPE ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What is said aloud holds no key. True: there is something to mount. */
static bool say_what_is_served(struct broker *b)
{
    cleanup_json struct json_object *files = ask_files(b);
    bool good = !json_get(files, "error");
    const char *text;

    json_object_object_del(files, "key");
    text = json_to_text(files);
    if (write(PROGRAM_LINES_FD, text, strlen(text)) < 0 ||
        write(PROGRAM_LINES_FD, "\n", 1) < 0)
        good = false;
    close(PROGRAM_LINES_FD);
    return good;
}

/* ---- start --------------------------------------------------------------- */

static int read_keys(struct broker *b, struct tp_error *err)
{
    cleanup_free char *cert = NULL, *peer = NULL;
    cleanup_secret char *key = NULL;
    struct tls_client_config config = {.newest_only = true};
    int rc = file_read(KEYS_DIR "/" KEYS_CERT, KEY_MAX, &cert, NULL, err);

    if (rc == 0)
        rc = file_read(KEYS_DIR "/" KEYS_KEY, KEY_MAX, &key, NULL, err);
    if (rc == 0)
        rc = file_read(KEYS_DIR "/" KEYS_PEER, KEY_MAX, &peer, NULL, err);
    if (rc < 0)
        return rc;
    config.cert_pem = cert;
    config.key_pem = key;
    config.ca_pem = peer;
    b->tls = tls_ctx_create_client(&config, err);
    return b->tls ? 0 : err->code;
}

/* In this order: files are read, rights go, then comes the daemon. */
int broker_run(const char *dir, const char *engagement, bool again)
{
    struct broker b = {.dir = dir, .engagement = engagement};
    struct tp_error err = {0};
    int rc = read_keys(&b, &err);

    if (rc == 0)
        rc = uv_loop_init(&b.loop);
    if (rc == 0)
        rc = confine_broker(&err);
    if (rc < 0) {
        log_error("%s", err.text);
        return EXIT_FAILURE;
    }
    if (again)
        close(PROGRAM_LINES_FD);
    else if (!say_what_is_served(&b))
        return EXIT_SUCCESS; /* it said why */
    return serve(&b);
}
