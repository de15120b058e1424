/* DNS messages: the question, its route, and the answers made and judged. */
#include <stdlib.h>
#include <string.h>

#include "daemon/dns_msg.h"
#include "daemon/dns_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_route(const char *name)
{
    static const char *const suffix = "corp.example";
    struct subnet net;
    struct dns_config config = {.domain = "cluster.local",
                                .suffixes = &suffix,
                                .n_suffixes = 1,
                                .subnets = &net,
                                .n_subnets = 1};
    struct dns_zone *zone;

    if (subnet_parse(&net, "10.43.0.0/16") < 0)
        abort();
    zone = dns_zone_create(&config);
    if (dns_zone_has(zone, name) && !dns_name_in(name, "cluster.local") &&
        !dns_name_in(name, suffix) && !dns_name_in(name, "arpa"))
        abort();
    dns_zone_destroy(zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t out[DNS_MAX_ERROR];
    struct dns_question q;

    if (dns_msg_parse(&q, data, size) < 0)
        return 0;
    if (q.end > size || q.end > sizeof(out) || strlen(q.name) >= DNS_NAME_TEXT)
        abort();
    check_route(q.name);
    dns_msg_make_error(data, q.end, DNS_SERVFAIL, out);
    if (!dns_msg_answers(out, q.end, data, q.end))
        abort(); /* our own answer must fit its query */
    return 0;
}
