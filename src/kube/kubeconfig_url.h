/* kubeconfig_url.h - the parts of a proxy's URL */
#ifndef TP_KUBE_KUBECONFIG_URL_H
#define TP_KUBE_KUBECONFIG_URL_H

#include <stdbool.h>

#include "base/error.h"

struct kube_proxy {
    char *host;
    unsigned short port; /* 80 resp. 443 where none is given */
    bool tls;
    char *authorization; /* "Basic ..." or NULL */
};

/* "http[s]://[user[:password]@]host[:port][/]"; percent-encoding in user and
 * password is undone. 0 or -EINVAL with err filled (without the URL: it may
 * hold a password). p must be released in both cases. */
int kube_proxy_split(const char *url, struct kube_proxy *p,
                     struct tp_error *err);
void kube_proxy_release(struct kube_proxy *p);

#endif
