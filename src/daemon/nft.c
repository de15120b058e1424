#include "daemon/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/datapath_marks.h"
#include "net/nftables.h"

/*
 * The path of a packet, in order of the hooks:
 *
 *   output, raw          no connection tracking (Docker's user-defined
 *                        networks have NAT in the namespace)
 *   output, mangle       chain out: for a captured address the mark becomes
 *                        CAPTURE (rerouted to lo at once), or HOLD for a
 *                        first SYN
 *   output, mangle + 5   table tp-hold: HOLD goes to the queue; the daemon's
 *                        verdict sets CAPTURE or a refusal's mark
 *   output, filter       chain verdict: refusals (of UDP, too: see refuse()
 *                        in udp_capture.c), and whatever is for a captured
 *                        address without one of tp's marks
 *   postrouting          chain leave: tp's marks never leave but by lo, were
 *                        even the ip rule taken away
 *   prerouting (lo)      chain deliver: to the listeners
 *
 * `fib daddr type` keeps the namespace's own and multicast addresses out,
 * should a captured subnet cover them.
 */

int nft_run(const char *commands, struct tp_error *err)
{
    return nftables_run(commands, false, err);
}

static void put_range(FILE *f, int family, const struct capture_range *range)
{
    char first[INET6_ADDRSTRLEN], last[INET6_ADDRSTRLEN];

    inet_ntop(family, range->first, first, sizeof(first));
    inet_ntop(family, range->last, last, sizeof(last));
    if (!strcmp(first, last))
        fprintf(f, "%s", first);
    else
        fprintf(f, "%s-%s", first, last);
}

static void put_set(FILE *f, int family, const char *name,
                    const struct capture_range *ranges, size_t n)
{
    fprintf(f, "set %s { type %s; flags interval;\n", name,
            family == AF_INET6 ? "ipv6_addr" : "ipv4_addr");
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ",\n" : "elements = { ", f);
        put_range(f, family, &ranges[i]);
    }
    fputs(n ? " }\n}\n" : "}\n", f);
}

static void put_dns_set(FILE *f, int family, const char *name,
                        const union sockaddr_any *dns)
{
    char ip[SOCKADDR_TEXT];

    fprintf(f, "set %s { type %s;", name,
            family == AF_INET6 ? "ipv6_addr" : "ipv4_addr");
    if (dns->sa.sa_family == family)
        fprintf(f, " elements = { %s }", sockaddr_format_ip(dns, ip));
    fputs("; }\n", f);
}

static void put_sets(FILE *f, const struct nft_config *c)
{
    put_set(f, AF_INET, "capture4", c->set->v4, c->set->n_v4);
    put_set(f, AF_INET6, "capture6", c->set->v6, c->set->n_v6);
    put_dns_set(f, AF_INET, "dns4", &c->dns);
    put_dns_set(f, AF_INET6, "dns6", &c->dns);
}

/* One rule for all that is captured, in both families. */
static void put_captured(FILE *f, const char *action)
{
    static const char *const match[] = {
        "ip daddr @capture4",
        "ip6 daddr @capture6",
        "ip daddr @dns4 meta l4proto { tcp, udp } th dport 53",
        "ip6 daddr @dns6 meta l4proto { tcp, udp } th dport 53",
    };

    for (size_t i = 0; i < sizeof(match) / sizeof(*match); i++)
        fprintf(f, "%s %s\n", match[i], action);
}

static void put_notrack(FILE *f)
{
    static const char *const match[] = {
        "ip daddr @capture4",  "ip saddr @capture4", "ip6 daddr @capture6",
        "ip6 saddr @capture6", "ip daddr @dns4",     "ip saddr @dns4",
        "ip6 daddr @dns6",     "ip6 saddr @dns6",
    };
    const size_t n = sizeof(match) / sizeof(*match);

    /* The links' packets, most of all that leave, need no look at the sets. */
    fprintf(f,
            "chain raw_out { type filter hook output priority -300;\n"
            "meta mark 0x%08x oif != lo accept\n",
            DATAPATH_BYPASS_MARK);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s notrack\n", match[i]);
    fputs("}\nchain raw_pre { type filter hook prerouting priority -300;\n"
          "iif != lo accept\n",
          f);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s notrack\n", match[i]);
    fputs("}\n", f);
}

static void put_out(FILE *f, const struct nft_config *c)
{
    fprintf(f,
            "chain out { type route hook output priority -150;\n"
            "meta mark 0x%08x accept\n"
            "meta mark and 0x%08x == 0x%08x accept\n",
            DATAPATH_BYPASS_MARK, DATAPATH_MARK_SPORT_MASK,
            DATAPATH_MARK_SPORT);
    put_captured(f, "goto capture");
    fputs("}\nchain capture {\n"
          "fib daddr type != unicast accept\n",
          f);
    if (c->hold)
        fprintf(f,
                "tcp flags & (fin|syn|rst|ack) == syn meta mark set 0x%08x "
                "accept\n",
                DATAPATH_MARK_HOLD);
    fprintf(f, "meta l4proto { tcp, udp } meta mark set 0x%08x\n}\n",
            DATAPATH_MARK_CAPTURE);
}

static void put_deliver(FILE *f, const struct nft_config *c)
{
    const struct {
        bool on;
        const char *match, *to;
        uint16_t port;
    } rows[] = {
        {c->v4, "ipv4 meta l4proto tcp", "ip to 127.0.0.1", c->tcp4},
        {c->v4, "ipv4 meta l4proto udp", "ip to 127.0.0.1", c->udp4},
        {c->v6, "ipv6 meta l4proto tcp", "ip6 to [::1]", c->tcp6},
        {c->v6, "ipv6 meta l4proto udp", "ip6 to [::1]", c->udp6},
    };

    fprintf(f,
            "chain deliver { type filter hook prerouting priority -150;\n"
            "iif lo meta mark 0x%08x goto tproxy_all\n}\n"
            "chain tproxy_all {\n",
            DATAPATH_MARK_CAPTURE);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].on)
            fprintf(f, "meta nfproto %s tproxy %s:%u accept\n", rows[i].match,
                    rows[i].to, rows[i].port);
    }
    fputs("drop\n}\n", f);
}

/* What refuses: the same text in the full table and after nft_close(). */
static const char closed_rules[] = "fib daddr type != unicast accept\n"
                                   "meta l4proto tcp reject with tcp reset\n"
                                   "reject with icmpx admin-prohibited\n";

static void put_verdict(FILE *f)
{
    fprintf(f,
            "chain verdict { type filter hook output priority 0;\n"
            "meta mark { 0x%08x, 0x%08x } accept\n"
            "meta mark 0x%08x meta l4proto tcp reject with tcp reset\n"
            "meta mark 0x%08x reject with icmpx host-unreachable\n"
            "meta mark 0x%08x reject with icmpx no-route\n"
            "meta mark 0x%08x reject with icmpx admin-prohibited\n"
            "meta mark and 0x%08x == 0x%08x fib daddr type unicast "
            "reject with icmpx port-unreachable\n",
            DATAPATH_BYPASS_MARK, DATAPATH_MARK_CAPTURE, DATAPATH_MARK_RESET,
            DATAPATH_MARK_HOST, DATAPATH_MARK_NET, DATAPATH_MARK_PROHIBIT,
            DATAPATH_MARK_SPORT_MASK, DATAPATH_MARK_SPORT);
    put_captured(f, "goto closed");
    fprintf(f,
            "}\nchain closed {\n%s}\n"
            "chain leave { type filter hook postrouting priority 300;\n"
            "meta mark { 0x%08x, 0x%08x } oifname != \"lo\" drop\n}\n",
            closed_rules, DATAPATH_MARK_CAPTURE, DATAPATH_MARK_HOLD);
}

char *nft_format(const struct nft_config *config)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    fputs("add table inet " DATAPATH_TABLE "\n"
          "delete table inet " DATAPATH_TABLE "\n"
          "table inet " DATAPATH_TABLE " {\n",
          f);
    put_sets(f, config);
    fputs("chain closed { }\nchain capture { }\nchain tproxy_all { }\n", f);
    put_notrack(f);
    put_out(f, config);
    put_deliver(f, config);
    put_verdict(f);
    fputs("}\n", f);
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

int nft_check(const struct nft_config *config, struct tp_error *err)
{
    cleanup_free char *text = nft_format(config);

    if (!text)
        return tp_error_errno(err, -ENOMEM, "nftables");
    return nftables_run(text, true, err);
}

static bool table_exists(void)
{
    return nft_run("list table inet " DATAPATH_TABLE, NULL) == 0;
}

int nft_close(struct tp_error *err)
{
    cleanup_free char *text = NULL;
    size_t len;
    FILE *f;

    if (!table_exists())
        return 0;
    f = open_memstream(&text, &len);
    if (!f)
        return tp_error_errno(err, -ENOMEM, "nftables");
    fprintf(f,
            "flush table inet " DATAPATH_TABLE "\n"
            "table inet " DATAPATH_TABLE " {\n"
            "chain closed {\n%s}\n"
            "chain verdict { type filter hook output priority 0;\n"
            "meta mark 0x%08x accept\n",
            closed_rules, DATAPATH_BYPASS_MARK);
    put_captured(f, "goto closed");
    fputs("}\n}\n", f);
    if (fclose(f))
        return tp_error_errno(err, -ENOMEM, "nftables");
    return nft_run(text, err);
}

int nft_remove(struct tp_error *err)
{
    return nft_run("add table inet " DATAPATH_TABLE "\n"
                   "delete table inet " DATAPATH_TABLE "\n",
                   err);
}
