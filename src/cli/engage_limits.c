#include "cli/engage_limits.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "base/json.h"

#define ASK_MS 40000

/* Docker refuses more CPUs than the machine has; so many are no limit. */
static void fit_cpus(struct engage *g, struct limits *l)
{
    cleanup_json struct json_object *info = NULL;
    int64_t cpus;

    if (l->millicpus == 0 ||
        engine_call(g->engine, "GET", "/info", NULL, &info, NULL) < 0)
        return;
    cpus = json_get_int(info, "NCPU", 0);
    if (cpus <= 0 || l->millicpus <= cpus * 1000)
        return;
    cli_note(g->cli,
             "the container's limit of %" PRId64
             "m CPUs is more than the %" PRId64 " that are here: left out",
             l->millicpus, cpus);
    l->millicpus = 0;
}

int engage_limits_fetch(struct engage *g, const char *name, struct limits *out,
                        struct tp_error *err)
{
    cleanup_json struct json_object *request = engage_named("limits", name);
    cleanup_json struct json_object *answer = NULL;
    struct limits asked;
    int rc = engage_ask(g, request, ASK_MS, &answer, err);

    if (rc == 0)
        rc = limits_parse(out, json_get(answer, "limits"), err);
    if (rc < 0)
        return tp_error_wrap(err, "--limits");
    if (out->millicpus == 0 && out->memory == 0)
        cli_note(g->cli, "the container in the cluster has no limit of cpu or "
                         "memory: --limits sets none");
    asked = *out;
    limits_raise(out);
    if (asked.millicpus != out->millicpus || asked.memory != out->memory)
        cli_note(g->cli, "the container's limits are below what docker takes: "
                         "the smallest are set");
    fit_cpus(g, out);
    return 0;
}
