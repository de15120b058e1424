/*
 * Fuzz target: what engagements read. The first byte chooses the parser:
 * s  ENGAGE, from a client
 * u  what it wants uninstalled
 * f  a key for files, from a client
 * o  Engagement and Session, from the API server
 * w  workload, pods, Services and policies: ports, CONFIG, rollouts
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/engage_uninstall.h"
#include "manager/engage_ask.h"
#include "manager/engagement_json.h"
#include "manager/rollout.h"
#include "manager/workload.h"
#include "manager/workload_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted may stand in a path. */
static void spec(const char *text, size_t len)
{
    struct engage_spec out;

    if (engage_spec_parse(&out, text, len, NULL) == 0 &&
        (!engagement_id_is_valid(out.id) || !is_dns_label(out.ns) ||
         !is_dns_name(out.workload, WORKLOAD_NAME_MAX)))
        abort();
}

static void uninstall(const char *text, size_t len)
{
    struct uninstall_spec out;

    if (uninstall_spec_parse(&out, text, len, NULL) == 0 &&
        (!is_dns_label(out.workload.ns) ||
         !workload_kind_find(out.workload.kind) ||
         !is_dns_name(out.workload.name, WORKLOAD_NAME_MAX)))
        abort();
}

/* A mirror is never written. */
static void files(const char *text, size_t len)
{
    struct engage_ask a = {.read_only = false};

    if (engage_files_read(&a, ENGAGEMENT_MIRROR, text, len) &&
        (!a.read_only || strncmp(a.key, "ssh-ed25519 ", 12) != 0))
        abort();
}

static void object(const char *text, size_t len)
{
    struct json_object *obj = json_parse_text(text, len, NULL);
    struct engagement eng;
    struct session_cr cr;
    struct resolved ports;

    if (engagement_parse(&eng, obj, NULL) == 0) {
        if (!is_dns_label(eng.workload.ns) || !*eng.who.user)
            abort();
        engagement_ports(&ports, obj);
        json_object_put(engagement_to_client(obj, &eng, NULL));
        json_object_put(workload_list_engagement(&eng, obj));
    }
    engagement_release(&eng);
    session_parse(&cr, obj, NULL);
    session_release(&cr);
    (void)object_version(obj);
    json_object_put(obj);
}

static bool connected_cb(void *arg, const char *uid)
{
    (void)arg;
    return *uid != '\0';
}

static void configure(struct json_object *world, const struct resolved *ports,
                      bool replace)
{
    struct config_need need = {.ports = ports, .replace = replace};
    struct json_object *config = config_parse(
        workload_annotation(json_get(world, "workload"), ANNOTATION_AGENT));
    struct json_object *out = NULL;

    if (config_merge(&out, config,
                     workload_template(json_get(world, "workload")), &need,
                     NULL) == 0) {
        /* What is merged is covered: else it would be rolled out for ever. */
        if (!config_covers(out, &need))
            abort();
        json_object_put(config_restore(out));
    }
    json_object_put(out);
    json_object_put(config);
}

static void roll_out(struct json_object *world, const struct resolved *ports)
{
    struct config_need need = {.ports = ports};
    struct json_object *workload = json_get(world, "workload");
    struct rollout_state state;
    struct rollout_plan plan;
    struct pods_view view;

    for (size_t i = 0; workload_kind_at(i); i++) {
        rollout_plan(&plan, workload_kind_at(i), workload);
        pods_look(&view, json_get(world, "pods"), &need, connected_cb, NULL);
        rollout_judge(&state, &plan, workload, &view);
    }
    json_object_put(workload_list_build(workload_kind_at(0), workload, 0,
                                        json_object_new_array()));
    free(workload_pods_path("ns", workload));
}

static void workload(const char *text, size_t len)
{
    struct json_object *world = json_parse_text(text, len, NULL);
    const char *asked = json_to_text(json_get(world, "spec"));
    struct engage_spec *want = calloc(1, sizeof(*want));
    struct resolved *ports = calloc(1, sizeof(*ports));
    struct ports_question q = {
        .spec = want,
        .pod_template = workload_template(json_get(world, "workload")),
        .services = json_get(world, "services"),
        .policies = json_get(world, "policies"),
    };

    if (json_get(world, "spec") &&
        engage_spec_parse(want, asked, strlen(asked), NULL) == 0 &&
        ports_resolve(&q, ports, NULL) == 0)
        configure(world, ports, want->type == ENGAGEMENT_REPLACE);
    roll_out(world, ports);
    free(ports);
    free(want);
    json_object_put(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0 || size > 65536)
        return 0;
    text = strndup((const char *)data + 1, size - 1);
    if (data[0] == 's')
        spec(text, strlen(text));
    else if (data[0] == 'u')
        uninstall(text, strlen(text));
    else if (data[0] == 'f')
        files(text, strlen(text));
    else if (data[0] == 'o')
        object(text, strlen(text));
    else if (data[0] == 'w')
        workload(text, strlen(text));
    free(text);
    return 0;
}
