/* mounter_conn.c - one connection to the files of an engagement: a process that
 * joins a socket to `tp-daemon files NAME` in the daemon's container */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/broker.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "cli/daemon.h"
#include "cli/mounter_internal.h"
#include "engine/exec.h"

#define HEAD_MS  30000 /* tp-daemon's own limit comes first */
#define CHECK_MS 10000
#define PAUSE_S  1 /* before a failure that is not the first is told */

struct conversation {
    const struct mounter_files *f;
    struct engine *engine;
    struct engine_exec *exec;
    struct json_object *head; /* {"hostKey", "id"} */
    struct tp_error err;
};

/* Why nothing could be asked: is the container gone? */
static enum mounter_outcome look_at_container(struct conversation *c)
{
    struct tp_error err = {0};
    struct daemon d;
    int rc = daemon_find(&d, c->engine, c->f->plan->record.container, &err);
    bool gone = rc == 0 && d.state != DAEMON_RUNNING;

    daemon_release(&d);
    return gone ? MOUNTER_GONE : MOUNTER_FAILED;
}

static bool is_other(struct conversation *c)
{
    const char *id = json_get_str(c->head, "id", "");

    return strcmp(id, c->f->plan->id) != 0;
}

static enum mounter_outcome read_head(struct conversation *c)
{
    cleanup_free char *line = NULL;
    const char *error;
    int rc = engine_exec_read_line(c->exec, HEAD_MS, &line, &c->err);

    if (rc == 0)
        tp_error_set(&c->err, -EPIPE, "tp-daemon: %s",
                     engine_exec_stderr(c->exec));
    if (rc <= 0)
        return MOUNTER_FAILED;
    c->head = json_parse_text(line, strlen(line), &c->err);
    if (!c->head)
        return MOUNTER_FAILED;
    error = json_get_str(c->head, "error", NULL);
    if (!error && !is_other(c))
        return MOUNTER_CARRIED;
    tp_error_set(&c->err, -ENOENT, "%s",
                 error ? error : "the engagement is another one now");
    /* The one code for an engagement that is not there. */
    return !error || !strcmp(json_get_str(c->head, "code", ""), "invalid")
               ? MOUNTER_GONE
               : MOUNTER_FAILED;
}

static enum mounter_outcome begin(struct conversation *c,
                                  const struct mounter_files *f)
{
    const char *const argv[] = {"tp-daemon", "files",
                                f->plan->record.engagement, NULL};

    *c = (struct conversation){.f = f};
    c->engine = engine_open(&c->err);
    if (!c->engine)
        return MOUNTER_FAILED;
    c->exec =
        engine_exec_start(c->engine, f->plan->record.container, argv, &c->err);
    return c->exec ? read_head(c) : look_at_container(c);
}

static void end(struct conversation *c)
{
    engine_exec_close(c->exec);
    engine_close(c->engine);
    json_object_put(c->head);
}

enum mounter_outcome mounter_carry_mount(const struct mounter_files *f)
{
    struct conversation c;
    enum mounter_outcome outcome = begin(&c, f);
    int pair[2] = {-1, -1}, rc = -EIO;

    if (outcome == MOUNTER_CARRIED &&
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
        rc = broker_give(f->broker, pair[1],
                         json_get_str(c.head, "hostKey", ""), f->key);
    if (outcome != MOUNTER_CARRIED) {
        if (f->retried)
            sleep(PAUSE_S);
        broker_refuse(f->broker, c.err.text);
    } else if (rc < 0) {
        broker_refuse(f->broker, "no socket for the connection");
        outcome = MOUNTER_FAILED;
    } else {
        close(pair[1]);
        close(f->broker);
        engine_exec_join(c.exec, pair[0], NULL);
    }
    end(&c);
    return outcome;
}

enum mounter_outcome mounter_carry_client(const struct mounter_files *f, int fd)
{
    struct conversation c;
    enum mounter_outcome outcome = begin(&c, f);

    if (outcome == MOUNTER_CARRIED &&
        mounter_write_known(f->plan, json_get_str(c.head, "hostKey", ""),
                            &c.err) == 0)
        engine_exec_join(c.exec, fd, NULL);
    else if (f->retried)
        sleep(PAUSE_S);
    end(&c);
    return outcome;
}

static bool is_listed(struct json_object *answer, const char *id)
{
    struct json_object *list = json_get_array(answer, "engagements");

    for (size_t i = 0; i < json_array_len(list); i++) {
        if (!strcmp(json_get_str(json_object_array_get_idx(list, i), "id", ""),
                    id))
            return true;
    }
    return false;
}

enum mounter_outcome mounter_check(const struct mounter_files *f)
{
    cleanup_json struct json_object *request = daemon_request("engagements");
    cleanup_json struct json_object *answer = NULL;
    struct conversation c = {.f = f};
    enum mounter_outcome outcome = MOUNTER_CARRIED;

    c.engine = engine_open(&c.err);
    if (!c.engine)
        return MOUNTER_FAILED;
    if (daemon_ask(c.engine, f->plan->record.container, request, CHECK_MS,
                   &answer, NULL, &c.err) < 0)
        outcome = look_at_container(&c);
    else if (!is_listed(answer, f->plan->id))
        outcome = MOUNTER_GONE;
    end(&c);
    return outcome;
}
