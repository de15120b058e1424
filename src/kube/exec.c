/*
 * exec.c - running a credential plugin
 *
 * Parent and child are joined by one pipe, the child's standard output. The
 * child leads a process group of its own so that a time-out ends what it
 * started, too; with a terminal it stays in ours, else it could not read.
 */
#include "kube/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/kubeconfig_internal.h"

#define MAX_OUTPUT (1U << 20)

extern char **environ;

void kube_exec_destroy(struct kube_exec *x)
{
    if (!x)
        return;
    kube_strv_free(x->argv);
    kube_strv_free(x->env);
    free(x->api_version);
    free(x->install_hint);
    free(x->cluster_json);
    free(x);
}

void kube_credentials_release(struct kube_credentials *c)
{
    free(c->token);
    free(c->cert_pem);
    free(c->key_pem);
    memset(c, 0, sizeof(*c));
}

/* "KUBERNETES_EXEC_INFO={...}". Owned. */
static char *make_info(const struct kube_exec *x, bool interactive)
{
    cleanup_json struct json_object *obj = json_object_new_object();
    struct json_object *spec = json_object_new_object();
    char *text = NULL;

    json_put_str(obj, "apiVersion", x->api_version);
    json_put_str(obj, "kind", "ExecCredential");
    json_object_object_add(obj, "spec", spec);
    if (x->cluster_json)
        json_object_object_add(spec, "cluster",
                               json_tokener_parse(x->cluster_json));
    json_object_object_add(spec, "interactive",
                           json_object_new_boolean(interactive));
    if (asprintf(&text, "KUBERNETES_EXEC_INFO=%s",
                 json_object_to_json_string_ext(
                     obj, JSON_C_TO_STRING_NOSLASHESCAPE)) < 0)
        return NULL;
    return text;
}

static bool same_variable(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");

    return !strncmp(a, b, len) && b[len] == '=';
}

/* Our environment, without what `info` and x->env replace, and these. The
 * array is owned, the strings are borrowed. */
static char **make_environment(const struct kube_exec *x, char *info)
{
    size_t ours = 0, added = 0, used = 0;
    char **env;

    while (environ[ours])
        ours++;
    while (x->env && x->env[added])
        added++;
    env = calloc(ours + added + 2, sizeof(*env));
    for (size_t i = 0; env && i < ours; i++) {
        bool replaced = same_variable(info, environ[i]);

        for (size_t j = 0; j < added && !replaced; j++)
            replaced = same_variable(x->env[j], environ[i]);
        if (!replaced)
            env[used++] = environ[i];
    }
    for (size_t j = 0; env && j < added; j++)
        env[used++] = x->env[j];
    if (env)
        env[used] = info;
    return env;
}

/* In the child. Never returns. */
static _Noreturn void run_child(const struct kube_exec *x, char **env, int out,
                                int report, bool interactive, pid_t parent)
{
    int null = open("/dev/null", O_RDWR), code;

    signal(SIGPIPE, SIG_DFL);
    /* Ctrl-C ends tp; nobody would wait for a plugin that goes on. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(126);
    if (!interactive) {
        setpgid(0, 0);
        dup2(null, STDIN_FILENO);
    }
    dup2(out, STDOUT_FILENO);
    if (fcntl(STDERR_FILENO, F_GETFD) < 0)
        dup2(null, STDERR_FILENO);
    execvpe(x->argv[0], x->argv, env);
    code = errno;
    if (write(report, &code, sizeof(code)) < 0)
        _exit(126);
    _exit(127);
}

struct child {
    pid_t pid;
    int out;    /* its standard output */
    int report; /* errno of a failed exec; closed by a good one */
};

static int start_child(const struct kube_exec *x, bool interactive,
                       struct child *child, struct tp_error *err)
{
    cleanup_free char *info = make_info(x, interactive);
    cleanup_free char **env = info ? make_environment(x, info) : NULL;
    int out[2], report[2];
    pid_t parent;

    if (!env)
        return tp_error_set(err, -ENOMEM, "out of memory");
    if (pipe2(out, O_CLOEXEC) < 0)
        return tp_error_errno(err, -errno, "cannot make a pipe");
    if (pipe2(report, O_CLOEXEC) < 0) {
        close(out[0]);
        close(out[1]);
        return tp_error_errno(err, -EMFILE, "cannot make a pipe");
    }
    parent = getpid();
    child->pid = fork();
    if (child->pid == 0)
        run_child(x, env, out[1], report[1], interactive, parent);
    close(out[1]);
    close(report[1]);
    child->out = out[0];
    child->report = report[0];
    return child->pid < 0
               ? tp_error_errno(err, -errno, "cannot start a process")
               : 0;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Reads its output until the end. */
static int read_output(const struct child *child, struct buf *out,
                       int64_t deadline, struct tp_error *err)
{
    for (;;) {
        struct pollfd pfd = {.fd = child->out, .events = POLLIN};
        int64_t left = deadline - now_ms();
        uint8_t *room = buf_reserve(out, 4096);
        ssize_t n;

        if (!room)
            return tp_error_set(err, -EMSGSIZE, "it prints more than %u KiB",
                                MAX_OUTPUT >> 10);
        if (left <= 0)
            return tp_error_set(err, -ETIMEDOUT, "it did not end in time");
        if (poll(&pfd, 1, (int)left) < 0 && errno != EINTR)
            return tp_error_errno(err, -errno, "poll");
        if (!pfd.revents)
            continue;
        n = read(child->out, room, 4096);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return tp_error_errno(err, -errno, "cannot read its output");
        if (n > 0)
            buf_commit(out, (size_t)n);
    }
}

/* Waits for the end of the child until the deadline, then kills it. */
static int reap(const struct child *child, bool interactive, bool failed,
                int64_t deadline)
{
    int status = 0;

    for (;;) {
        pid_t pid = waitpid(child->pid, &status, failed ? 0 : WNOHANG);

        if (pid == child->pid || (pid < 0 && errno != EINTR))
            return status;
        if (failed || pid < 0)
            continue;
        if (now_ms() >= deadline) {
            kill(interactive ? child->pid : -child->pid, SIGKILL);
            failed = true;
            continue;
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

static int exec_failed(const struct kube_exec *x, int code,
                       struct tp_error *err)
{
    char hint[200];

    snprintf(hint, sizeof(hint), "%s", x->install_hint ? x->install_hint : "");
    for (char *p = hint; *p; p++) {
        if (*p == '\n')
            *p = ' ';
    }
    return tp_error_set(err, -code,
                        "cannot run the credential plugin %s: %s%s%s",
                        x->argv[0], strerror(code), *hint ? ": " : "", hint);
}

/* Collects output and status of a started child. */
static int collect(const struct kube_exec *x, struct child *child,
                   bool interactive, struct buf *out, struct tp_error *err)
{
    int64_t deadline = now_ms() + KUBE_EXEC_TIMEOUT_MS * (interactive ? 10 : 1);
    int rc = read_output(child, out, deadline, err), code = 0, status;

    if (rc < 0)
        kill(interactive ? child->pid : -child->pid, SIGKILL);
    status = reap(child, interactive, rc < 0, deadline);
    if (read(child->report, &code, sizeof(code)) == sizeof(code))
        return exec_failed(x, code, err);
    if (rc < 0)
        return tp_error_wrap(err, "credential plugin %s", x->argv[0]);
    if (WIFSIGNALED(status))
        return tp_error_set(err, -EIO, "credential plugin %s: killed by %s",
                            x->argv[0], strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status))
        return tp_error_set(err, -EACCES,
                            "credential plugin %s failed with status %d (what "
                            "it says is above); log in and try again",
                            x->argv[0], WEXITSTATUS(status));
    return 0;
}

int kube_exec_run(const struct kube_exec *x, bool background,
                  struct kube_credentials *out, struct tp_error *err)
{
    bool interactive =
        !background && x->mode != KUBE_EXEC_NEVER && isatty(STDIN_FILENO);
    struct child child = {.pid = -1, .out = -1, .report = -1};
    struct buf text;
    int rc;

    memset(out, 0, sizeof(*out));
    if (x->mode == KUBE_EXEC_ALWAYS && !interactive)
        return tp_error_set(err, -ENOTTY,
                            "credential plugin %s needs a terminal; run "
                            "'tp connect' again in one",
                            x->argv[0]);
    buf_init(&text, MAX_OUTPUT);
    rc = start_child(x, interactive, &child, err);
    if (rc == 0)
        rc = collect(x, &child, interactive, &text, err);
    if (rc == 0)
        rc = kube_exec_parse((const char *)buf_head(&text), buf_used(&text),
                             x->api_version, out, err);
    if (rc == -EBADMSG)
        tp_error_wrap(err, "credential plugin %s", x->argv[0]);
    if (child.out >= 0)
        close(child.out);
    if (child.report >= 0)
        close(child.report);
    if (text.data)
        explicit_bzero(text.data, text.size);
    buf_release(&text);
    return rc;
}

static int bad(struct tp_error *err, const char *text)
{
    return tp_error_set(err, -EBADMSG, "%s", text);
}

static int parse_expiry(struct json_object *obj, int64_t *out,
                        struct tp_error *err)
{
    const char *text = json_get_str(obj, "status.expirationTimestamp", NULL);

    if (text && kube_parse_time(text, out) < 0)
        return bad(err, "its expirationTimestamp is not a time");
    return 0;
}

static int copy_status(struct json_object *obj, struct kube_credentials *out,
                       struct tp_error *err)
{
    const char *token = json_get_str(obj, "status.token", "");
    const char *cert = json_get_str(obj, "status.clientCertificateData", "");
    const char *key = json_get_str(obj, "status.clientKeyData", "");

    if (!*token && !*cert)
        return bad(err, "it gives neither token nor client certificate");
    if (!*cert != !*key)
        return bad(err, "it gives a certificate without key, or the reverse");
    if (*token && !(out->token = strdup(token)))
        return tp_error_set(err, -ENOMEM, "out of memory");
    if (strpbrk(token, "\r\n"))
        return bad(err, "its token has several lines");
    if (!*cert)
        return 0;
    out->cert_pem = strdup(cert);
    out->key_pem = strdup(key);
    return out->cert_pem && out->key_pem
               ? 0
               : tp_error_set(err, -ENOMEM, "out of memory");
}

int kube_exec_parse(const char *text, size_t len, const char *api_version,
                    struct kube_credentials *out, struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;
    int rc;

    memset(out, 0, sizeof(*out));
    obj = len ? json_parse_text(text, len, NULL) : NULL;
    if (!obj || strcmp(json_get_str(obj, "kind", ""), "ExecCredential") != 0)
        return bad(err, "it does not print an ExecCredential");
    if (strcmp(json_get_str(obj, "apiVersion", ""), api_version) != 0)
        return bad(err, "it answers in another apiVersion than the "
                        "kubeconfig asks for");
    rc = parse_expiry(obj, &out->expires, err);
    if (rc == 0)
        rc = copy_status(obj, out, err);
    if (rc < 0)
        kube_credentials_release(out);
    return rc;
}

int kube_parse_time(const char *text, int64_t *out)
{
    struct tm tm = {0};
    const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int hours, minutes, used = 0;
    int64_t offset = 0;

    if (!p)
        return -EINVAL;
    if (*p == '.')
        p += 1 + strspn(p + 1, "0123456789");
    if (*p == '+' || *p == '-') {
        if (sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 ||
            used != 5 || p[6])
            return -EINVAL;
        offset = (*p == '-' ? -60 : 60) * (hours * 60 + minutes);
    } else if (strcmp(p, "Z") != 0) {
        return -EINVAL;
    }
    *out = timegm(&tm) - offset;
    return 0;
}
