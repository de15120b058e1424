/* What a manager says: its answer to hello, good or bad. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/cluster_info.h"
#include "daemon/dns_zone.h"
#include "daemon/link_failure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_info(struct json_object *hello)
{
    static const char session_text[] =
        "{\"server\": {\"host\": \"10.1.2.3\"}, \"hostSubnets\": "
        "[\"192.168.0.0/16\"]}";
    struct json_object *session = json_tokener_parse(session_text);
    struct route_policy policy = {0};
    struct cluster_info ci;
    struct subnet lan;

    if (subnet_parse(&lan, "192.168.0.0/16") < 0)
        abort();
    if (cluster_info_build(&ci, json_get(hello, "info"), session, &policy, NULL,
                           NULL) < 0)
        abort();
    for (size_t i = 0; i < ci.capture.n; i++) {
        if (ci.capture.nets[i].prefix < 8 ||
            subnet_overlaps(&ci.capture.nets[i], &lan))
            abort();
    }
    if (ci.domain && !dns_suffix_valid(ci.domain))
        abort();
    cluster_info_release(&ci);
    route_policy_release(&policy);
    json_object_put(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct json_object *hello;
    struct link_failure failure;

    log_set_level(LOG_ERROR);
    memcpy(text, data, size);
    text[size] = '\0';
    link_failure_from_hello(&failure, 403, text);
    if (strchr(failure.text, '\n'))
        abort();
    hello = json_parse_text(text, size, NULL);
    if (hello)
        check_info(hello);
    json_object_put(hello);
    free(text);
    return 0;
}
