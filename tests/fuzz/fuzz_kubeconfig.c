/* fuzz_kubeconfig.c - kubeconfigs; no file is read (dir NULL) */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "kube/kubeconfig.h"
#include "kube/kubeconfig_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kube_select sel = {0};
    struct kube_context ctx;
    struct tp_error err = {0};

    unsetenv("HTTPS_PROXY");
    if (kube_context_parse(&ctx, &sel, (const char *)data, len, NULL, &err) <
        0) {
        if (!err.text[0] || err.code >= 0)
            abort(); /* a failure must say something */
    } else if (ctx.endpoint.proxy_url && *ctx.endpoint.proxy_url) {
        struct kube_proxy proxy;

        kube_proxy_split(ctx.endpoint.proxy_url, &proxy, &err);
        kube_proxy_release(&proxy);
    }
    kube_context_release(&ctx);
    return 0;
}
