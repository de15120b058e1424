#include "agent/files_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "tunnel/relay.h"

/* ---- life ------------------------------------------------------------------
 */

/* Of the directory that this program is in; owned. */
static char *beside(const char *name)
{
    char path[512], *slash, *out;
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (len < 0)
        return NULL;
    path[len] = '\0';
    slash = strrchr(path, '/');
    *(slash ? slash : path) = '\0';
    return asprintf(&out, "%s/%s", path, name) < 0 ? NULL : out;
}

struct files *files_create(uv_loop_t *loop, const struct settings *settings,
                           const char *root, const char *program)
{
    struct files *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->loop = loop;
    f->settings = settings;
    f->root = strdup(root);
    f->program = program ? strdup(program) : beside("tp-agent-sftp");
    if (f->root && f->program)
        return f;
    files_release(f);
    return NULL;
}

static void forget(struct files_grant *g)
{
    free(g->key);
    *g = (struct files_grant){0};
}

void files_release(struct files *f)
{
    for (size_t i = 0; i < FILES_GRANTS_MAX; i++)
        forget(&f->grants[i]);
    sshkey_release(&f->host);
    free(f->root);
    free(f->program);
    free(f);
}

void files_destroy(struct files *f)
{
    struct files_server *server;

    if (!f)
        return;
    f->closing = true;
    LIST_FOREACH(server, &f->servers, entry)
    {
        files_server_stop(server);
    }
    if (f->count == 0)
        files_release(f);
}

/* ---- grants ----------------------------------------------------------------
 */

static bool is_fresh(const struct files *f, const struct files_grant *g)
{
    return *g->id && uv_now(f->loop) - g->made < FILES_GRANT_MS;
}

static struct files_grant *find(struct files *f, const char *id)
{
    for (size_t i = 0; i < FILES_GRANTS_MAX; i++) {
        if (!strcmp(f->grants[i].id, id))
            return &f->grants[i];
    }
    return NULL;
}

/* That of the same engagement, a free one, or else the oldest. */
static struct files_grant *place_for(struct files *f, const char *id)
{
    struct files_grant *best = find(f, id);

    for (size_t i = 0; !best && i < FILES_GRANTS_MAX; i++) {
        if (!*f->grants[i].id)
            best = &f->grants[i];
    }
    for (size_t i = 0; !best && i < FILES_GRANTS_MAX; i++) {
        if (!best || f->grants[i].made < best->made)
            best = &f->grants[i];
    }
    forget(best);
    return best;
}

static struct files_grant *take(struct files *f, struct json_object *request,
                                struct tp_error *err)
{
    const char *id = json_get_str(request, "id", "");
    const char *container = json_get_str(request, "container", "");
    const char *key = json_get_str(request, "key", "");
    struct files_grant *g;

    if (!tunnel_name_valid(id) || !sshkey_is_public(key)) {
        tp_error_set(err, -EINVAL, "\"id\" or \"key\" is not one");
        return NULL;
    }
    if (settings_find_container(f->settings, container) < 0) {
        tp_error_set(err, -ENOENT, "no such container");
        return NULL;
    }
    g = place_for(f, id);
    g->key = strdup(key);
    if (!g->key) {
        tp_error_errno(err, -ENOMEM, "files");
        return NULL;
    }
    strcpy(g->id, id);
    strcpy(g->container, container);
    g->read_only = json_get_bool(request, "readOnly", true);
    g->credentials = json_get_bool(request, "credentials", false);
    g->made = uv_now(f->loop);
    return g;
}

struct json_object *files_grant(struct files *f, const char *body, size_t len,
                                struct tp_error *err)
{
    cleanup_json struct json_object *request = json_parse_text(body, len, err);
    struct json_object *answer;
    struct files_grant *g;

    if (!request || (!f->host.public_line && sshkey_make(&f->host, err) < 0))
        return NULL;
    g = take(f, request, err);
    if (!g)
        return NULL;
    answer = json_object_new_object();
    json_put_str(answer, "hostKey", f->host.public_line);
    files_put_mounts(f, g, answer);
    return answer;
}

/* ---- streams ---------------------------------------------------------------
 */

static void relay_ended_cb(void *arg, uint64_t bytes_in, uint64_t bytes_out)
{
    (void)arg;
    log_debug("files: %llu bytes in, %llu out", (unsigned long long)bytes_in,
              (unsigned long long)bytes_out);
}

int files_open(struct files *f, struct tunnel_stream *s,
               const struct tunnel_open *open)
{
    const struct files_grant *g = find(f, open->name);
    int fd, rc;

    if (open->kind != TUNNEL_TCP || open->port != FILES_PORT || !g ||
        !is_fresh(f, g))
        return -EACCES;
    fd = files_server_start(f, g);
    if (fd < 0)
        return fd;
    rc = tunnel_stream_answer(s, 0);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    relay_create(f->loop, fd, s, relay_ended_cb, NULL);
    return 0;
}
