/*
 * linkprobe.c - opens a link and asks the manager for what tp-daemon never
 * would
 *
 * Usage: linkprobe [OPTION]... TARGET.json
 *   TARGET.json    {"host", "port", "ca", "cert", "key", "token", "serverName"}
 *   --name NAME  --namespace NS
 *   --websocket            GET and frames instead of POST
 *   --header 'NAME: VALUE' in the request that opens the link (again: more)
 *   --hello JSON | none    the body of hello
 *
 * Prints one line for the opening ("refused 403 ..." or "open"), one for hello
 * ("hello 200 {...}"), then one for each line of standard input:
 *   tcp HOST:PORT          "200", or a status and the Proxy-Status error
 *   udp HOST PORT TEXT     likewise; after 200 what came back, or "-"
 *   request METHOD PATH    status and body
 *   header NAME VALUE      goes with the next request or dial; "ok"
 *   reset N HOST:PORT      opens and resets N streams; "ok N" or "ended WHY"
 *   hold N HOST:PORT       opens N streams at once; "ok N": so many were
 *                          answered within 15 s; then resets them
 *   flood N SIZE           a header block of N CONTINUATION frames without end;
 *                          "alive" or "ended WHY"
 *   idle SECONDS           "alive", or "ended WHY" as soon as it has
 * "none" for an answer that did not come. While it waits for a line the link
 * is served. Ends at the end of its input.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "linkprobe_h2.h"
#include "net/dial.h"
#include "net/websocket.h"

#define ANSWER_MS   15000
#define UDP_MS      2000
#define LINE_MAX_   65536
#define FILE_MAX    (1U << 20)
#define SUBPROTOCOL "Sec-WebSocket-Protocol: v1.link.tp.internal"
#define HELLO                                                                  \
    "{\"protocol\": [1], \"version\": \"probe\", \"features\": [\"udp\"],"     \
    " \"client\": \"linkprobe\", \"name\": \"linkprobe\"}"

struct probe {
    uv_loop_t loop;
    uv_timer_t timer;
    bool late;
    uv_poll_t input;
    bool readable;
    struct h2 *h2;
    struct stream *stream;
    bool dialled, websocket;
    const char *name, *ns, *hello;
    char headers[8192];
    char next_name[256], next_value[1024]; /* for the next stream */
    char line[LINE_MAX_];
    size_t have;
    bool input_ended;
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "linkprobe: %s: %s\n", what, why);
    exit(2);
}

/* ---- waiting ---- */

static void late_cb(uv_timer_t *timer)
{
    struct probe *p = timer->data;

    p->late = true;
}

static void start_clock(struct probe *p, unsigned ms)
{
    uv_update_time(&p->loop);
    p->late = false;
    uv_timer_start(&p->timer, late_cb, ms, 0);
}

/* Until the flag is set, the link ended, or the time is over. */
static bool run_until(struct probe *p, const bool *flag, unsigned ms)
{
    start_clock(p, ms);
    while (!*flag && !p->late && !(p->h2 && h2_end(p->h2)))
        uv_run(&p->loop, UV_RUN_ONCE);
    uv_timer_stop(&p->timer);
    return *flag;
}

/* Until x has an answer or is closed. */
static void run_answer(struct probe *p, const struct h2_exchange *x)
{
    start_clock(p, ANSWER_MS);
    while (!x->status && !x->closed && !p->late && !h2_end(p->h2))
        uv_run(&p->loop, UV_RUN_ONCE);
    uv_timer_stop(&p->timer);
}

/* ---- opening ---- */

static void dialled_cb(void *arg, const struct dial_result *r)
{
    struct probe *p = arg;

    p->dialled = true;
    p->stream = r->stream;
    if (r->status == 0)
        printf("open\n");
    else
        printf("refused %d %s %s\n", r->http_status, r->text,
               r->body ? r->body : "");
    fflush(stdout);
}

static struct tls_ctx *make_tls(struct json_object *target)
{
    struct tls_client_config config = {
        .ca_pem = json_get_str(target, "ca", NULL),
        .cert_pem = json_get_str(target, "cert", NULL),
        .key_pem = json_get_str(target, "key", NULL),
    };
    struct tp_error err = {0};
    struct tls_ctx *tls = tls_ctx_create_client(&config, &err);

    if (!tls)
        die("TLS", err.text);
    return tls;
}

static void add_header(struct probe *p, const char *name, const char *value)
{
    size_t have = strlen(p->headers);

    snprintf(p->headers + have, sizeof(p->headers) - have, "%s%s\r\n", name,
             value);
}

static bool open_link(struct probe *p, struct json_object *target)
{
    char path[512];
    struct tls_ctx *tls = make_tls(target);
    const char *token = json_get_str(target, "token", NULL);
    struct dial_config config = {
        .host = json_get_str(target, "host", "127.0.0.1"),
        .port = (uint16_t)json_get_int(target, "port", 443),
        .server_name = json_get_str(target, "serverName", NULL),
        .tls = tls,
        .timeout_ms = ANSWER_MS,
        .method = p->websocket ? "GET" : "POST",
        .path = path,
        .upgrade = p->websocket ? "websocket" : "tp/1",
        .headers = p->headers,
    };

    snprintf(path, sizeof(path),
             "/apis/connect.tp.internal/v1/namespaces/%s/connections/%s/"
             "portforward",
             p->ns, p->name);
    if (token)
        add_header(p, "Authorization: Bearer ", token);
    if (p->websocket)
        add_header(p, SUBPROTOCOL, "");
    if (!dial_start(&p->loop, &config, dialled_cb, p))
        die("dial", "out of memory");
    run_until(p, &p->dialled, ANSWER_MS + 1000);
    tls_ctx_destroy(tls);
    if (p->stream && p->websocket)
        p->stream = websocket_create(p->stream, true);
    if (p->stream)
        p->h2 = h2_create(&p->loop, p->stream);
    return p->h2 != NULL;
}

/* ---- streams ---- */

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)value,
                        .valuelen = strlen(value)};
}

/* With the header that was put aside for it. False if the link has ended. */
static bool open_stream(struct probe *p, struct h2_exchange *x, nghttp2_nv *nvs,
                        size_t count)
{
    bool good;

    if (p->next_name[0])
        nvs[count++] = nv(p->next_name, p->next_value);
    good = h2_open(p->h2, x, nvs, count) == 0;
    p->next_name[0] = '\0';
    return good;
}

/* What the answer was, without a newline. */
static void print_answer(const struct probe *p, const struct h2_exchange *x)
{
    if (x->status)
        printf("%d%s%s", x->status, x->error[0] ? " " : "", x->error);
    else if (h2_end(p->h2))
        printf("ended %s", h2_end(p->h2));
    else
        printf(x->closed ? "reset %u" : "none", x->code);
}

static void finish(struct probe *p, struct h2_exchange *x)
{
    putchar('\n');
    h2_forget(p->h2, x, NGHTTP2_CANCEL);
    h2_exchange_release(x);
}

static void do_tcp(struct probe *p, const char *where)
{
    struct h2_exchange x = {0};
    nghttp2_nv nvs[3] = {nv(":method", "CONNECT"), nv(":authority", where)};

    if (open_stream(p, &x, nvs, 2))
        run_answer(p, &x);
    print_answer(p, &x);
    finish(p, &x);
}

/* One DATAGRAM capsule (RFC 9297, 9298) of a text shorter than 60 bytes. */
static size_t make_capsule(uint8_t *out, const char *text)
{
    size_t len = strnlen(text, 60);

    out[0] = 0;
    out[1] = (uint8_t)(len + 1);
    out[2] = 0;
    memcpy(out + 3, text, len);
    return len + 3;
}

static void print_datagram(struct probe *p, struct h2_exchange *x)
{
    const bool never = false;

    for (int i = 0; i < 20 && buf_used(&x->in) < 3 && !h2_end(p->h2); i++)
        run_until(p, &never, UDP_MS / 20);
    if (buf_used(&x->in) > 3)
        printf(" %.*s", (int)buf_used(&x->in) - 3,
               (const char *)buf_head(&x->in) + 3);
    else
        printf(" -");
}

static void do_udp(struct probe *p, const char *host, const char *port,
                   const char *text)
{
    uint8_t capsule[64];
    char path[512] = "";
    struct h2_exchange x = {.out = capsule,
                            .out_len = make_capsule(capsule, text)};
    nghttp2_nv nvs[7] = {nv(":method", "CONNECT"),
                         nv(":protocol", "connect-udp"), nv(":scheme", "https"),
                         nv(":authority", "manager")};

    snprintf(path, sizeof(path), "/.well-known/masque/udp/%s/%s/", host, port);
    nvs[4] = nv(":path", path);
    nvs[5] = nv("capsule-protocol", "?1");
    if (open_stream(p, &x, nvs, 6))
        run_answer(p, &x);
    print_answer(p, &x);
    if (x.status == 200)
        print_datagram(p, &x);
    finish(p, &x);
}

static void do_request(struct probe *p, const char *method, const char *path,
                       const char *body)
{
    struct h2_exchange x = {
        .out = body, .out_len = strlen(body), .out_end = true};
    nghttp2_nv nvs[5] = {nv(":method", method), nv(":scheme", "https"),
                         nv(":path", path), nv(":authority", "manager")};

    if (open_stream(p, &x, nvs, 4))
        run_answer(p, &x);
    if (x.status)
        run_until(p, &x.closed, 1000);
    print_answer(p, &x);
    printf(" %.*s", (int)buf_used(&x.in),
           buf_used(&x.in) ? (const char *)buf_head(&x.in) : "");
    finish(p, &x);
}

static void do_reset(struct probe *p, unsigned count, const char *where)
{
    const bool never = false;
    unsigned i;

    for (i = 0; i < count && !h2_end(p->h2); i++) {
        struct h2_exchange x = {0};
        nghttp2_nv nvs[3] = {nv(":method", "CONNECT"), nv(":authority", where)};

        if (open_stream(p, &x, nvs, 2))
            h2_forget(p->h2, &x, NGHTTP2_CANCEL);
        h2_exchange_release(&x);
        uv_run(&p->loop, UV_RUN_NOWAIT);
    }
    run_until(p, &never, 500);
    if (h2_end(p->h2))
        printf("ended %s\n", h2_end(p->h2));
    else
        printf("ok %u\n", i);
}

static unsigned count_answered(const struct h2_exchange *x, unsigned count)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count; i++)
        n += x[i].status != 0;
    return n;
}

static void do_hold(struct probe *p, unsigned count, const char *where)
{
    struct h2_exchange *x = calloc(count, sizeof(*x));
    const bool never = false;

    if (!x)
        die("out of memory", where);
    for (unsigned i = 0; i < count; i++) {
        nghttp2_nv nvs[3] = {nv(":method", "CONNECT"), nv(":authority", where)};

        open_stream(p, &x[i], nvs, 2);
    }
    for (int i = 0; i < 150 && !h2_end(p->h2); i++) {
        if (count_answered(x, count) == count)
            break;
        run_until(p, &never, ANSWER_MS / 150);
    }
    printf("ok %u\n", count_answered(x, count));
    for (unsigned i = 0; i < count; i++) {
        h2_forget(p->h2, &x[i], NGHTTP2_CANCEL);
        h2_exchange_release(&x[i]);
    }
    free(x);
}

static void do_idle(struct probe *p, unsigned seconds)
{
    const bool never = false;

    run_until(p, &never, seconds * 1000);
    if (h2_end(p->h2))
        printf("ended %s\n", h2_end(p->h2));
    else
        printf("alive\n");
}

static void send_frame(struct probe *p, unsigned type, uint8_t *frame,
                       size_t len)
{
    const uint8_t head[9] = {(uint8_t)(len >> 16),
                             (uint8_t)(len >> 8),
                             (uint8_t)len,
                             (uint8_t)type,
                             0,
                             0x3f, /* a stream far above those in use */
                             0xff,
                             0xff,
                             0xff};

    memcpy(frame, head, sizeof(head));
    len += sizeof(head);
    while (len > 0 && !h2_end(p->h2)) {
        size_t n = h2_send_raw(p->h2, frame, len);

        frame += n;
        len -= n;
        uv_run(&p->loop, UV_RUN_NOWAIT);
    }
}

/* Literal fields "x" with an empty value (RFC 7541 6.2.2), after a head. */
static void do_flood(struct probe *p, unsigned count, size_t size)
{
    static const uint8_t request[] = {0x82, 0x86, 0x84, 0x01, 0x02, 't', 'p'};
    static const uint8_t field[] = {0x00, 0x01, 'x', 0x00};
    static uint8_t frame[9 + 65536];
    const bool never = false;

    size = (size < 65536 ? size : 65536) / sizeof(field) * sizeof(field);
    memcpy(frame + 9, request, sizeof(request));
    send_frame(p, NGHTTP2_HEADERS, frame, sizeof(request));
    for (size_t at = 0; at < size; at += sizeof(field))
        memcpy(frame + 9 + at, field, sizeof(field));
    while (count-- > 0 && !h2_end(p->h2))
        send_frame(p, NGHTTP2_CONTINUATION, frame, size);
    run_until(p, &never, 500);
    if (h2_end(p->h2))
        printf("ended %s\n", h2_end(p->h2));
    else
        printf("alive\n");
}

static void do_line(struct probe *p, char *line)
{
    char *save = NULL, *command = strtok_r(line, " ", &save);
    const char *a = strtok_r(NULL, " ", &save), *b = strtok_r(NULL, " ", &save);
    const char *rest = save ? save : "";

    if (!command || !a)
        die("not understood", line);
    if (!strcmp(command, "tcp")) {
        do_tcp(p, a);
    } else if (!strcmp(command, "idle")) {
        do_idle(p, (unsigned)atoi(a));
    } else if (!b) {
        die("not understood", line);
    } else if (!strcmp(command, "udp")) {
        do_udp(p, a, b, rest);
    } else if (!strcmp(command, "request")) {
        do_request(p, a, b, rest);
    } else if (!strcmp(command, "reset")) {
        do_reset(p, (unsigned)atoi(a), b);
    } else if (!strcmp(command, "hold")) {
        do_hold(p, (unsigned)atoi(a), b);
    } else if (!strcmp(command, "flood")) {
        do_flood(p, (unsigned)atoi(a), (size_t)atoi(b));
    } else if (!strcmp(command, "header")) {
        snprintf(p->next_name, sizeof(p->next_name), "%s", a);
        snprintf(p->next_value, sizeof(p->next_value), "%s", b);
        printf("ok\n");
    } else {
        die("not understood", line);
    }
    fflush(stdout);
}

/* ---- input ---- */

static void input_cb(uv_poll_t *poll, int status, int events)
{
    struct probe *p = poll->data;
    ssize_t n =
        read(STDIN_FILENO, p->line + p->have, sizeof(p->line) - 1 - p->have);

    (void)status;
    (void)events;
    if (n > 0)
        p->have += (size_t)n;
    else if (n == 0 || errno != EAGAIN)
        p->input_ended = true;
    p->readable = true;
}

/* False at the end of the input. The link is served meanwhile. */
static bool next_line(struct probe *p, char *out)
{
    const char *newline;
    size_t len;

    while (!(newline = memchr(p->line, '\n', p->have))) {
        if (p->input_ended)
            return false;
        uv_poll_start(&p->input, UV_READABLE, input_cb);
        uv_run(&p->loop, UV_RUN_ONCE);
    }
    uv_poll_stop(&p->input);
    len = (size_t)(newline - p->line);
    memcpy(out, p->line, len);
    out[len] = '\0';
    p->have -= len + 1;
    memmove(p->line, newline + 1, p->have);
    return true;
}

/* ---- main ---- */

static struct json_object *read_target(const char *path)
{
    cleanup_file FILE *f = fopen(path, "re");
    cleanup_free char *text = calloc(1, FILE_MAX);
    struct tp_error err = {0};
    struct json_object *target;
    size_t len;

    if (!f || !text)
        die(path, strerror(errno));
    len = fread(text, 1, FILE_MAX - 1, f);
    target = json_parse_text(text, len, &err);
    if (!target)
        die(path, err.text);
    return target;
}

static const char *read_options(struct probe *p, int argc, char **argv)
{
    static const struct option options[] = {
        {"name", required_argument, NULL, 'n'},
        {"namespace", required_argument, NULL, 's'},
        {"websocket", no_argument, NULL, 'w'},
        {"header", required_argument, NULL, 'H'},
        {"hello", required_argument, NULL, 'h'},
        {0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (c == 'n')
            p->name = optarg;
        else if (c == 's')
            p->ns = optarg;
        else if (c == 'w')
            p->websocket = true;
        else if (c == 'H')
            add_header(p, optarg, "");
        else if (c == 'h')
            p->hello = optarg;
        else
            die("usage", "linkprobe [OPTION]... TARGET.json");
    }
    if (optind + 1 != argc)
        die("usage", "linkprobe [OPTION]... TARGET.json");
    return argv[optind];
}

static void init_loop(struct probe *p)
{
    uv_loop_init(&p->loop);
    uv_timer_init(&p->loop, &p->timer);
    p->timer.data = p;
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    if (uv_poll_init(&p->loop, &p->input, STDIN_FILENO) < 0)
        die("standard input", "not a pipe");
    p->input.data = p;
}

int main(int argc, char **argv)
{
    static struct probe p = {.ns = "default",
                             .hello = HELLO,
                             .name = "linkprobe-aaaaaaaaaaaaaaaaaaaa"};
    static char line[LINE_MAX_];
    const char *path = read_options(&p, argc, argv);
    cleanup_json struct json_object *target = read_target(path);

    init_loop(&p);
    if (!open_link(&p, target))
        return 1;
    if (strcmp(p.hello, "none") != 0) {
        printf("hello ");
        do_request(&p, "POST", "/tp/v1/hello", p.hello);
        fflush(stdout);
    }
    while (next_line(&p, line))
        do_line(&p, line);
    h2_destroy(p.h2);
    uv_run(&p.loop, UV_RUN_NOWAIT);
    return 0;
}
