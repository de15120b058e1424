#include "agent/rules.h"

#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "net/nftables.h"

/*
 * A client's packet comes in by the network (prerouting), or from another
 * container of the pod by lo (output). Only packets for the pod's own addresses
 * are meant: what the pod sends to port P of somebody else is not. What the
 * agent itself sends to the app goes by lo, too, and is known by its DSCP.
 *
 * Only the port is changed (dnat without an address, where `redirect` would put
 * 127.0.0.1 in on lo): so the agent sees which address was asked, also of UDP,
 * for which there is no SO_ORIGINAL_DST. A nat chain sees the first packet of a
 * connection; the rest of it, and the answers, follow by themselves. One that
 * runs already looks like a new one to a fresh table: only a SYN is.
 */
#define TABLE "inet tp_agent"

static bool any_redirect(const struct agent_path_config *config)
{
    for (size_t i = 0; i < config->n_ports; i++) {
        if (config->ports[i].mode == PORT_REDIRECT)
            return true;
    }
    return false;
}

static void put_ports(FILE *f, const struct agent_path_config *config)
{
    fputs("chain ports {\n", f);
    for (size_t i = 0; i < config->n_ports; i++) {
        const struct agent_port_config *p = &config->ports[i];
        const char *match =
            p->udp ? "udp" : "tcp flags & (fin|syn|rst|ack) == syn tcp";

        if (p->mode != PORT_REDIRECT)
            continue;
        fprintf(f, "%s dport %u dnat to :%u\n", match, p->port, p->listen);
    }
    fputs("}\n", f);
}

static void put_chains(FILE *f)
{
    fprintf(f,
            "chain pre { type nat hook prerouting priority dstnat;\n"
            "fib daddr type local goto ports\n}\n"
            "chain out { type nat hook output priority -100;\n"
            "oifname != \"lo\" accept\n"
            "ip dscp 0x%02x accept\n"
            "ip6 dscp 0x%02x accept\n"
            "fib daddr type local goto ports\n}\n",
            AGENT_APP_TOS >> 2, AGENT_APP_TOS >> 2);
}

char *agent_rules_format(const struct agent_path_config *config)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    fputs("add table " TABLE "\ndelete table " TABLE "\n", f);
    if (any_redirect(config)) {
        fputs("table " TABLE " {\n", f);
        put_ports(f, config);
        put_chains(f);
        fputs("}\n", f);
    }
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

int agent_rules_install(const struct agent_path_config *config,
                        struct tp_error *err)
{
    cleanup_free char *text = agent_rules_format(config);

    if (!text)
        return tp_error_errno(err, -ENOMEM, "redirect rules");
    if (nftables_run(text, false, err) < 0)
        return tp_error_wrap(err, "redirect rules");
    return 0;
}

int agent_rules_remove(struct tp_error *err)
{
    return nftables_run("add table " TABLE "\ndelete table " TABLE "\n", false,
                        err);
}
