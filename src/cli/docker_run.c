#include "cli/docker_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "cli/docker_mounts.h"
#include "cli/environment.h"
#include "cli/limits.h"

extern char **environ;

/* Options of docker run that take no value; all others do. */
static const char *const switches[] = {"detach",
                                       "disable-content-trust",
                                       "help",
                                       "init",
                                       "interactive",
                                       "no-healthcheck",
                                       "oom-kill-disable",
                                       "privileged",
                                       "publish-all",
                                       "quiet",
                                       "read-only",
                                       "rm",
                                       "sig-proxy",
                                       "tty",
                                       NULL};
#define SHORT_SWITCHES "ditPq"

/* What a joined network does not allow. */
static const struct {
    const char *name;
    char letter;
    const char *instead;
} refused[] = {
    {"network", 0, "the container joins the session's network"},
    {"net", 0, "the container joins the session's network"},
    {"publish", 'p', "give the port to 'tp connect --publish'"},
    {"publish-all", 'P', "give the ports to 'tp connect --publish'"},
    {"hostname", 'h', "give it to 'tp connect --hostname'"},
    {"add-host", 0, "give it to 'tp connect --add-host'"},
    {"dns", 0, "names are the cluster's"},
    {"dns-option", 0, "names are the cluster's"},
    {"dns-search", 0, "names are the cluster's"},
    {"link", 0, "give the network to 'tp connect --network'"},
    {"network-alias", 0, "give the network to 'tp connect --network'"},
    {"ip", 0, "the address is the session's"},
    {"ip6", 0, "the address is the session's"},
    {"mac-address", 0, "the address is the session's"},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* How many words "docker run" or "docker container run" takes, or 0. */
static size_t head_length(char *const *words)
{
    if (!words[0] || strcmp(base_name(words[0]), "docker") != 0 || !words[1])
        return 0;
    if (!strcmp(words[1], "run"))
        return 2;
    return !strcmp(words[1], "container") && words[2] &&
                   !strcmp(words[2], "run")
               ? 3
               : 0;
}

bool docker_run_is(char *const *words)
{
    return head_length(words) > 0;
}

static bool is_switch(const char *name, size_t len)
{
    for (size_t i = 0; switches[i]; i++) {
        if (strlen(switches[i]) == len && !strncmp(switches[i], name, len))
            return true;
    }
    return false;
}

static int refuse(size_t i, struct tp_error *err)
{
    return tp_error_set(err, -EINVAL, "docker run --%s cannot be used here: %s",
                        refused[i].name, refused[i].instead);
}

static int check_long(const char *name, size_t len, struct tp_error *err)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        if (strlen(refused[i].name) == len &&
            !strncmp(refused[i].name, name, len))
            return refuse(i, err);
    }
    return 0;
}

/* The value of an option, perhaps of one that mounts something. */
static void note_mount(struct docker_run *run, const char *name, size_t len,
                       const char *value)
{
    cleanup_free char *path =
        value ? docker_mounts_path(name, len, value) : NULL;

    if (path)
        json_object_array_add(run->own_mounts, json_object_new_string(path));
}

/* A cluster of short options. 1: the last one takes the next word. */
static int read_short(struct docker_run *run, const char *word,
                      const char *next, struct tp_error *err)
{
    for (const char *c = word + 1; *c; c++) {
        for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
            if (refused[i].letter == *c)
                return refuse(i, err);
        }
        run->detached = run->detached || *c == 'd';
        run->own_memory = run->own_memory || *c == 'm';
        if (strchr(SHORT_SWITCHES, *c))
            continue;
        if (c[1])
            note_mount(run, c, 1, c + 1 + (c[1] == '='));
        else
            note_mount(run, c, 1, next);
        return c[1] == '\0';
    }
    return 0;
}

static bool is_word(const char *name, size_t len, const char *word)
{
    return len == strlen(word) && !strncmp(name, word, len);
}

/* Docker refuses --cpus beside --cpu-quota and --cpu-period. */
static void note_limits(struct docker_run *run, const char *name, size_t len)
{
    run->own_cpus = run->own_cpus || is_word(name, len, "cpus") ||
                    is_word(name, len, "cpu-quota") ||
                    is_word(name, len, "cpu-period");
    run->own_memory = run->own_memory || is_word(name, len, "memory");
}

static int read_long(struct docker_run *run, const char *word, const char *next,
                     struct tp_error *err)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    int rc = check_long(name, len, err);

    if (rc < 0)
        return rc;
    note_limits(run, name, len);
    note_mount(run, name, len, name[len] ? name + len + 1 : next);
    if (len == strlen("detach") && !strncmp(name, "detach", len))
        run->detached = strcmp(name + len, "=false") != 0;
    return name[len] == '\0' && !is_switch(name, len);
}

/* Looks at docker's options, up to the image. */
static int read_options(struct docker_run *run, char *const *words,
                        struct tp_error *err)
{
    while (*words && **words == '-' && strcmp(*words, "--") != 0) {
        int rc = (*words)[1] == '-' ? read_long(run, *words, words[1], err)
                                    : read_short(run, *words, words[1], err);

        if (rc < 0)
            return rc;
        words += rc && words[1] ? 2 : 1;
    }
    return *words
               ? 0
               : tp_error_set(err, -EINVAL,
                              "docker run: no image is named; e.g. -- docker "
                              "run --rm -it IMAGE");
}

static size_t count_words(char *const *words)
{
    size_t n = 0;

    while (words[n])
        n++;
    return n;
}

static bool push(char **argv, size_t *n, const char *word)
{
    argv[*n] = strdup(word);
    return argv[(*n)++] != NULL;
}

/* Variables that must not come from a cluster into a program of this machine.
 */
static bool is_dangerous(const char *name)
{
    static const char *const names[] = {
        "PATH", "HOME",     "SHELL", "USER",   "LOGNAME", "TMPDIR", "ENV",
        "IFS",  "BASH_ENV", "PWD",   "OLDPWD", "TERM",    NULL};
    static const char *const prefixes[] = {
        "LD_", "DYLD_", "DOCKER_", "GLIBC_", "BASH_FUNC_", "MALLOC_", NULL};

    for (size_t i = 0; names[i]; i++) {
        if (!strcmp(name, names[i]))
            return true;
    }
    for (size_t i = 0; prefixes[i]; i++) {
        if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
            return true;
    }
    return false;
}

/* The file for --env-file; NULL env: none. */
static int make_env_file(struct docker_run *out, struct json_object *env,
                         struct tp_error *err)
{
    cleanup_free char *text = NULL;
    size_t skipped;

    if (!env)
        return 0;
    text = environment_format(env, "docker", &skipped);
    out->env_fd = memfd_create("tp-env", 0); /* docker inherits it */
    if (!text || out->env_fd < 0)
        return tp_error_errno(err, text ? -errno : -ENOMEM, "docker run");
    if (write(out->env_fd, text, strlen(text)) != (ssize_t)strlen(text) ||
        lseek(out->env_fd, 0, SEEK_SET) < 0)
        return tp_error_errno(err, -EIO, "docker run");
    return 0;
}

/* What the file does not hold. */
static bool push_multiline(struct docker_run *out, size_t *n,
                           struct json_object *env)
{
    json_object_object_foreach(env, name, value)
    {
        if (!environment_is_name(name) ||
            !strpbrk(json_object_get_string(value), "\r\n"))
            continue;
        if (is_dangerous(name))
            out->left_out++;
        else if (!push(out->argv, n, "-e") || !push(out->argv, n, name))
            return false;
    }
    return true;
}

static bool push_environment(struct docker_run *out, size_t *n,
                             struct json_object *env)
{
    char path[32];

    snprintf(path, sizeof(path), "/dev/fd/%d", out->env_fd);
    return push(out->argv, n, "--env-file") && push(out->argv, n, path) &&
           push_multiline(out, n, env);
}

static bool push_network(struct docker_run *out, size_t *n, const char *daemon)
{
    char network[300];

    snprintf(network, sizeof(network), "container:%s", daemon);
    return push(out->argv, n, "--network") && push(out->argv, n, network);
}

static bool push_limits(struct docker_run *out, size_t *n,
                        const struct limits *limits)
{
    char text[32];
    bool good = true;

    if (limits->millicpus > 0 && !out->own_cpus) {
        snprintf(text, sizeof(text), "%" PRId64 ".%03d",
                 limits->millicpus / 1000, (int)(limits->millicpus % 1000));
        good = push(out->argv, n, "--cpus") && push(out->argv, n, text);
    }
    if (good && limits->memory > 0 && !out->own_memory) {
        snprintf(text, sizeof(text), "%" PRId64, limits->memory);
        good = push(out->argv, n, "--memory") && push(out->argv, n, text);
    }
    return good;
}

static bool push_volumes(struct docker_run *out, size_t *n,
                         struct json_object *volumes)
{
    for (size_t i = 0; i < json_array_len(volumes); i++) {
        cleanup_free char *value =
            docker_mounts_option(json_object_array_get_idx(volumes, i));

        if (!value || !push(out->argv, n, "--mount") ||
            !push(out->argv, n, value))
            return false;
    }
    return true;
}

static bool build_words(struct docker_run *out, char *const *words,
                        const char *daemon, struct json_object *env,
                        const struct limits *limits,
                        struct json_object *volumes)
{
    size_t head = head_length(words), n = 0, count = count_words(words);
    size_t variables = env ? (size_t)json_object_object_length(env) : 0;
    bool good;

    out->argv = calloc(count + 2 * variables + 2 * json_array_len(volumes) + 9,
                       sizeof(*out->argv));
    good = out->argv != NULL;
    for (size_t i = 0; good && i < head; i++)
        good = push(out->argv, &n, words[i]);
    good = good && push_network(out, &n, daemon);
    if (good && limits)
        good = push_limits(out, &n, limits);
    if (good && env)
        good = push_environment(out, &n, env);
    good = good && push_volumes(out, &n, volumes);
    for (size_t i = head; good && i < count; i++)
        good = push(out->argv, &n, words[i]);
    return good;
}

int docker_run_build(struct docker_run *out, char *const *words,
                     const char *daemon, struct json_object *env,
                     const struct limits *limits, struct json_object *volumes,
                     struct tp_error *err)
{
    size_t left_out;
    int rc;

    memset(out, 0, sizeof(*out));
    out->env_fd = -1;
    out->own_mounts = json_object_new_array();
    rc = read_options(out, words + head_length(words), err);
    if (rc == 0)
        rc = make_env_file(out, env, err);
    if (rc < 0)
        return rc;
    if (!build_words(out, words, daemon, env, limits, volumes))
        return tp_error_errno(err, -ENOMEM, "docker run");
    if (env)
        out->envp = docker_run_environ(env, &left_out);
    if (env && !out->envp)
        return tp_error_errno(err, -ENOMEM, "docker run");
    return 0;
}

void docker_run_free_words(char **words)
{
    for (size_t i = 0; words && words[i]; i++) {
        explicit_bzero(words[i], strlen(words[i]));
        free(words[i]);
    }
    free(words);
}

void docker_run_release(struct docker_run *run)
{
    docker_run_free_words(run->argv);
    docker_run_free_words(run->envp);
    run->argv = run->envp = NULL;
    json_object_put(run->own_mounts);
    run->own_mounts = NULL;
    if (run->env_fd >= 0)
        close(run->env_fd);
    run->env_fd = -1;
}

/* NAME of "NAME=VALUE" is one of env's. */
static bool is_overridden(struct json_object *env, const char *entry)
{
    size_t len = strcspn(entry, "=");

    json_object_object_foreach(env, name, value)
    {
        (void)value;
        if (strlen(name) == len && !strncmp(name, entry, len))
            return true;
    }
    return false;
}

/* One of this machine that stays as it is. */
static bool is_own(const char *entry)
{
    char name[64];
    size_t len = strcspn(entry, "=");

    if (len >= sizeof(name))
        return false;
    memcpy(name, entry, len);
    name[len] = '\0';
    return is_dangerous(name);
}

char **docker_run_environ(struct json_object *env, size_t *left_out)
{
    size_t n = 0, own = count_words(environ);
    char **out =
        calloc(own + (size_t)json_object_object_length(env) + 1, sizeof(*out));
    bool good = out != NULL;

    *left_out = 0;
    for (size_t i = 0; good && i < own; i++) {
        if (is_own(environ[i]) || !is_overridden(env, environ[i]))
            good = push(out, &n, environ[i]);
    }
    json_object_object_foreach(env, name, value)
    {
        if (!good || !environment_is_name(name))
            continue;
        if (is_dangerous(name)) {
            (*left_out)++;
            continue;
        }
        good = asprintf(&out[n], "%s=%s", name,
                        json_object_get_string(value)) >= 0;
        n += good;
    }
    if (!good) {
        docker_run_free_words(out);
        return NULL;
    }
    return out;
}
