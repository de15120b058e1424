/* fuzz_execcredential.c - what a credential plugin prints */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kube/exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kube_credentials c;
    struct tp_error err = {0};

    if (kube_exec_parse((const char *)data, len,
                        "client.authentication.k8s.io/v1", &c, &err) == 0) {
        if (!c.token && !(c.cert_pem && c.key_pem))
            abort();
        if (c.token && strpbrk(c.token, "\r\n"))
            abort(); /* it would break a header */
    }
    kube_credentials_release(&c);
    return 0;
}
