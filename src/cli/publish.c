#include "cli/publish.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/sockaddr.h"

struct range {
    unsigned first, last; /* 0, 0: none given */
};

static int bad(const char *text, const char *why, struct tp_error *err)
{
    return tp_error_set(err, -EINVAL,
                        "--publish %s: %s; as for docker: "
                        "[[IP:]HOSTPORT:]PORT[/udp]",
                        text, why);
}

static int parse_port(const char **p, unsigned min, unsigned *out)
{
    size_t digits = strspn(*p, "0123456789");

    if (digits == 0 || digits > 5)
        return -EINVAL;
    *out = (unsigned)strtoul(*p, NULL, 10);
    *p += digits;
    return *out >= min && *out <= 65535 ? 0 : -EINVAL;
}

/* "80" or "80-90", all of text. */
static int parse_range(const char *text, unsigned min, struct range *out)
{
    if (parse_port(&text, min, &out->first) < 0)
        return -EINVAL;
    out->last = out->first;
    if (*text == '-') {
        text++;
        if (parse_port(&text, min, &out->last) < 0 || out->last < out->first)
            return -EINVAL;
    }
    return *text ? -EINVAL : 0;
}

/* Cuts the protocol off; "tcp" if there is none. NULL if it is unknown. */
static const char *take_protocol(char *text)
{
    char *slash = strchr(text, '/');

    if (!slash)
        return "tcp";
    *slash++ = '\0';
    if (!strcmp(slash, "tcp"))
        return "tcp";
    if (!strcmp(slash, "udp"))
        return "udp";
    return strcmp(slash, "sctp") == 0 ? "sctp" : NULL;
}

/* Cuts "[IP]:" or "IP:" off the front if something follows two colons. */
static char *take_ip(char **text)
{
    char *ip = *text, *end, *colon;

    if (*ip == '[') {
        end = strchr(ip, ']');
        if (!end || end[1] != ':')
            return NULL;
        *end = '\0';
        *text = end + 2;
        return ip + 1;
    }
    end = strchr(ip, ':');
    colon = end ? strchr(end + 1, ':') : NULL;
    if (!colon)
        return (char *)"";
    *end = '\0';
    *text = end + 1;
    return ip;
}

static void add_binding(struct json_object *exposed,
                        struct json_object *bindings, unsigned port,
                        const char *protocol, const char *ip,
                        const char *host_port)
{
    struct json_object *list, *binding = json_object_new_object();
    char key[24];

    snprintf(key, sizeof(key), "%u/%s", port, protocol);
    json_object_object_add(exposed, key, json_object_new_object());
    if (!json_object_object_get_ex(bindings, key, &list)) {
        list = json_object_new_array();
        json_object_object_add(bindings, key, list);
    }
    json_put_str(binding, "HostIp", ip);
    json_put_str(binding, "HostPort", host_port);
    json_object_array_add(list, binding);
}

/* The host port for the i-th of n container ports. A range for one port lets
 * Docker choose in it. */
static void host_port_text(char text[16], struct range host, struct range port,
                           unsigned i)
{
    text[0] = '\0';
    if (host.first && host.last != host.first && port.first == port.last)
        snprintf(text, 16, "%u-%u", host.first, host.last);
    else if (host.first)
        snprintf(text, 16, "%u", host.first + i);
}

int publish_parse(const char *text, struct json_object *exposed,
                  struct json_object *bindings, struct tp_error *err)
{
    cleanup_free char *copy = strdup(text);
    struct range host = {0}, port;
    const char *protocol;
    char *rest = copy, *ip, *colon;
    union sockaddr_any addr;

    if (!copy)
        return tp_error_set(err, -ENOMEM, "out of memory");
    protocol = take_protocol(copy);
    if (!protocol)
        return bad(text, "the protocol is tcp, udp or sctp", err);
    ip = take_ip(&rest);
    if (!ip || (*ip && sockaddr_parse(&addr, ip, 0) < 0))
        return bad(text, "not an IP address", err);
    colon = strchr(rest, ':');
    if (colon) {
        *colon = '\0';
        if (*rest && strcmp(rest, "0") != 0 && parse_range(rest, 1, &host) < 0)
            return bad(text, "not a host port", err);
        rest = colon + 1;
    }
    if (parse_range(rest, 1, &port) < 0)
        return bad(text, "not a port", err);
    if (host.first && port.last != port.first &&
        host.last - host.first != port.last - port.first)
        return bad(text, "the ranges differ in length", err);
    for (unsigned i = 0; i <= port.last - port.first; i++) {
        char number[16];

        host_port_text(number, host, port, i);
        add_binding(exposed, bindings, port.first + i, protocol, ip, number);
    }
    return 0;
}

#define HOST_CHARS                                                             \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define HOST_MAX 63 /* sethostname(2) */

static bool is_host(const char *name, size_t len)
{
    return len > 0 && name[0] != '-' && name[0] != '.' &&
           strspn(name, HOST_CHARS) >= len;
}

bool publish_hostname_valid(const char *name)
{
    size_t len = strlen(name);

    return len <= HOST_MAX && is_host(name, len);
}

bool publish_host_valid(const char *text)
{
    size_t len = strcspn(text, ":");
    uint8_t address[16];

    if (text[len] != ':' || !is_host(text, len))
        return false;
    text += len + 1;
    return !strcmp(text, "host-gateway") ||
           inet_pton(AF_INET, text, address) == 1 ||
           inet_pton(AF_INET6, text, address) == 1;
}
