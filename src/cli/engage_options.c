#include "cli/engage_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

#define REMOTE_MAX 63

/* Cuts "/tcp" or "/udp" off; NULL for another protocol. */
static const char *cut_protocol(char *text)
{
    char *slash = strrchr(text, '/');

    if (!slash)
        return "tcp";
    *slash++ = '\0';
    if (!strcmp(slash, "udp") || !strcmp(slash, "UDP"))
        return "udp";
    return !strcmp(slash, "tcp") || !strcmp(slash, "TCP") ? "tcp" : NULL;
}

static int parse_number(const char *text, int *out)
{
    size_t len = strlen(text);

    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return -EINVAL;
    *out = atoi(text);
    return *out >= 1 && *out <= 65535 ? 0 : -EINVAL;
}

/* A port's name or number, as Kubernetes has them (IANA_SVC_NAME). */
static bool is_remote(const char *text)
{
    size_t len = strlen(text);
    int number;

    if (strspn(text, "0123456789") == len)
        return parse_number(text, &number) == 0;
    return len <= REMOTE_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static struct json_object *bad(const char *flag, const char *text,
                               const char *form, struct tp_error *err)
{
    tp_error_set(err, -EINVAL, "--%s %s: must be %s", flag, text, form);
    return NULL;
}

struct json_object *engage_parse_port(const char *text, struct tp_error *err)
{
    static const char form[] = "LOCAL[:REMOTE][/udp], e.g. 8080:http";
    cleanup_free char *copy = strdup(text);
    const char *protocol = copy ? cut_protocol(copy) : NULL;
    char *remote = copy ? strchr(copy, ':') : NULL;
    struct json_object *obj;
    int local;

    if (remote)
        *remote++ = '\0';
    if (!protocol || parse_number(copy, &local) < 0 ||
        (remote && (!*remote || !is_remote(remote))))
        return bad("port", text, form, err);
    obj = json_object_new_object();
    json_object_object_add(obj, "local", json_object_new_int(local));
    json_put_str(obj, "remote", remote ? remote : "");
    json_put_str(obj, "protocol", protocol);
    return obj;
}

struct json_object *engage_parse_to_pod(const char *text, struct tp_error *err)
{
    cleanup_free char *copy = strdup(text);
    const char *protocol = copy ? cut_protocol(copy) : NULL;
    struct json_object *obj;
    int port;

    if (!protocol || parse_number(copy, &port) < 0)
        return bad("to-pod", text, "PORT[/udp]", err);
    obj = json_object_new_object();
    json_object_object_add(obj, "port", json_object_new_int(port));
    json_put_str(obj, "protocol", protocol);
    return obj;
}

/* What kubectl calls the kinds that can be engaged. */
static bool is_kind(const char *text)
{
    static const char *const kinds[] = {
        "deploy",      "deployment",   "deployments", "sts",
        "statefulset", "statefulsets", "ds",          "daemonset",
        "daemonsets",  "rs",           "replicaset",  "replicasets",
        "po",          "pod",          "pods",        "job",
        "jobs",        "cronjob",      "cronjobs",    "cj",
        NULL};

    for (size_t i = 0; kinds[i]; i++) {
        if (!strcmp(text, kinds[i]))
            return true;
    }
    return false;
}

/* Kinds that people may try, and that have no pods to engage. */
static bool is_other_kind(const char *text)
{
    static const char *const kinds[] = {
        "cm",        "configmap", "configmaps", "svc",      "service",
        "services",  "secret",    "secrets",    "ing",      "ingress",
        "ns",        "namespace", "node",       "nodes",    "no",
        "pvc",       "pv",        "sa",         "hpa",      "ep",
        "endpoints", "ingresses", "rollout",    "rollouts", NULL};

    for (size_t i = 0; kinds[i]; i++) {
        if (!strcmp(text, kinds[i]))
            return true;
    }
    return false;
}

int engage_parse_target(struct engage_target *out, const char *text,
                        struct tp_error *err)
{
    cleanup_free char *copy = strdup(text);
    char *save = NULL, *words[4] = {0};
    size_t n = 0, first;

    for (char *w = strtok_r(copy, "/", &save); w && n < 4;
         w = strtok_r(NULL, "/", &save))
        words[n++] = w;
    first = n > 1 && is_kind(words[0]) ? 1 : 0;
    if (n > 1 && is_other_kind(words[0]))
        return tp_error_set(err, -EINVAL,
                            "'%.100s': a %s cannot be engaged; the kinds are "
                            "deploy, sts, ds, rs, pod, job (a workload of that "
                            "name: deploy/%s/CONTAINER)",
                            text, words[0], words[0]);
    if (n == 0 || n - first > 2 || strstr(text, "//") || *text == '/' ||
        text[strlen(text) - 1] == '/' ||
        strlen(words[first]) >= sizeof(out->name) ||
        (n - first == 2 && strlen(words[first + 1]) >= sizeof(out->container)))
        return tp_error_set(err, -EINVAL,
                            "'%.100s': a workload is [KIND/]NAME[/CONTAINER], "
                            "e.g. web or sts/db",
                            text);
    snprintf(out->name, sizeof(out->name), "%s", words[first]);
    snprintf(out->workload, sizeof(out->workload), "%.20s%s%s",
             first ? words[0] : "", first ? "/" : "", words[first]);
    snprintf(out->container, sizeof(out->container), "%s",
             n - first == 2 ? words[first + 1] : "");
    return 0;
}

typedef struct json_object *parse_fn(const char *text, struct tp_error *err);

/* All values of a repeatable flag. NULL with err filled. */
static struct json_object *parse_all(const struct cli *cli, const char *flag,
                                     parse_fn *parse, struct tp_error *err)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < cli_count(cli, flag); i++) {
        struct json_object *item = parse(cli_get_nth(cli, flag, i), err);

        if (!item) {
            json_object_put(array);
            return NULL;
        }
        json_object_array_add(array, item);
    }
    return array;
}

struct json_object *engage_request(const struct cli *cli, const char *type,
                                   struct tp_error *err)
{
    static const char *const texts[] = {"namespace", "service", "address"};
    struct engage_target target;
    struct json_object *ports = parse_all(cli, "port", engage_parse_port, err);
    struct json_object *to_pod =
        ports ? parse_all(cli, "to-pod", engage_parse_to_pod, err) : NULL;
    struct json_object *obj;

    if (!to_pod || engage_parse_target(&target, cli_arg(cli, 0), err) < 0) {
        json_object_put(ports);
        json_object_put(to_pod);
        return NULL;
    }
    obj = json_object_new_object();
    json_put_str(obj, "type", type);
    json_put_str(obj, "workload", target.workload);
    json_put_str(obj, "name", cli_get_or(cli, "as-name", target.name));
    json_put_str(obj, "container",
                 cli_get_or(cli, "container", target.container));
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        json_put_str(obj, texts[i], cli_get(cli, texts[i]));
    json_object_object_add(obj, "ports", ports);
    json_object_object_add(obj, "toPod", to_pod);
    json_object_object_add(obj, "force",
                           json_object_new_boolean(cli_has(cli, "force")));
    json_object_object_add(obj, "yes",
                           json_object_new_boolean(cli_has(cli, "yes")));
    if (!strcmp(cli_get_or(cli, "volumes", ""), "ro"))
        json_object_object_add(obj, "readOnly", json_object_new_boolean(true));
    if (cli_has(cli, "no-local-shortcut"))
        json_object_object_add(obj, "shortcut", json_object_new_boolean(false));
    return obj;
}
