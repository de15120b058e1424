#include "net/direct_endpoint.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/sockaddr.h"
#include "net/route_never.h"

/* RFC 6761 6.3 */
static bool is_localhost(const char *host)
{
    size_t len = strlen(host), want = strlen("localhost");

    while (len > 0 && host[len - 1] == '.')
        len--;
    return len >= want && !strncasecmp(host + len - want, "localhost", want) &&
           (len == want || host[len - want - 1] == '.');
}

static bool is_name(const char *host)
{
    return strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789.-_") == strlen(host);
}

int direct_endpoint_parse(struct direct_endpoint *out, const char *text,
                          struct tp_error *err)
{
    union sockaddr_any addr;

    memset(out, 0, sizeof(*out));
    if (sockaddr_split_hostport(text, out->host, sizeof(out->host),
                                &out->port) < 0 ||
        out->port == 0)
        return tp_error_set(err, -EINVAL, "%.100s is no endpoint (HOST:PORT)",
                            text);
    if (sockaddr_parse(&addr, out->host, out->port) == 0) {
        sockaddr_unmap(&addr);
        if (route_never_contains(&addr))
            return tp_error_set(err, -EINVAL,
                                "%.100s is no address of a cluster", text);
        return 0;
    }
    if (!is_name(out->host) || is_localhost(out->host))
        return tp_error_set(err, -EINVAL, "%.100s is no host of a cluster",
                            text);
    return 0;
}
