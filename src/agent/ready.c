#include "agent/ready.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define STATE_LISTEN 0x0a /* of /proc/net/tcp */

/* Ports, one bit each. */
struct port_set {
    uint8_t bits[65536 / 8];
};

/* "  0: 0100007F:26AC 00000000:0000 0A ...", addresses in hex */
static bool parse_line(const char *line, unsigned *port, unsigned *state)
{
    return sscanf(line, " %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %x", port, state) ==
               2 &&
           *port <= 65535;
}

/* The kernel writes the listening sockets first; the others may be thousands.
 */
static void read_table(const char *path, bool listening, struct port_set *set)
{
    cleanup_file FILE *f = fopen(path, "re");
    char line[512];

    while (f && fgets(line, sizeof(line), f)) {
        unsigned port, state;

        if (!parse_line(line, &port, &state))
            continue; /* the line with the titles */
        if (listening && state != STATE_LISTEN)
            return;
        set->bits[port / 8] |= (uint8_t)(1U << port % 8);
    }
}

static int need(const struct port_set *set, uint16_t port, const char *protocol,
                struct tp_error *err)
{
    if (set->bits[port / 8] & (1U << port % 8))
        return 0;
    return tp_error_set(err, -EAGAIN, "nobody listens on %s port %u yet",
                        protocol, port);
}

int ready_check(const struct agent_path_config *config, struct tp_error *err)
{
    struct port_set tcp = {0}, udp = {0};
    int rc = 0;

    read_table("/proc/net/tcp", true, &tcp);
    read_table("/proc/net/tcp6", true, &tcp);
    read_table("/proc/net/udp", false, &udp);
    read_table("/proc/net/udp6", false, &udp);
    for (size_t i = 0; rc == 0 && i < config->n_ports; i++) {
        const struct agent_port_config *port = &config->ports[i];

        rc = need(port->udp ? &udp : &tcp, port->listen,
                  port->udp ? "UDP" : "TCP", err);
    }
    for (size_t i = 0; rc == 0 && i < config->n_probes; i++)
        rc = need(&tcp, config->probes[i].listen, "TCP", err);
    return rc;
}
