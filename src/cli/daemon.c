#include "cli/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/volume_plugin.h"
#include "engine/exec.h"

#define START_MS 10000

struct daemon_ctl {
    struct engine_exec *exec;
};

static int out_of_memory(struct tp_error *err)
{
    return tp_error_set(err, -ENOMEM, "out of memory");
}

static struct json_object *label_of(struct json_object *labels,
                                    const char *name)
{
    struct json_object *value = NULL;

    if (labels)
        json_object_object_get_ex(labels, name, &value);
    return value;
}

/* Docker's time of what has not happened is that of year 1. */
static bool has_ended(const char *finished_at)
{
    return *finished_at && strncmp(finished_at, "0001-", 5) != 0;
}

static bool has_mount(struct json_object *info, const char *target)
{
    struct json_object *mounts = json_get_array(info, "Mounts");

    for (size_t i = 0; i < json_array_len(mounts); i++) {
        if (!strcmp(json_get_str(json_object_array_get_idx(mounts, i),
                                 "Destination", ""),
                    target))
            return true;
    }
    return false;
}

int daemon_find(struct daemon *d, struct engine *e, const char *name,
                struct tp_error *err)
{
    cleanup_json struct json_object *info = NULL;
    struct json_object *labels, *version;
    int rc;

    memset(d, 0, sizeof(*d));
    d->name = strdup(name);
    rc = engine_container_inspect(e, name, &info, err);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    labels = json_get(info, "Config.Labels");
    version = label_of(labels, DAEMON_LABEL_VERSION);
    d->id = strdup(json_get_str(info, "Id", name));
    d->version = strdup(version ? json_object_get_string(version) : "");
    d->started_at = strdup(json_get_str(info, "State.StartedAt", ""));
    if (!d->name || !d->id || !d->version || !d->started_at)
        return out_of_memory(err);
    if (!label_of(labels, DAEMON_LABEL))
        d->state = DAEMON_FOREIGN;
    else
        d->state = json_get_bool(info, "State.Running", false) ? DAEMON_RUNNING
                                                               : DAEMON_STOPPED;
    d->restarted = d->state == DAEMON_RUNNING &&
                   has_ended(json_get_str(info, "State.FinishedAt", ""));
    d->has_volumes = has_mount(info, VOLUME_TARGET);
    d->unstarted = d->state == DAEMON_STOPPED &&
                   !strcmp(json_get_str(info, "State.Status", ""), "created");
    return 0;
}

void daemon_release(struct daemon *d)
{
    free(d->name);
    free(d->id);
    free(d->version);
    free(d->started_at);
    memset(d, 0, sizeof(*d));
}

struct json_object *daemon_request(const char *op)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "op", op);
    return obj;
}

static int write_line(struct engine_exec *x, struct json_object *obj,
                      struct tp_error *err)
{
    const char *text =
        json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN);
    int rc = engine_exec_write(x, text, strlen(text), err);

    return rc < 0 ? rc : engine_exec_write(x, "\n", 1, err);
}

/* The next line, parsed. 1, 0 at the end, or a negative errno. */
static int read_object(struct engine_exec *x, int timeout_ms,
                       struct json_object **out, struct tp_error *err)
{
    cleanup_free char *line = NULL;
    int rc = engine_exec_read_line(x, timeout_ms, &line, err);

    *out = NULL;
    if (rc <= 0)
        return rc;
    *out = json_parse_text(line, strlen(line), err);
    if (!*out)
        return tp_error_set(err, -EBADMSG,
                            "the daemon answered what is not JSON");
    return 1;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int not_running(struct engine_exec *x, struct tp_error *err)
{
    const char *said = engine_exec_stderr(x);

    return tp_error_set(err, -ECONNREFUSED, "the daemon does not answer%s%s",
                        *said ? ": " : "", said);
}

/* Sends the request; a daemon that is not there yet ends `ctl` before any
 * answer, which is no error for a while. */
static int try_open(struct engine *e, const char *container,
                    struct json_object *request, struct daemon_ctl *ctl,
                    struct tp_error *err)
{
    static const char *const argv[] = {"tp-daemon", "ctl", NULL};
    int rc;

    ctl->exec = engine_exec_start(e, container, argv, err);
    if (!ctl->exec)
        return err->code == -ECANCELED ? -ECANCELED : -EIO;
    rc = write_line(ctl->exec, request, err);
    if (rc == -ECANCELED)
        return rc;
    if (rc < 0)
        return not_running(ctl->exec, err);
    return 0;
}

struct daemon_ctl *daemon_ctl_open(struct engine *e, const char *container,
                                   struct json_object *request,
                                   struct tp_error *err)
{
    struct daemon_ctl *ctl = calloc(1, sizeof(*ctl));

    if (!ctl) {
        out_of_memory(err);
        return NULL;
    }
    if (try_open(e, container, request, ctl, err) == 0)
        return ctl;
    daemon_ctl_close(ctl);
    return NULL;
}

void daemon_ctl_close(struct daemon_ctl *ctl)
{
    if (!ctl)
        return;
    engine_exec_close(ctl->exec);

    free(ctl);
}

int daemon_ctl_read(struct daemon_ctl *ctl, int timeout_ms,
                    struct json_object **out, struct tp_error *err)
{
    return read_object(ctl->exec, timeout_ms, out, err);
}

int daemon_ctl_write(struct daemon_ctl *ctl, struct json_object *obj,
                     struct tp_error *err)
{
    return write_line(ctl->exec, obj, err);
}

/* One try: 1 and an answer, 0 if the daemon is not there, or an error. */
static int ask_once(struct engine *e, const char *container,
                    struct json_object *request, int timeout_ms,
                    struct json_object **out, struct tp_error *err)
{
    struct daemon_ctl ctl = {0};
    int rc = try_open(e, container, request, &ctl, err);

    if (rc == 0) {
        rc = read_object(ctl.exec, timeout_ms, out, err);
        if (rc == 0)
            not_running(ctl.exec, err);
    } else if (rc == -ECONNREFUSED) {
        rc = 0;
    }
    engine_exec_close(ctl.exec);
    return rc;
}

int daemon_ask(struct engine *e, const char *container,
               struct json_object *request, int timeout_ms,
               struct json_object **out, char **code, struct tp_error *err)
{
    int64_t deadline = now_ms() + START_MS;
    const char *error;
    int rc;

    *out = NULL;
    if (code)
        *code = NULL;
    while ((rc = ask_once(e, container, request, timeout_ms, out, err)) == 0) {
        if (now_ms() > deadline)
            return -ECONNREFUSED; /* err: what ctl said last */
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    if (rc < 0)
        return rc;
    error = json_get_str(*out, "error", NULL);
    /* A status object has `error` too, for the last reason. */
    if (!error || json_get(*out, "state"))
        return 0;
    if (code)
        *code = strdup(json_get_str(*out, "code", "failed"));
    tp_error_set(err, -EPROTO, "%s", error);
    json_object_put(*out);
    *out = NULL;
    return -EPROTO;
}
