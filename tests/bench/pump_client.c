/*
 * pump_client.c - dials, upgrades, pumps, counts
 *
 * Bulk counts what passes in `seconds` after a warm-up, as client.c does;
 * echo sends 64 bytes, waits for them, and keeps each time.
 */
#include "pump.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define STREAMS_MAX 64
#define TURN        16
#define WARM_UP_MS  500
#define DIAL_MS     10000
#define MESSAGE     64
#define SAMPLES_MAX (4 * 1024 * 1024)

struct pump;

struct lane {
    struct pump *pump;
    struct stream *stream;
    size_t got; /* echo: bytes of the answer */
};

struct pump {
    uv_loop_t *loop;
    const struct pump_job *job;
    struct lane lanes[STREAMS_MAX];
    size_t connected;
    uv_timer_t timer;
    bool measuring;
    uint64_t start_ns, stop_ns;
    uint64_t bytes;
    uint64_t asked_ns; /* echo */
    uint32_t *samples;
    size_t count;
    struct tp_error err;
};

static uint8_t scratch[PUMP_SIZE];

static void pump_fail(struct pump *p, int code, const char *text)
{
    if (!p->err.code)
        tp_error_set(&p->err, code, "%s", text);
    uv_stop(p->loop);
}

/* ---- the three ways to pump ---- */

static ssize_t read_bulk(struct lane *l)
{
    return stream_read(l->stream, scratch, sizeof(scratch));
}

static ssize_t write_bulk(struct lane *l)
{
    return stream_write(l->stream, scratch, sizeof(scratch));
}

static void bulk_event_cb(void *arg, unsigned events)
{
    struct lane *l = arg;
    ssize_t n = 0;

    for (int i = 0; i < TURN && n >= 0; i++) {
        n = events & STREAM_WRITABLE ? write_bulk(l) : read_bulk(l);
        if (n == 0)
            n = -ECONNRESET;
        if (n > 0)
            l->pump->bytes += (uint64_t)n;
    }
    if (n < 0 && n != -EAGAIN)
        pump_fail(l->pump, (int)n, "the connection broke");
}

static void ask(struct lane *l)
{
    l->got = 0;
    l->pump->asked_ns = uv_hrtime();
    if (stream_write(l->stream, scratch, MESSAGE) != MESSAGE)
        pump_fail(l->pump, -EPIPE, "the request was not taken");
}

static void answered(struct pump *p)
{
    uint64_t ns = uv_hrtime() - p->asked_ns;

    if (p->measuring && p->count < SAMPLES_MAX)
        p->samples[p->count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static void echo_event_cb(void *arg, unsigned events)
{
    struct lane *l = arg;
    ssize_t n = stream_read(l->stream, scratch, MESSAGE - l->got);

    (void)events;
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        pump_fail(l->pump, -ECONNRESET, "the connection broke");
        return;
    }
    l->got += (size_t)n;
    if (l->got == MESSAGE) {
        answered(l->pump);
        ask(l);
    }
}

/* ---- time ---- */

static void over_cb(uv_timer_t *timer)
{
    struct pump *p = timer->data;

    p->stop_ns = uv_hrtime();
    uv_stop(p->loop);
}

static void warm_cb(uv_timer_t *timer)
{
    struct pump *p = timer->data;

    p->measuring = true;
    p->bytes = 0;
    p->start_ns = uv_hrtime();
    uv_timer_start(timer, over_cb, (uint64_t)(p->job->seconds * 1000), 0);
}

/* ---- connecting ---- */

static void begin(struct pump *p)
{
    const char *mode = p->job->mode;

    for (size_t i = 0; i < p->job->streams; i++) {
        struct lane *l = &p->lanes[i];

        if (!strcmp(mode, "echo")) {
            stream_set_callback(l->stream, echo_event_cb, l);
            stream_want(l->stream, STREAM_READABLE);
            ask(l);
        } else {
            stream_set_callback(l->stream, bulk_event_cb, l);
            stream_want(l->stream, !strcmp(mode, "sink") ? STREAM_WRITABLE
                                                         : STREAM_READABLE);
        }
    }
    uv_timer_start(&p->timer, warm_cb, WARM_UP_MS, 0);
}

static void dialled_cb(void *arg, const struct dial_result *result)
{
    struct lane *l = arg;
    struct pump *p = l->pump;
    char word[16];
    int n, on = 1;

    if (result->status < 0) {
        pump_fail(p, result->status,
                  result->body ? result->body : result->text);
        return;
    }
    l->stream = result->stream;
    setsockopt(stream_fd(l->stream), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    n = snprintf(word, sizeof(word), "%s\n", p->job->mode);
    if (stream_write(l->stream, word, (size_t)n) != n)
        pump_fail(p, -EPIPE, "the first line was not taken");
    else if (++p->connected == p->job->streams)
        begin(p);
}

struct tls_ctx *pump_make_tls(struct tp_error *err)
{
    struct tls_client_config config = {
        .ca_pem = getenv("PUMP_CA"),
        .cert_pem = getenv("PUMP_CERT"),
        .key_pem = getenv("PUMP_KEY"),
        .insecure = !getenv("PUMP_CA"),
    };

    return tls_ctx_create_client(&config, err);
}

struct dial *pump_dial(uv_loop_t *loop, const struct pump_api *api,
                       struct tls_ctx *tls, dial_cb *cb, void *arg)
{
    const char *token = getenv("PUMP_TOKEN");
    char headers[8192] = "";
    struct dial_config config = {
        .host = api->host,
        .port = api->port,
        .server_name = api->server_name,
        .tls = tls,
        .timeout_ms = DIAL_MS,
        .method = "POST",
        .path = "/apis/" PUMP_GROUP "/v1/namespaces/default/connections/pump/"
                "portforward",
        .upgrade = "tp/1",
        .headers = headers,
    };

    if (token)
        snprintf(headers, sizeof(headers), "Authorization: Bearer %s\r\n",
                 token);
    return dial_start(loop, &config, cb, arg);
}

static int dial_all(struct pump *p, struct tls_ctx *tls)
{
    for (size_t i = 0; i < p->job->streams; i++) {
        p->lanes[i].pump = p;
        if (!pump_dial(p->loop, &p->job->api, tls, dialled_cb, &p->lanes[i]))
            return -ENOMEM;
    }
    return 0;
}

/* ---- the result ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double percentile(const struct pump *p, double part)
{
    if (p->count == 0)
        return 0;
    return p->samples[(size_t)((double)(p->count - 1) * part)] / 1000.0;
}

static void print_result(struct pump *p)
{
    double seconds = (double)(p->stop_ns - p->start_ns) * 1e-9;

    if (strcmp(p->job->mode, "echo") != 0) {
        printf("{\"bytes\": %llu, \"seconds\": %.4f, \"gbit_s\": %.4f, "
               "\"streams\": %zu}\n",
               (unsigned long long)p->bytes, seconds,
               (double)p->bytes * 8e-9 / seconds, p->job->streams);
        return;
    }
    qsort(p->samples, p->count, sizeof(*p->samples), compare);
    printf("{\"count\": %zu, \"p50_us\": %.1f, \"p90_us\": %.1f, "
           "\"p99_us\": %.1f, \"max_us\": %.1f}\n",
           p->count, percentile(p, 0.5), percentile(p, 0.9),
           percentile(p, 0.99), percentile(p, 1));
}

int pump_measure(uv_loop_t *loop, const struct pump_job *job,
                 struct tp_error *err)
{
    static struct pump p;
    struct tls_ctx *tls;

    if (job->streams < 1 || job->streams > STREAMS_MAX)
        return tp_error_set(err, -EINVAL, "1 to %d streams", STREAMS_MAX);
    p.loop = loop;
    p.job = job;
    p.samples = malloc(SAMPLES_MAX * sizeof(*p.samples));
    tls = pump_make_tls(err);
    if (!tls || !p.samples)
        return -EINVAL;
    uv_timer_init(loop, &p.timer);
    p.timer.data = &p;
    if (dial_all(&p, tls) < 0)
        return tp_error_set(err, -ENOMEM, "out of memory");
    uv_run(loop, UV_RUN_DEFAULT);
    if (p.err.code) {
        *err = p.err;
        return p.err.code;
    }
    if (p.bytes == 0 && p.count == 0)
        return tp_error_set(err, -ETIMEDOUT, "nothing came through");
    print_result(&p);
    return 0; /* what is open ends with the process */
}
