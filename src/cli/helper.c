#include "cli/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/daemon.h"
#include "cli/session.h"

#define MIN_INTERVAL_S 5
#define MAX_BACKOFF_S  30
#define READ_MS        60000
#define MAX_TOKEN      (64U << 10)
#define MAX_IDLE       6 /* attachments that found no session in a row */

enum outcome {
    OUTCOME_LOST,  /* the connection broke: attach again */
    OUTCOME_IDLE,  /* there is no session (any more) */
    OUTCOME_ENDED, /* nothing left to do */
};

struct helper {
    const struct kube_context *kube;
    const char *container; /* id */
    time_t last_run;       /* CLOCK_MONOTONIC seconds */
};

bool helper_is_needed(const struct kube_context *kube)
{
    return kube->exec || kube->endpoint.token_file;
}

static time_t now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

static int read_token_file(const char *path, struct kube_credentials *out,
                           struct tp_error *err)
{
    int rc;

    memset(out, 0, sizeof(*out));
    rc = file_read(path, MAX_TOKEN, &out->token, NULL, err);
    if (rc < 0)
        return rc;
    out->token[strcspn(out->token, "\r\n")] = '\0';
    if (!*out->token)
        return tp_error_set(err, -ENODATA, "%s is empty", path);
    return 0;
}

/* One answer to {"need": "credentials"}. Owned. */
static struct json_object *make_answer(struct helper *h)
{
    struct json_object *answer = json_object_new_object();
    struct kube_credentials c = {0};
    struct tp_error err = {0};
    time_t wait = h->last_run + MIN_INTERVAL_S - now_s();
    int rc;

    if (h->last_run && wait > 0)
        sleep((unsigned)wait);
    rc = h->kube->exec
             ? kube_exec_run(h->kube->exec, true, &c, &err)
             : read_token_file(h->kube->endpoint.token_file, &c, &err);
    h->last_run = now_s();
    if (rc == 0)
        json_object_object_add(answer, "credentials", session_credentials(&c));
    else
        json_put_str(answer, "error", err.text);
    kube_credentials_release(&c);
    return answer;
}

static int answer(struct helper *h, struct daemon_ctl *ctl)
{
    cleanup_json struct json_object *line = make_answer(h);

    return daemon_ctl_write(ctl, line, NULL);
}

/* Reads lines until the conversation ends. */
static enum outcome serve(struct helper *h, struct daemon_ctl *ctl)
{
    for (;;) {
        cleanup_json struct json_object *line = NULL;
        struct tp_error err = {0};
        int rc = daemon_ctl_read(ctl, READ_MS, &line, &err);

        if (rc == -ETIMEDOUT)
            continue;
        if (rc <= 0)
            return OUTCOME_LOST;
        if (!strcmp(json_get_str(line, "code", ""), "busy"))
            return OUTCOME_ENDED; /* a newer helper is there */
        if (json_get(line, "error"))
            return OUTCOME_IDLE;
        if (json_get(line, "need") && answer(h, ctl) < 0)
            return OUTCOME_LOST;
    }
}

static enum outcome attach(struct helper *h, struct engine *e)
{
    cleanup_json struct json_object *request = daemon_request("credentials");
    struct tp_error err = {0};
    struct daemon_ctl *ctl = daemon_ctl_open(e, h->container, request, &err);
    enum outcome outcome = OUTCOME_LOST;

    if (ctl)
        outcome = serve(h, ctl);
    daemon_ctl_close(ctl);
    return outcome;
}

/* Attaches once, if the container is still there. */
static enum outcome attach_if_alive(struct helper *h)
{
    struct tp_error err = {0};
    struct engine *e = engine_open(&err);
    struct daemon d = {0};
    enum outcome outcome = OUTCOME_LOST;

    if (!e)
        return OUTCOME_LOST; /* the engine restarts, the laptop slept */
    if (daemon_find(&d, e, h->container, &err) == 0)
        outcome = d.state == DAEMON_RUNNING ? attach(h, e) : OUTCOME_ENDED;
    daemon_release(&d);
    engine_close(e);
    return outcome;
}

static void run(struct helper *h)
{
    unsigned pause = 1, idle = 0;

    for (;;) {
        time_t began = now_s();
        enum outcome outcome = attach_if_alive(h);

        if (outcome == OUTCOME_ENDED)
            return;
        idle = outcome == OUTCOME_IDLE ? idle + 1 : 0;
        if (idle >= MAX_IDLE)
            return;
        if (now_s() - began > MAX_BACKOFF_S)
            pause = 1;
        sleep(pause);
        pause = pause * 2 < MAX_BACKOFF_S ? pause * 2 : MAX_BACKOFF_S;
    }
}

/* Away from the terminal, the directory and the descriptors of tp. */
static void detach(void)
{
    int null = open("/dev/null", O_RDWR);
    sigset_t none;

    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGHUP, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NAME, "tp-helper");
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    syscall(SYS_close_range, 3U, ~0U, 0U);
    if (chdir("/") < 0)
        _exit(1);
}

int helper_start(const struct kube_context *kube, const char *container,
                 struct tp_error *err)
{
    struct helper h = {.kube = kube, .container = container};
    pid_t pid = fork();

    if (pid < 0)
        return tp_error_errno(err, -errno, "cannot start the helper");
    if (pid > 0) {
        waitpid(pid, NULL, 0);
        return 0;
    }
    /* Twice, so that it is nobody's zombie. */
    pid = fork();
    if (pid != 0)
        _exit(pid < 0);
    detach();
    run(&h);
    _exit(0);
}
