/* Fuzzes what is read of other people's objects before an engagement: Services
 * with their annotation, NetworkPolicies, pod templates with what undoes an
 * agent. One JSON object with "service", "pods", "policies", "template",
 * "undo".
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "manager/inject.h"
#include "manager/network_policy.h"
#include "manager/service_switch.h"
#include "manager/template_inject.h"

static void services(struct json_object *world)
{
    struct switch_want want = {"a", json_get(world, "labels"), 8080, false};

    for (unsigned i = 0; i < 4; i++) {
        struct switch_rules rules = {
            .may_switch = i & 1,
            .may_end = i & 2,
            .ended = &want,
            .ended_count = i & 1,
        };
        struct switch_verdict v;

        switch_concerns(json_get(world, "service"), &want, 1);
        switch_judge(&v, json_get(world, "service"), json_get(world, "pods"),
                     &want, 1, &rules);
        if (v.switches && !v.patch)
            abort();
        json_object_put(v.patch);
    }
}

static void policies(struct json_object *world)
{
    const struct policy_port app = {8080, 8080, "http", false};
    const struct policy_port agent = {9900, 9999, "http", false};
    struct json_object *labels = json_get(world, "labels");
    const struct policy_peer peer = {"a", labels, labels, "10.0.0.1"};
    struct json_object *list = json_get(world, "policies");

    policy_drops_agent(list, labels, &app, &agent);
    policy_drops_egress(list, "a", labels, &peer, &app);
    policy_drops_ingress(list, "a", labels, &peer, &app);
}

static void templates(struct json_object *world)
{
    static struct inject_settings settings;
    struct json_object *tmpl = json_get(world, "template"), *undo = NULL;
    struct tp_error err = {0};

    if (!settings.image) {
        static const char text[] =
            "{\"image\":\"x\",\"pullSecrets\":[\"s\"],\"nativeSidecars\":true}";

        if (inject_settings_parse(&settings, text, &err) < 0)
            abort();
        settings.ca = settings.server_name = settings.image;
        settings.manager[0] = 'x';
    }
    if (!json_object_is_type(tmpl, json_type_object))
        return;
    if (template_inject(&settings, "a", tmpl, &undo, &err) == 0)
        template_restore(tmpl, undo);
    json_object_put(undo);
    template_restore(tmpl, json_get(world, "undo"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object *world = json_parse_text((const char *)data, size, NULL);

    if (!world)
        return 0;
    services(world);
    policies(world);
    templates(world);
    json_object_put(world);
    return 0;
}
