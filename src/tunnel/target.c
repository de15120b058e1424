/*
 * target.c - where a TCP or UDP stream leads to: its text in a request's head
 *
 * TCP has it in :authority (RFC 9113 8.5), UDP in :path (RFC 9298 3). It is an
 * address or, on a link with config.names, a name; a name is never an IP
 * literal (no dot, no colon), so that neither can be taken for the other.
 */
#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/encoding.h"

#define UDP_PATH "/.well-known/masque/udp/"

bool tunnel_name_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");

    return len == TUNNEL_NAME_LEN && name[len] == '\0';
}

/* ---- reading ------------------------------------------------------------ */

static int parse_port(const char *text, uint16_t *port)
{
    unsigned long value = 0;

    if (*text == '\0' || strlen(text) > 5)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        value = value * 10 + (unsigned long)(*text - '0');
    }
    if (value == 0 || value > 65535)
        return -EINVAL;
    *port = (uint16_t)value;
    return 0;
}

/* Keeps the name in the head, which lives as long as open does. */
static int set_name(struct tunnel_head *head, const char *name,
                    struct tunnel_open *open)
{
    if (!tunnel_name_valid(name))
        return -EINVAL;
    memcpy(head->name, name, sizeof(head->name));
    open->name = head->name;
    return 0;
}

static int parse_name_port(struct tunnel_head *head, struct tunnel_open *open)
{
    char *colon = strchr(head->authority, ':');

    if (!colon || parse_port(colon + 1, &open->port) < 0)
        return -EINVAL;
    *colon = '\0';
    return set_name(head, head->authority, open);
}

int target_parse_tcp(struct tunnel_head *head, bool names,
                     struct tunnel_open *open)
{
    if (!head->authority)
        return -EINVAL;
    if (names)
        return parse_name_port(head, open);
    if (sockaddr_parse_hostport(&open->addr, head->authority) < 0)
        return -EINVAL;
    sockaddr_unmap(&open->addr);
    open->port = sockaddr_port(&open->addr);
    return open->port ? 0 : -EINVAL;
}

/* Percent-decoding of one segment of a path, up to '/'. Returns what follows
 * the '/', NULL if it does not fit or is wrong. */
static const char *decode_segment(const char *p, char *out, size_t size)
{
    size_t len = strcspn(p, "/");

    if (p[len] != '/' || percent_decode(out, size, p, len) < 0)
        return NULL;
    return p + len + 1;
}

int target_parse_udp(struct tunnel_head *head, bool names,
                     struct tunnel_open *open)
{
    char host[SOCKADDR_TEXT], port[8];
    const char *path = head->path;

    if (!path || strncmp(path, UDP_PATH, strlen(UDP_PATH)) != 0)
        return -EINVAL;
    path = decode_segment(path + strlen(UDP_PATH), host, sizeof(host));
    if (path)
        path = decode_segment(path, port, sizeof(port));
    if (!path || *path || parse_port(port, &open->port) < 0)
        return -EINVAL;
    if (names)
        return set_name(head, host, open);
    if (sockaddr_parse(&open->addr, host, open->port) < 0)
        return -EINVAL;
    sockaddr_unmap(&open->addr);
    return 0;
}

/* ---- writing ------------------------------------------------------------ */

void target_format_udp(const union sockaddr_any *addr, char path[TARGET_MAX])
{
    char ip[SOCKADDR_TEXT], coded[3 * SOCKADDR_TEXT], *out = coded;

    for (const char *p = sockaddr_format_ip(addr, ip); *p; p++) {
        if (*p == ':') {
            memcpy(out, "%3A", 3);
            out += 3;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
    snprintf(path, TARGET_MAX, UDP_PATH "%s/%u/", coded, sockaddr_port(addr));
}

int target_format_tcp_name(const char *name, uint16_t port,
                           char text[TARGET_MAX])
{
    if (!tunnel_name_valid(name) || port == 0)
        return -EINVAL;
    snprintf(text, TARGET_MAX, "%s:%u", name, port);
    return 0;
}

int target_format_udp_name(const char *name, uint16_t port,
                           char path[TARGET_MAX])
{
    if (!tunnel_name_valid(name) || port == 0)
        return -EINVAL;
    snprintf(path, TARGET_MAX, UDP_PATH "%s/%u/", name, port);
    return 0;
}
