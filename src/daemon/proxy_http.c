/*
 * proxy_http.c - the server's side of HTTP: CONNECT, absolute-form, the PAC
 * file
 *
 * One request a connection. A forwarded request says "Connection: close", and
 * no byte behind its body reaches the server: a second request may be meant for
 * another one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "daemon/proxy_access.h"
#include "daemon/proxy_internal.h"
#include "daemon/proxy_pac.h"
#include "daemon/proxy_request.h"

#define PAC_PATH "/proxy.pac"

/* The answer's head and a line of text. */
static void answer(struct proxy_conn *c, const char *status, const char *field,
                   const char *text)
{
    char head[1024];
    int len = snprintf(head, sizeof(head),
                       "HTTP/1.1 %s\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: %zu\r\n"
                       "X-Content-Type-Options: nosniff\r\n"
                       "Cache-Control: no-store\r\n"
                       "%s"
                       "Connection: close\r\n\r\n%s\n",
                       status, strlen(text) + 1, field, text);

    if (proxy_conn_say(c, head, (size_t)len) == 0)
        proxy_conn_end(c);
}

void proxy_http_failed(struct proxy_conn *c, int status)
{
    switch (status) {
    case -EACCES:
        answer(c, "403 Forbidden", "",
               "tp: that is not in the cluster; this proxy reaches only the "
               "cluster");
        break;
    case -ENOENT:
        answer(c, "502 Bad Gateway", "", "tp: there is no such name");
        break;
    case -ETIMEDOUT:
        answer(c, "504 Gateway Timeout", "", "tp: the host does not answer");
        break;
    case -ECONNREFUSED:
        answer(c, "502 Bad Gateway", "", "tp: the connection was refused");
        break;
    default:
        answer(c, "502 Bad Gateway", "",
               "tp: the host cannot be reached (tp status tells whether there "
               "is a link)");
        break;
    }
}

int proxy_http_connected(struct proxy_conn *c)
{
    static const char text[] = "HTTP/1.1 200 Connection established\r\n\r\n";

    return buf_used(&c->up) > 0 ? 0 : proxy_conn_say(c, text, strlen(text));
}

static void serve_pac(struct proxy_conn *c, const char *host, bool body)
{
    struct buf script;
    char head[512];
    int len;

    buf_init(&script, PROXY_PAC_MAX);
    if (proxy_pac_write(&script, host, c->p->cluster) < 0) {
        buf_release(&script);
        answer(c, "500 Internal Server Error", "", "tp: out of memory");
        return;
    }
    len = snprintf(head, sizeof(head),
                   "HTTP/1.1 200 OK\r\n"
                   "Content-Type: application/x-ns-proxy-autoconfig\r\n"
                   "Content-Length: %zu\r\n"
                   "X-Content-Type-Options: nosniff\r\n"
                   "Cache-Control: no-store\r\n"
                   "Connection: close\r\n\r\n",
                   buf_used(&script));
    if (proxy_conn_say(c, head, (size_t)len) == 0 &&
        (!body || proxy_conn_say(c, buf_head(&script), buf_used(&script)) == 0))
        proxy_conn_end(c);
    buf_release(&script);
}

/* What is asked of us and not of a server (SECURITY 13): a web page whose name
 * was turned to this address must not read anything. */
static void serve_origin(struct proxy_conn *c, const struct http1_head *head,
                         const char *path)
{
    const char *host = http1_get(head, "Host");
    char own[SOCKADDR_TEXT];
    bool get = !strcmp(head->method, "GET");

    sockaddr_format_ip(&c->p->address, own);
    if (!c->local || !c->p->open ||
        !proxy_host_is_ours(host, own, sockaddr_port(&c->p->address)))
        answer(c, "421 Misdirected Request", "",
               "tp: this is not the name of this proxy");
    else if (strcmp(path, PAC_PATH) != 0)
        answer(c, "404 Not Found", "", "tp: there is only " PAC_PATH);
    else if (!get && strcmp(head->method, "HEAD") != 0)
        answer(c, "405 Method Not Allowed", "Allow: GET, HEAD\r\n",
               "tp: only GET");
    else
        serve_pac(c, host, get);
}

/* The request line of http1_parse() has no version. */
static bool is_old(const struct proxy_conn *c, size_t len)
{
    static const char old[] = " HTTP/1.0\r\n";
    const uint8_t *head = buf_head(&c->in);
    const uint8_t *end = memchr(head, '\n', len);
    size_t n = end ? (size_t)(end - head) + 1 : 0;

    return n >= strlen(old) &&
           !memcmp(head + n - strlen(old), old, strlen(old));
}

static void forward(struct proxy_conn *c, const struct proxy_request *r,
                    const struct http1_head *head, bool old)
{
    if (!strcmp(head->method, "TRACE")) {
        answer(c, "501 Not Implemented", "", "tp: TRACE is not forwarded");
        return;
    }
    if (proxy_request_rewrite(r, head, old, &c->up) < 0) {
        answer(c, "431 Request Header Fields Too Large", "",
               "tp: the head is too long");
        return;
    }
    c->limit = r->body;
    c->chunked = head->chunked;
    proxy_conn_dial(c, r->host, r->port);
}

static bool may_use(const struct proxy_conn *c, const struct http1_head *head)
{
    return c->trusted || !c->p->password ||
           proxy_authorization_is_right(http1_get(head, "Proxy-Authorization"),
                                        c->p->password);
}

static void take_head(struct proxy_conn *c, const struct http1_head *head,
                      bool old)
{
    struct proxy_request r;
    int rc = proxy_request_parse(&r, head);

    if (rc == -EPROTONOSUPPORT)
        answer(c, "501 Not Implemented", "",
               "tp: http only; use CONNECT for anything else");
    else if (rc < 0)
        answer(c, "400 Bad Request", "", "tp: no target that a proxy knows");
    else if (r.form == PROXY_ORIGIN)
        serve_origin(c, head, r.path);
    else if (!may_use(c, head))
        answer(c, "407 Proxy Authentication Required",
               "Proxy-Authenticate: Basic realm=\"tp\"\r\n",
               "tp: user and password, as tp connect has said them");
    else if (r.form == PROXY_FORWARD)
        forward(c, &r, head, old);
    else
        proxy_conn_dial(c, r.host, r.port);
}

int proxy_http_input(struct proxy_conn *c)
{
    cleanup_free struct http1_head *head = malloc(sizeof(*head));
    int n;

    if (!head)
        return -ENOMEM;
    n = http1_parse(head, HTTP1_REQUEST, buf_head(&c->in), buf_used(&c->in));
    if (n == 0 || n == -ENOMEM)
        return n;
    if (n < 0) {
        answer(c,
               n == -EMSGSIZE ? "431 Request Header Fields Too Large"
                              : "400 Bad Request",
               "", "tp: neither SOCKS 5 nor HTTP");
        return 0;
    }
    {
        bool old = is_old(c, (size_t)n);

        buf_consume(&c->in, (size_t)n);
        take_head(c, head, old);
    }
    http1_release(head);
    return 0;
}
