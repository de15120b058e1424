#include "daemon/dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "daemon/dns_cache.h"
#include "daemon/dns_internal.h"

static void free_handle_cb(uv_handle_t *handle)
{
    free(handle);
}

static int create_parts(struct dns *d)
{
    d->cache = dns_cache_create();
    if (!d->cache)
        return -ENOMEM;
    while (getrandom(&d->seed, sizeof(d->seed), 0) != sizeof(d->seed))
        ;
    d->tick = malloc(sizeof(*d->tick));
    if (!d->tick)
        return -ENOMEM;
    uv_timer_init(d->loop, d->tick);
    d->tick->data = d;
    return 0;
}

struct dns *dns_create(uv_loop_t *loop, const union sockaddr_any *upstream,
                       size_t n_upstream, uint32_t mark, struct tp_error *err)
{
    struct dns *d = calloc(1, sizeof(*d));

    if (d) {
        d->loop = loop;
        d->mark = mark;
        d->timeout_ms = DNS_TIMEOUT_MS;
        d->n_upstream =
            n_upstream > DNS_MAX_UPSTREAM ? DNS_MAX_UPSTREAM : n_upstream;
        if (d->n_upstream)
            memcpy(d->upstream, upstream, d->n_upstream * sizeof(*d->upstream));
    }
    if (!d || create_parts(d) < 0) {
        if (d)
            dns_cache_destroy(d->cache);
        free(d);
        tp_error_errno(err, -ENOMEM, "dns");
        return NULL;
    }
    return d;
}

void dns_destroy(struct dns *d)
{
    if (!d)
        return;
    dns_udp_drop_all(d);
    dns_tcp_drop_all(d);
    dns_path_close_all(d);
    dns_zone_destroy(d->zone);
    vnat_release(&d->vnat);
    dns_cache_destroy(d->cache);
    uv_close((uv_handle_t *)d->tick, free_handle_cb);
    free(d);
}

void dns_set_cluster(struct dns *d, const struct dns_config *config)
{
    dns_path_close_cluster(d);
    dns_cache_flush(d->cache);
    d->version++;
    dns_zone_destroy(d->zone);
    d->zone = NULL;
    vnat_release(&d->vnat);
    d->timeout_ms = DNS_TIMEOUT_MS;
    if (!config)
        return;
    d->zone = dns_zone_create(config);
    if (config->vnat && vnat_copy(&d->vnat, config->vnat) < 0)
        log_error("out of memory: addresses of names are not translated");
    d->cluster = config->address;
    sockaddr_set_port(&d->cluster, 53);
    if (config->timeout_ms)
        d->timeout_ms = config->timeout_ms;
}

void dns_set_tunnel(struct dns *d, struct tunnel *t)
{
    if (d->tunnel == t)
        return;
    dns_path_close_cluster(d);
    d->tunnel = t;
    dns_udp_link_changed(d);
}

void dns_get_stats(const struct dns *d, struct dns_stats *stats)
{
    struct dns_cache_stats cache;

    dns_cache_get_stats(d->cache, &cache);
    *stats = (struct dns_stats){.entries = cache.entries,
                                .bytes = cache.bytes,
                                .hits = cache.hits,
                                .misses = cache.misses,
                                .joined = d->joined};
}
