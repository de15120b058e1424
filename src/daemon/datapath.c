#include "daemon/datapath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/capture_set.h"
#include "daemon/datapath_marks.h"
#include "daemon/hold_queue.h"
#include "daemon/nft.h"
#include "daemon/nft_hold.h"
#include "daemon/route.h"
#include "daemon/tcp_capture.h"
#include "daemon/udp_capture.h"

/*
 * Start: listeners, then what a predecessor left is made to refuse (its
 * listeners are gone), then routing and the queue. Only datapath_set_routes()
 * captures. Wherever something stops being captured, its conversations are
 * reset first: their next packets would leave by another way.
 */
struct datapath {
    struct tcp_capture *tcp;
    struct udp_capture *udp;
    struct hold_queue *queue;
    enum nft_hold_kind hold;
    struct capture_set set;
    char *rules; /* as installed; NULL: none */
    union sockaddr_any dns;
    struct tunnel *tunnel;
    uint64_t bytes_in, bytes_out; /* of former links */
};

static int start_hold(struct datapath *dp, uv_loop_t *loop,
                      struct tp_error *err)
{
    struct tp_error why;
    int rc;

    dp->queue = hold_queue_open(loop, tcp_capture_syn, dp->tcp, &why);
    if (!dp->queue)
        log_debug("%s", why.text);
    rc = nft_hold_install(dp->queue != NULL,
                          dp->queue ? hold_queue_number(dp->queue) : 0,
                          &dp->hold, err);
    if (rc)
        return rc;
    if (dp->hold == NFT_HOLD_NONE) {
        log_warn("no queue for first SYNs here: connections are accepted at "
                 "once, and reset if the far end refuses");
        hold_queue_close(dp->queue);
        dp->queue = NULL;
    }
    tcp_capture_set_queue(dp->tcp, dp->queue);
    return 0;
}

static int start_routing(struct datapath *dp, struct tp_error *err)
{
    int rc = route_install(AF_INET, err);

    if (!rc && tcp_capture_port(dp->tcp, AF_INET6))
        rc = route_install(AF_INET6, err);
    return rc;
}

static void fill_config(const struct datapath *dp, struct nft_config *c,
                        const struct capture_set *set)
{
    *c = (struct nft_config){
        .set = set,
        .dns = dp->dns,
        .v4 = true,
        .v6 = tcp_capture_port(dp->tcp, AF_INET6) &&
              udp_capture_port(dp->udp, AF_INET6),
        .tcp4 = tcp_capture_port(dp->tcp, AF_INET),
        .tcp6 = tcp_capture_port(dp->tcp, AF_INET6),
        .udp4 = udp_capture_port(dp->udp, AF_INET),
        .udp6 = udp_capture_port(dp->udp, AF_INET6),
        .hold = dp->hold != NFT_HOLD_NONE,
    };
}

/* Asks the kernel whether it knows all that the table needs. */
static int probe_table(const struct datapath *dp, struct tp_error *err)
{
    const struct capture_set none = {0};
    struct nft_config config;

    fill_config(dp, &config, &none);
    if (nft_check(&config, err) == 0)
        return 0;
    return tp_error_wrap(err, "this kernel or container lacks what tp needs "
                              "(nftables with TPROXY, reject, fib; NET_ADMIN)");
}

/* A table that another version made may not fit; it is replaced later. */
static void close_leftovers(void)
{
    struct tp_error err;

    if (nft_close(&err) < 0)
        log_warn("rules of a predecessor: %s", err.text);
}

static int start(struct datapath *dp, uv_loop_t *loop, struct dns *dns,
                 struct tp_error *err)
{
    int rc;

    dp->tcp = tcp_capture_create(loop, dns, err);
    if (!dp->tcp)
        return -EIO;
    dp->udp = udp_capture_create(loop, dns, err);
    if (!dp->udp)
        return -EIO;
    rc = probe_table(dp, err);
    if (!rc)
        close_leftovers();
    if (!rc)
        rc = start_routing(dp, err);
    if (!rc)
        rc = start_hold(dp, loop, err);
    return rc;
}

static void stop(struct datapath *dp)
{
    tcp_capture_destroy(dp->tcp);
    udp_capture_destroy(dp->udp);
    hold_queue_close(dp->queue);
    capture_set_release(&dp->set);
    free(dp->rules);
    free(dp);
}

struct datapath *datapath_create(uv_loop_t *loop, struct dns *dns,
                                 struct tp_error *err)
{
    struct datapath *dp = calloc(1, sizeof(*dp));

    if (!dp) {
        tp_error_errno(err, -ENOMEM, "data path");
        return NULL;
    }
    if (start(dp, loop, dns, err) < 0) {
        stop(dp);
        return NULL;
    }
    log_info("data path ready: first SYNs held by %s, IPv6 %s",
             nft_hold_name(dp->hold),
             tcp_capture_port(dp->tcp, AF_INET6) ? "on" : "off");
    return dp;
}

/* Gives the new set to those who look at it; the old one ends. */
static void use_set(struct datapath *dp, const struct capture_set *set)
{
    struct capture_set old = dp->set;

    dp->set = *set;
    tcp_capture_set_routes(dp->tcp, &dp->set, &dp->dns);
    udp_capture_set_routes(dp->udp, &dp->set, &dp->dns);
    capture_set_release(&old);
}

/* Replacing a table drops what the queue holds (clients retransmit), so it is
 * not done for nothing. */
static int use_rules(struct datapath *dp, struct tp_error *err)
{
    struct nft_config config;
    char *rules;
    int rc;

    fill_config(dp, &config, &dp->set);
    rules = nft_format(&config);
    if (!rules)
        return tp_error_errno(err, -ENOMEM, "nftables");
    if (dp->rules && !strcmp(rules, dp->rules)) {
        free(rules);
        return 0;
    }
    rc = nft_run(rules, err);
    if (rc) {
        free(rules);
        return rc;
    }
    free(dp->rules);
    dp->rules = rules;
    return 0;
}

static int remove_rules(struct datapath *dp, struct tp_error *err)
{
    free(dp->rules);
    dp->rules = NULL;
    return nft_remove(err);
}

int datapath_set_routes(struct datapath *dp,
                        const struct datapath_routes *routes,
                        struct tp_error *err)
{
    struct capture_set set;
    int rc = capture_set_build(&set, routes->capture, routes->n_capture,
                               routes->bypass, routes->n_bypass, err);

    if (rc)
        return rc;
    dp->dns = routes->dns;
    if (dp->dns.sa.sa_family)
        sockaddr_set_port(&dp->dns, 53);
    use_set(dp, &set);
    rc = routes->n_capture ? use_rules(dp, err) : remove_rules(dp, err);
    return rc ? tp_error_wrap(err, "captured subnets") : 0;
}

void datapath_set_tunnel(struct datapath *dp, struct tunnel *t)
{
    struct tunnel_stats stats;

    if (dp->tunnel && dp->tunnel != t) {
        tunnel_get_stats(dp->tunnel, &stats);
        dp->bytes_in += stats.bytes_in;
        dp->bytes_out += stats.bytes_out;
    }
    dp->tunnel = t;
    tcp_capture_set_tunnel(dp->tcp, t);
    udp_capture_set_tunnel(dp->udp, t);
}

void datapath_add_bytes(struct datapath *dp, uint64_t in, uint64_t out)
{
    dp->bytes_in += in;
    dp->bytes_out += out;
}

void datapath_set_shortcuts(struct datapath *dp, shortcut_cb *find_cb,
                            void *arg)
{
    const struct shortcuts shortcuts = {find_cb, arg};

    tcp_capture_set_shortcuts(dp->tcp, &shortcuts);
    udp_capture_set_shortcuts(dp->udp, &shortcuts);
}

bool datapath_captures(const struct datapath *dp,
                       const union sockaddr_any *addr)
{
    return capture_set_contains(&dp->set, addr);
}

void datapath_get_stats(const struct datapath *dp, struct datapath_stats *stats)
{
    struct tcp_capture_stats tcp;
    struct tunnel_stats link = {0};

    tcp_capture_get_stats(dp->tcp, &tcp);
    if (dp->tunnel)
        tunnel_get_stats(dp->tunnel, &link);
    *stats = (struct datapath_stats){
        .tcp = tcp.relays,
        .pending = tcp.pending,
        .udp = udp_capture_flows(dp->udp),
        .opened = tcp.opened,
        .refused = tcp.refused,
        .local = tcp.local,
        .bytes_in = dp->bytes_in + link.bytes_in,
        .bytes_out = dp->bytes_out + link.bytes_out,
        .hold = nft_hold_name(dp->hold),
    };
}

/* What is left in the kernel when the table refuses or is gone: nothing that
 * matters to a program; errors are told and no more. */
static void remove_plumbing(void)
{
    struct tp_error err;

    if (nft_hold_remove(&err) < 0 || route_remove(AF_INET, &err) < 0 ||
        route_remove(AF_INET6, &err) < 0)
        log_warn("%s", err.text);
}

void datapath_destroy(struct datapath *dp, bool leave_rejecting)
{
    struct tp_error err;

    if (!dp)
        return;
    stop(dp);
    if ((leave_rejecting ? nft_close(&err) : nft_remove(&err)) < 0)
        log_warn("%s", err.text);
    remove_plumbing();
}

int datapath_fail_closed(struct tp_error *err)
{
    int rc = nft_close(err);

    if (rc)
        return rc;
    remove_plumbing();
    return 0;
}
