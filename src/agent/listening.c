/*
 * listening.c - whether the app still listens, by /proc/net
 *
 * A connect() would tell too, but the app would see it.
 */
#include <stdio.h>

#include "agent/path_internal.h"
#include "base/cleanup.h"

#define STATE_LISTEN 0x0a /* TCP */
#define STATE_BOUND  0x07 /* UDP, not connected */

/* Ports that the agent itself listens on as the app do not count. */
static bool is_apps(const struct agent_path *p, unsigned number, bool udp)
{
    for (size_t i = 0; i < p->n_ports; i++) {
        const struct agent_port_config *c = &p->ports[i].config;

        if (c->udp == udp && c->port == number && c->mode != PORT_DIRECT)
            return true;
    }
    return false;
}

/* The first line is a heading; TCP's listeners stand before all others. */
static bool table_has_app(const struct agent_path *p, const char *file,
                          bool udp)
{
    cleanup_file FILE *f = fopen(file, "re");
    char line[256];
    unsigned port, state;

    if (!f || !fgets(line, sizeof(line), f))
        return false;
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, " %*u: %*[0-9A-F]:%4x %*[0-9A-F]:%*4x %2x", &port,
                   &state) != 2)
            continue;
        if (!udp && state != STATE_LISTEN)
            return false;
        if (state == (udp ? STATE_BOUND : STATE_LISTEN) &&
            is_apps(p, port, udp))
            return true;
    }
    return false;
}

bool path_app_listens(const struct agent_path *p)
{
    return table_has_app(p, "/proc/self/net/tcp", false) ||
           table_has_app(p, "/proc/self/net/tcp6", false) ||
           table_has_app(p, "/proc/self/net/udp", true) ||
           table_has_app(p, "/proc/self/net/udp6", true);
}
