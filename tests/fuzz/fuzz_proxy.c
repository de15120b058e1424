/* What a program of the host says to the proxy. The first byte chooses: a SOCKS
 * 5 greeting, password, request or datagram, or the head of an HTTP request. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/proxy_request.h"
#include "net/http1.h"
#include "net/socks5.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A whole one is as long as it says, and no shorter one is whole. */
static void check_length(int n, size_t size)
{
    if (n > 0 && (size_t)n > size)
        abort();
}

static void check_target(const struct socks5_target *t)
{
    if (!*t->host || strlen(t->host) >= SOCKS5_TEXT)
        abort();
}

static void check_socks(char which, const uint8_t *data, size_t size)
{
    char user[SOCKS5_TEXT], password[SOCKS5_TEXT];
    struct socks5_target target;
    bool none, with;
    int n;

    switch (which) {
    case 'g':
        check_length(socks5_parse_greeting(data, size, &none, &with), size);
        break;
    case 'p':
        check_length(socks5_parse_password(data, size, user, password), size);
        break;
    case 'r':
        n = socks5_parse_request(data, size, &target);
        check_length(n, size);
        if (n > 0)
            check_target(&target);
        break;
    case 'd':
        n = socks5_parse_datagram(data, size, &target);
        check_length(n, size);
        if (n == 0)
            abort();
        if (n > 0)
            check_target(&target);
        break;
    }
}

/* What is sent on is one head again, and has no line that was for us. */
static void check_rewritten(const struct buf *out)
{
    struct http1_head head;
    int n = http1_parse(&head, HTTP1_REQUEST, buf_head(out), buf_used(out));

    if (n <= 0 || (size_t)n != buf_used(out) ||
        http1_get(&head, "Proxy-Authorization"))
        abort();
    http1_release(&head);
}

static void check_http(const uint8_t *data, size_t size)
{
    struct proxy_request r;
    struct http1_head head;
    struct buf out = {0};

    if (http1_parse(&head, HTTP1_REQUEST, data, size) <= 0)
        return;
    if (proxy_request_parse(&r, &head) == 0 && r.form == PROXY_FORWARD &&
        proxy_request_rewrite(&r, &head, false, &out) == 0)
        check_rewritten(&out);
    buf_release(&out);
    http1_release(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 'h')
        check_http(data + 1, size - 1);
    else
        check_socks((char)data[0], data + 1, size - 1);
    return 0;
}
