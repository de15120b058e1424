#include "manager/info.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/hello.h"
#include "manager/identity.h"

static const char *const features[] = {"udp", "events", "engagements"};

void info_release(struct info *info)
{
    subnets_release(&info->service);
    subnets_release(&info->pod);
    subnets_release(&info->also);
    cluster_dns_release(&info->dns);
    json_object_put(info->client);
    memset(info, 0, sizeof(*info));
}

struct json_object *info_to_json(const struct info *info, const char *ns,
                                 const struct identity *who)
{
    struct json_object *obj = json_object_new_object();
    struct json_object *subnets = json_object_new_object();
    struct json_object *apiserver = json_object_new_array();

    json_object_object_add(subnets, "service", subnets_to_json(&info->service));
    json_object_object_add(subnets, "pod", subnets_to_json(&info->pod));
    json_object_object_add(subnets, "also", subnets_to_json(&info->also));
    if (info->apiserver[0])
        json_object_array_add(apiserver,
                              json_object_new_string(info->apiserver));
    json_put_str(obj, "cluster", info->cluster_uid);
    json_put_str(obj, "namespace", ns);
    json_put_str(obj, "user", who->user);
    json_object_object_add(obj, "subnets", subnets);
    json_object_object_add(obj, "dns", cluster_dns_to_json(&info->dns, ns));
    json_object_object_add(obj, "client",
                           info->client ? json_object_get(info->client)
                                        : json_object_new_object());
    json_object_object_add(obj, "apiserver", apiserver);
    if (info->direct)
        json_object_object_add(obj, "direct", json_object_new_boolean(true));
    return obj;
}

/* What both sides name. */
static struct json_object *common_features(struct json_object *theirs)
{
    struct json_object *both = json_object_new_array();

    for (size_t f = 0; f < sizeof(features) / sizeof(*features); f++) {
        for (size_t i = 0; i < json_array_len(theirs); i++) {
            const char *name =
                json_object_get_string(json_object_array_get_idx(theirs, i));

            if (name && !strcmp(name, features[f])) {
                json_object_array_add(both, json_object_new_string(name));
                break;
            }
        }
    }
    return both;
}

int info_answer_hello(const struct info *info, const char *ns,
                      const struct identity *who, const char *body, size_t len,
                      char **answer)
{
    cleanup_json struct json_object *hello = NULL, *obj = NULL;
    int status = hello_read(body, len, "the client", &hello, answer);

    if (status != 200)
        return status;
    obj = hello_answer();
    json_object_object_add(obj, "features",
                           common_features(json_get_array(hello, "features")));
    json_object_object_add(obj, "info", info_to_json(info, ns, who));
    *answer = hello_to_text(obj);
    return 200;
}
