#include "daemon/dns_ask.h"

#include <errno.h>
#include <string.h>

#include "daemon/dns_translate.h"

#define UDP_MIN    512 /* what a client without EDNS takes (RFC 1035 4.2.1) */
#define DOCKER_TTL 600 /* of the names that Docker's resolver makes itself */
/* A container or a name in the developer's network may come any time. */
#define UPSTREAM_NEGATIVE_S 10

/* The size that the OPT record of a query says, if there is one. */
static size_t edns_size(const uint8_t *msg, size_t len)
{
    struct dns_reader r;
    struct dns_record rec;

    if (dns_reader_init(&r, msg, len) < 0)
        return UDP_MIN;
    while (dns_reader_next(&r, &rec) == 1) {
        if (rec.type == DNS_TYPE_OPT)
            return rec.class > UDP_MIN ? rec.class : UDP_MIN;
    }
    return UDP_MIN;
}

/* A mapped name is asked for by its target; an address answers by itself. */
static void apply_mapping(struct dns_ask *ask, const struct dns *d,
                          const struct dns_question *q,
                          uint8_t renamed[DNS_RENAMED_MAX])
{
    const char *target = dns_zone_target(d->zone, q->name);
    union sockaddr_any addr;

    if (!target || q->class != DNS_CLASS_IN ||
        sockaddr_parse(&addr, target, 0) == 0)
        return;
    ask->rename = DNS_RENAME_ALIAS;
    ask->kind = dns_zone_route(d->zone, target);
    ask->len = dns_rewrite_query(ask->msg, ask->len, ask->end, target, renamed,
                                 &ask->end);
    ask->msg = renamed;
}

/* The name of a virtual address is that of the real one. */
static void apply_reverse(struct dns_ask *ask, const struct dns *d,
                          const struct dns_question *q,
                          uint8_t renamed[DNS_RENAMED_MAX])
{
    char name[DNS_REVERSE_TEXT];
    union sockaddr_any addr;

    if (ask->rename != DNS_RENAME_NONE || ask->kind != DNS_CLUSTER ||
        d->vnat.n == 0 || !dns_reverse_address(&addr, q->name) ||
        !vnat_to_real(&d->vnat, &addr))
        return;
    dns_reverse_format(&addr, name);
    ask->rename = DNS_RENAME_OWNER;
    ask->len = dns_rewrite_query(ask->msg, ask->len, ask->end, name, renamed,
                                 &ask->end);
    ask->msg = renamed;
}

int dns_ask_make(const struct dns *d, struct dns_ask *ask, const uint8_t *msg,
                 size_t len, uint8_t renamed[DNS_RENAMED_MAX])
{
    struct dns_question q;

    if (dns_msg_parse(&q, msg, len) < 0 || q.is_answer)
        return -EBADMSG;
    memset(ask, 0, sizeof(*ask));
    ask->version = d->version;
    ask->client.max = edns_size(msg, len);
    ask->client.end = q.end;
    memcpy(ask->client.head, msg, q.end);
    ask->kind = dns_zone_route(d->zone, q.name);
    ask->local_name = !strchr(q.name, '.');
    ask->shared = dns_key_set(&ask->key, msg, len);
    ask->msg = msg;
    ask->len = len;
    ask->end = q.end;
    apply_mapping(ask, d, &q, renamed);
    apply_reverse(ask, d, &q, renamed);
    return 0;
}

/* The answer to a name that is mapped to an address. */
static size_t answer_address(const struct dns_client *client,
                             const union sockaddr_any *addr, uint8_t *out)
{
    uint16_t type = dns_get16(client->head + client->end - 4);
    bool v6 = addr->sa.sa_family == AF_INET6;
    size_t len = sockaddr_width(addr);

    if (type != (v6 ? DNS_TYPE_AAAA : DNS_TYPE_A))
        len = 0; /* it exists, but not with that */
    return dns_make_answer(client->head, client->end, type,
                           sockaddr_bytes(addr), len, out);
}

static size_t answer_mapped(const struct dns *d,
                            const struct dns_client *client, uint8_t *out)
{
    struct dns_question q;
    union sockaddr_any addr;
    const char *target;

    if (dns_msg_parse(&q, client->head, client->end) < 0 ||
        q.class != DNS_CLASS_IN)
        return 0;
    target = dns_zone_target(d->zone, q.name);
    if (!target || sockaddr_parse(&addr, target, 0) < 0)
        return 0;
    return answer_address(client, &addr, out);
}

size_t dns_ask_answer(struct dns *d, const struct dns_ask *ask, uint8_t *out)
{
    const struct dns_client *client = &ask->client;
    size_t len = answer_mapped(d, client, out);

    if (len > 0)
        return len;
    if (ask->kind == DNS_NOWHERE)
        return dns_msg_make_error(client->head, client->end, DNS_NXDOMAIN, out);
    if (!ask->shared)
        return 0;
    return dns_cache_get(d->cache, &ask->key, uv_now(d->loop), out);
}

/* How long an answer is kept. Names of Docker's own are not: containers come
 * and go, and its resolver is near. */
static uint32_t keep_seconds(const struct dns_ask *ask, const uint8_t *msg,
                             size_t len)
{
    bool negative;
    uint32_t ttl = dns_answer_ttl(msg, len, &negative);

    if (ask->kind != DNS_UPSTREAM)
        return ttl;
    if (ask->local_name || ttl == DOCKER_TTL)
        return 0;
    return negative && ttl > UPSTREAM_NEGATIVE_S ? UPSTREAM_NEGATIVE_S : ttl;
}

size_t dns_ask_take(struct dns *d, const struct dns_ask *ask,
                    const uint8_t *msg, size_t len, uint8_t *out)
{
    const struct dns_client *client = &ask->client;
    int n = (int)len;

    if (ask->rename == DNS_RENAME_NONE)
        memcpy(out, msg, len);
    else
        n = dns_rewrite_answer(ask->rename, client->head, client->end, msg, len,
                               out);
    /* What is said outside of addresses there is meant as it is. */
    if (n >= 0 && ask->kind == DNS_CLUSTER &&
        dns_translate(&d->vnat, out, (size_t)n) < 0)
        return 0;
    if (n < 0)
        return 0;
    if (ask->shared && ask->version == d->version)
        dns_cache_put(d->cache, &ask->key, out, (size_t)n,
                      keep_seconds(ask, out, (size_t)n), uv_now(d->loop));
    return (size_t)n;
}

size_t dns_client_fit(const struct dns_client *client, bool udp, uint8_t *msg,
                      size_t len)
{
    memcpy(msg, client->head, 2);
    if (dns_get16(msg + 4) == 0 || len < client->end)
        return len;
    memcpy(msg + DNS_HEADER_LEN, client->head + DNS_HEADER_LEN,
           client->end - DNS_HEADER_LEN);
    if (!udp || len <= client->max)
        return len;
    msg[2] |= DNS_TC;
    memset(msg + 6, 0, 6);
    return client->end;
}
