#include "kube/kubeconfig_url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kube/kubeconfig_internal.h"

void kube_proxy_release(struct kube_proxy *p)
{
    free(p->host);
    if (p->authorization)
        explicit_bzero(p->authorization, strlen(p->authorization));
    free(p->authorization);
    memset(p, 0, sizeof(*p));
}

static int bad(struct tp_error *err)
{
    return tp_error_set(err, -EINVAL, "the proxy's URL is not valid");
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes %41 in place. */
static int unescape(char *text)
{
    char *to = text;

    for (const char *p = text; *p; p++) {
        if (*p == '%') {
            int high = hex_value(p[1]);
            int low = high < 0 ? -1 : hex_value(p[2]);

            if (low < 0 || high * 16 + low == 0)
                return -EINVAL;
            *to++ = (char)(high * 16 + low);
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    return 0;
}

static int set_authorization(struct kube_proxy *p, char *userinfo,
                             struct tp_error *err)
{
    cleanup_free char *plain = NULL, *encoded = NULL;
    char *colon = strchr(userinfo, ':');

    if (colon)
        *colon++ = '\0';
    if (unescape(userinfo) < 0 || (colon && unescape(colon) < 0))
        return bad(err);
    if (asprintf(&plain, "%s:%s", userinfo, colon ? colon : "") < 0) {
        plain = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    encoded = kube_base64_encode(plain);
    explicit_bzero(plain, strlen(plain));
    if (!encoded || asprintf(&p->authorization, "Basic %s", encoded) < 0) {
        p->authorization = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static bool has_port(const char *host)
{
    const char *bracket = strchr(host, ']');

    return strchr(bracket ? bracket : host, ':') != NULL;
}

int kube_proxy_split(const char *url, struct kube_proxy *p,
                     struct tp_error *err)
{
    cleanup_free char *copy = NULL, *server = NULL, *path = NULL;
    const char *rest;
    char *at, *host;

    memset(p, 0, sizeof(*p));
    p->tls = !strncmp(url, "https://", 8);
    if (!p->tls && strncmp(url, "http://", 7) != 0)
        return bad(err);
    rest = url + (p->tls ? 8 : 7);
    copy = strndup(rest, strcspn(rest, "/?#"));
    if (!copy)
        return tp_error_set(err, -ENOMEM, "out of memory");
    host = copy;
    at = strrchr(copy, '@');
    if (at) {
        *at = '\0';
        host = at + 1;
        if (set_authorization(p, copy, err) < 0)
            return -EINVAL;
    }
    if (asprintf(&server, "https://%s", host) < 0) {
        server = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    if (kube_server_split(server, &p->host, &p->port, &path, NULL) < 0)
        return bad(err);
    /* kube_server_split() knows https only. */
    if (!p->tls && !has_port(host))
        p->port = 80;
    return 0;
}
