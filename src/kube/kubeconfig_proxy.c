/* kubeconfig_proxy.c - server URLs, and the proxy that the environment names */
#include "kube/kubeconfig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/sockaddr.h"

static int bad_server(const char *server, const char *why, struct tp_error *err)
{
    return tp_error_set(err, -EINVAL, "server '%s': %s", server, why);
}

/* The port after the host, or 443. Returns -1 if it is not one. */
static int parse_port(const char *text, size_t len)
{
    char copy[8], *end;
    unsigned long port;

    if (len == 0)
        return 443;
    if (text[0] != ':' || len < 2 || len >= sizeof(copy))
        return -1;
    memcpy(copy, text + 1, len - 1);
    copy[len - 1] = '\0';
    if (strspn(copy, "0123456789") != len - 1)
        return -1;
    port = strtoul(copy, &end, 10);
    return port > 0 && port < 65536 ? (int)port : -1;
}

static bool is_host(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= ' ' ||
            strchr("\"'<>\\^`{|}@%?#\x7f", text[i]))
            return false;
    }
    return len > 0 && len < 256;
}

int kube_server_split(const char *server, char **host, unsigned short *port,
                      char **path, struct tp_error *err)
{
    const char *start, *end, *colon;
    size_t len;
    int number;

    *host = *path = NULL;
    if (!strncasecmp(server, "http://", 7))
        return bad_server(server, "tp needs https", err);
    if (strncasecmp(server, "https://", 8) != 0)
        return bad_server(server, "not an https:// URL", err);
    start = server + 8;
    len = strcspn(start, "/?#");
    end = start + len;
    if (*start == '[') {
        colon = memchr(start, ']', len);
        if (!colon)
            return bad_server(server, "not a URL", err);
        start++;
        len = (size_t)(colon++ - start);
    } else {
        colon = memchr(start, ':', len);
        colon = colon ? colon : end;
        len = (size_t)(colon - start);
    }
    number = parse_port(colon, (size_t)(end - colon));
    if (number < 0 || !is_host(start, len) || *end == '?' || *end == '#')
        return bad_server(server, "not a URL of a server", err);
    *port = (unsigned short)number;
    *host = strndup(start, len);
    *path = strdup(end);
    if (!*host || !*path)
        return tp_error_set(err, -ENOMEM, "out of memory");
    len = strlen(*path);
    if (strpbrk(*path, "?# \r\n\t"))
        return bad_server(server, "not a URL of a server", err);
    while (len && (*path)[len - 1] == '/')
        (*path)[--len] = '\0';
    return 0;
}

static const char *env2(const char *upper, const char *lower)
{
    const char *value = getenv(upper);

    return value && *value ? value : getenv(lower);
}

/* One member of NO_PROXY, as golang.org/x/net/http/httpproxy reads it. */
static bool matches(const char *rule, const char *host, unsigned short port,
                    const union sockaddr_any *addr, bool is_ip)
{
    const char *colon = strrchr(rule, ':');
    size_t host_len = strlen(host), len;
    char name[256];
    struct subnet net;

    if (!strcmp(rule, "*"))
        return true;
    if (!subnet_parse(&net, rule))
        return is_ip && subnet_contains(&net, addr);
    snprintf(name, sizeof(name), "%s", rule);
    if (colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) &&
        colon[1] && strchr(rule, ':') == colon) {
        if (atoi(colon + 1) != port)
            return false;
        name[colon - rule] = '\0';
    }
    if (!strncmp(name, "*.", 2))
        memmove(name, name + 1, strlen(name));
    len = strlen(name);
    if (len == 0 || len > host_len)
        return false;
    if (strcasecmp(host + host_len - len, name) != 0)
        return false;
    /* ".x.y" is for names below only, "x.y" for itself as well. */
    return name[0] == '.' ? host_len > len
                          : host_len == len || host[host_len - len - 1] == '.';
}

static bool is_excluded(const char *host, unsigned short port)
{
    const char *env = env2("NO_PROXY", "no_proxy");
    cleanup_free char *list = strdup(env ? env : "");
    union sockaddr_any addr;
    bool is_ip = sockaddr_parse(&addr, host, port) == 0;
    char *rest = list;

    if (is_ip ? sockaddr_is_loopback(&addr) : !strcasecmp(host, "localhost"))
        return true;
    for (char *rule; list && (rule = strsep(&rest, ", \t"));) {
        if (*rule && strlen(rule) < 250 &&
            matches(rule, host, port, &addr, is_ip))
            return true;
    }
    return false;
}

char *kube_proxy_from_environment(const char *server)
{
    cleanup_free char *host = NULL, *path = NULL;
    const char *proxy = env2("HTTPS_PROXY", "https_proxy");
    unsigned short port;
    char *url = NULL;

    if (!proxy || !*proxy ||
        kube_server_split(server, &host, &port, &path, NULL) < 0 ||
        is_excluded(host, port))
        return strdup("");
    if (strstr(proxy, "://"))
        return strdup(proxy);
    return asprintf(&url, "http://%s", proxy) < 0 ? NULL : url;
}
