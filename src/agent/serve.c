#include "agent/serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include <config.h>

#include "agent/environment.h"
#include "agent/path.h"
#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/json.h"
#include "tunnel/serve.h"

#define CONNECT_MS 10000 /* loopback answers at once, or its queue is full */

#define ENVIRONMENT_PATH "/tp/v1/environment/"

/* ---- requests ------------------------------------------------------------ */

static int respond(struct tunnel_stream *s, int status,
                   struct json_object *answer)
{
    if (!answer)
        return -ENOMEM;
    return tunnel_stream_respond(s, status, json_to_text(answer));
}

static int respond_error(struct tunnel_stream *s, int status, const char *text)
{
    cleanup_json struct json_object *answer = json_object_new_object();

    json_put_str(answer, "error", text);
    return respond(s, status, answer);
}

static int answer_environment(const struct serve *v, struct tunnel_stream *s,
                              const char *container)
{
    cleanup_json struct json_object *answer = NULL;
    char name[64], hostname[256] = "";
    struct environment_source source = {.environ = v->environ,
                                        .exclude = v->settings->exclude,
                                        .hostname = hostname};
    struct tp_error err = {0};
    int i = -ENOENT;

    if (percent_decode(name, sizeof(name), container, strlen(container)) == 0)
        i = settings_find_container(v->settings, name);
    if (i < 0)
        return respond_error(s, 404, "no such container");
    source.index = (size_t)i;
    source.names = v->settings->names[i];
    gethostname(hostname, sizeof(hostname) - 1);
    answer = environment_build(&source, &err);
    return answer ? respond(s, 200, answer) : respond_error(s, 422, err.text);
}

static int answer_status(const struct serve *v, struct tunnel_stream *s)
{
    cleanup_json struct json_object *answer = json_object_new_object();

    json_put_str(answer, "version", VERSION);
    v->status_cb(v->status_arg, answer);
    return respond(s, 200, answer);
}

static int answer_log(const struct serve *v, struct tunnel_stream *s)
{
    cleanup_json struct json_object *answer = json_object_new_object();
    cleanup_free char *text = logring_text(v->log);

    json_put_str(answer, "log", text);
    return respond(s, 200, answer);
}

static int answer_files(const struct serve *v, struct tunnel_stream *s,
                        const struct tunnel_open *open)
{
    struct tp_error err = {0};
    cleanup_json struct json_object *answer =
        files_grant(v->files, open->body, open->body_len, &err);

    if (answer)
        return respond(s, 200, answer);
    return respond_error(s, err.code == -ENOENT ? 404 : 422, err.text);
}

static int answer_request(const struct serve *v, struct tunnel_stream *s,
                          const struct tunnel_open *open)
{
    const char *path = open->path;

    if (v->files && !strcmp(open->method, "POST") &&
        !strcmp(path, "/tp/v1/files"))
        return answer_files(v, s, open);
    if (strcmp(open->method, "GET") != 0)
        return respond_error(s, 404, "no such request");
    if (!strcmp(path, "/tp/v1/status"))
        return answer_status(v, s);
    if (!strcmp(path, "/tp/v1/log"))
        return answer_log(v, s);
    if (!strncmp(path, ENVIRONMENT_PATH, strlen(ENVIRONMENT_PATH)))
        return answer_environment(v, s, path + strlen(ENVIRONMENT_PATH));
    return respond_error(s, 404, "no such request");
}

/* ---- the pod's own ports --------------------------------------------------
 */

static int dial(const struct serve *v, struct tunnel_stream *s,
                const struct tunnel_open *open)
{
    static const struct tunnel_serve_ops ops = {0};
    /* With the TOS that the redirect rules let pass: it is the app that is
     * meant, also at a port that is engaged. */
    const struct tunnel_serve_config config = {
        .addr = open->addr,
        .udp = open->kind == TUNNEL_UDP,
        .tos = AGENT_APP_TOS,
        .timeout_ms = CONNECT_MS,
    };

    return tunnel_serve(v->loop, s, &config, &ops, NULL);
}

/* Exactly these two: other addresses of 127/8 may belong to nobody, or to a
 * sidecar that binds them because nobody else reaches them. */
static bool is_loopback(const union sockaddr_any *addr)
{
    if (addr->sa.sa_family == AF_INET)
        return addr->in4.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
    return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
}

int serve_open(void *arg, struct tunnel_stream *s,
               const struct tunnel_open *open)
{
    const struct serve *v = arg;

    if (open->kind == TUNNEL_REQUEST)
        return answer_request(v, s, open);
    if (open->name)
        return v->files ? files_open(v->files, s, open) : -EACCES;
    if (!is_loopback(&open->addr))
        return -EACCES;
    return dial(v, s, open);
}
