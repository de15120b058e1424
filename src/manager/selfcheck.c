/* selfcheck.c - ask the API server for the aggregated API, until it is there */
#include "manager/selfcheck.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "manager/discovery.h"

#define REQUEST_MS 5000

int selfcheck_judge(int status, struct json_object *body, struct tp_error *err)
{
    struct json_object *resources = json_get_array(body, "resources");

    if (status == 503 || status == 404)
        return tp_error_set(err, -EAGAIN, "%s/%s is not served: %s", API_GROUP,
                            API_VERSION,
                            json_get_str(body, "message", "no reason given"));
    if (status != 200)
        return tp_error_set(err, -EPROTO, "the API server answers %d: %s",
                            status,
                            json_get_str(body, "message", "no reason given"));
    for (size_t i = 0; i < json_array_len(resources); i++) {
        struct json_object *r = json_object_array_get_idx(resources, i);

        if (!strcmp(json_get_str(r, "name", ""), "connections/portforward"))
            return 0;
    }
    return tp_error_set(err, -EPROTO,
                        "%s/%s has no connections/portforward: another "
                        "service has that name",
                        API_GROUP, API_VERSION);
}

static int ask(struct kube_client *client, struct tp_error *err)
{
    static const char path[] = "/apis/" API_GROUP "/" API_VERSION;
    cleanup_json struct json_object *body = NULL;
    int status = kube_request(client, "GET", path, NULL, NULL, &body, err);

    return status < 0 ? -EAGAIN : selfcheck_judge(status, body, err);
}

int selfcheck_run(unsigned seconds, struct tp_error *err)
{
    struct kube_endpoint endpoint = {0};
    struct kube_client *client = NULL;
    int rc = kube_endpoint_in_cluster(&endpoint, err);

    if (rc == 0) {
        client = kube_client_create(&endpoint, REQUEST_MS, err);
        rc = client ? -EAGAIN : -EINVAL;
    }
    for (unsigned i = 0; client && rc == -EAGAIN && i <= seconds; i++) {
        if (i)
            sleep(1);
        rc = ask(client, err);
    }
    kube_client_destroy(client);
    kube_endpoint_release(&endpoint);
    return rc;
}
