#include "daemon/proxy_request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define SCHEME    "http://"
#define HTTP_PORT 80

#define NAME_CHARS                                                             \
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

/* All of text, 1 to 65535. */
static int parse_port(const char *text, size_t len, uint16_t *port)
{
    unsigned n = 0;

    if (len == 0 || len > 5)
        return -EBADMSG;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EBADMSG;
        n = n * 10 + (unsigned)(text[i] - '0');
    }
    if (n < 1 || n > 65535)
        return -EBADMSG;
    *port = (uint16_t)n;
    return 0;
}

/* "[v6]": an address without a zone. */
static int parse_bracket(const char *text, size_t len, char host[256],
                         size_t *used)
{
    const char *end = memchr(text, ']', len);
    struct in6_addr addr;
    size_t n = end ? (size_t)(end - text) - 1 : 0;

    if (n == 0 || n > INET6_ADDRSTRLEN)
        return -EBADMSG;
    memcpy(host, text + 1, n);
    host[n] = '\0';
    *used = n + 2;
    return inet_pton(AF_INET6, host, &addr) == 1 ? 0 : -EBADMSG;
}

static int parse_name(const char *text, size_t len, char host[256],
                      size_t *used)
{
    size_t n = 0;

    while (n < len && text[n] != ':')
        n++;
    if (n == 0 || n > 255)
        return -EBADMSG;
    memcpy(host, text, n);
    host[n] = '\0';
    *used = n;
    return strspn(host, NAME_CHARS) == n ? 0 : -EBADMSG;
}

int proxy_authority_parse(const char *text, size_t len, char host[256],
                          uint16_t *port)
{
    size_t used = 0;
    int rc = len > 0 && *text == '[' ? parse_bracket(text, len, host, &used)
                                     : parse_name(text, len, host, &used);

    if (rc < 0 || used == len)
        return rc;
    if (text[used] != ':')
        return -EBADMSG;
    return parse_port(text + used + 1, len - used - 1, port);
}

static int parse_absolute(struct proxy_request *r,
                          const struct http1_head *head)
{
    const char *rest = head->target + strlen(SCHEME);

    r->form = PROXY_FORWARD;
    r->port = HTTP_PORT;
    r->authority = rest;
    r->authority_len = strcspn(rest, "/?#");
    r->path = rest + r->authority_len;
    r->body = head->chunked              ? UINT64_MAX
              : head->content_length > 0 ? (uint64_t)head->content_length
                                         : 0;
    if (strchr(r->path, '#')) /* a fragment never leaves the client */
        return -EBADMSG;
    return proxy_authority_parse(r->authority, r->authority_len, r->host,
                                 &r->port);
}

int proxy_request_parse(struct proxy_request *r, const struct http1_head *head)
{
    const char *target = head->target;

    memset(r, 0, sizeof(*r));
    if (!strcmp(head->method, "CONNECT")) {
        r->form = PROXY_CONNECT;
        return proxy_authority_parse(target, strlen(target), r->host,
                                     &r->port) == 0 &&
                       r->port
                   ? 0
                   : -EBADMSG;
    }
    if (*target == '/') {
        r->form = PROXY_ORIGIN;
        r->path = target;
        return 0;
    }
    if (!strncasecmp(target, SCHEME, strlen(SCHEME)))
        return parse_absolute(r, head);
    return strstr(target, "://") ? -EPROTONOSUPPORT : -EBADMSG;
}

/* ---- the server's head ---- */

/* RFC 9110 7.6.1, and what is for a proxy alone (11.7). */
static bool is_for_this_hop(const struct http1_head *head, const char *name)
{
    static const char *const names[] = {
        "Connection",          "Keep-Alive", "Proxy-Connection",
        "Proxy-Authorization", "TE",         "Upgrade",
        "Proxy-Authenticate",  "Host",       "HTTP2-Settings",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!strcasecmp(name, names[i]))
            return true;
    }
    /* What frames the body stays, whoever calls it his own. */
    return strcasecmp(name, "Content-Length") != 0 &&
           strcasecmp(name, "Transfer-Encoding") != 0 &&
           http1_has_token(head, "Connection", name);
}

static int put(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

static int put_target(const struct proxy_request *r,
                      const struct http1_head *head, struct buf *out)
{
    int rc = put(out, head->method);

    if (rc == 0)
        rc = put(out, " ");
    if (rc == 0 && *r->path != '/') /* "", "?query"; RFC 9112 3.2.4 */
        rc =
            put(out, !*r->path && !strcmp(head->method, "OPTIONS") ? "*" : "/");
    return rc < 0 ? rc : put(out, r->path);
}

int proxy_request_rewrite(const struct proxy_request *r,
                          const struct http1_head *head, bool old,
                          struct buf *out)
{
    int rc = put_target(r, head, out);

    if (rc == 0)
        rc = put(out, old ? " HTTP/1.0\r\nHost: " : " HTTP/1.1\r\nHost: ");
    if (rc == 0)
        rc = buf_append(out, r->authority, r->authority_len);
    if (rc == 0)
        rc = put(out, "\r\n");
    for (size_t i = 0; rc == 0 && i < head->count; i++) {
        const struct http1_header *h = &head->headers[i];

        if (is_for_this_hop(head, h->name))
            continue;
        rc = put(out, h->name);
        if (rc == 0)
            rc = put(out, ": ");
        if (rc == 0)
            rc = put(out, h->value);
        if (rc == 0)
            rc = put(out, "\r\n");
    }
    return rc < 0 ? rc
                  : put(out, old ? "Via: 1.0 tp\r\nConnection: close\r\n\r\n"
                                 : "Via: 1.1 tp\r\nConnection: close\r\n\r\n");
}
