#include "kube/kubeconfig_url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "kube/kubeconfig.h"

void kube_proxy_release(struct kube_proxy *p)
{
    free(p->host);
    secret_free(p->authorization);
    memset(p, 0, sizeof(*p));
}

static int bad(struct tp_error *err)
{
    return tp_error_set(err, -EINVAL, "the proxy's URL is not valid");
}

/* Undoes %41 in place. */
static int unescape(char *text)
{
    size_t len = strlen(text);

    return percent_decode(text, len + 1, text, len);
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
    encoded = base64_encode(plain, strlen(plain));
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
