/* Fuzz target: heads of HTTP/1.1 messages and chunked bodies. */
#include <stdlib.h>
#include <string.h>

#include "net/dial_internal.h"
#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(enum http1_kind kind, const uint8_t *data, size_t size)
{
    struct http1_head head;
    int rc = http1_parse(&head, kind, data, size);

    if (rc <= 0)
        return;
    if ((size_t)rc > size || memcmp(data + rc - 4, "\r\n\r\n", 4) != 0)
        abort();
    /* The same bytes without the last one are no head. */
    struct http1_head shorter;
    if (http1_parse(&shorter, kind, data, (size_t)rc - 1) != 0)
        abort();
    for (size_t i = 0; i < head.count; i++) {
        if (strpbrk(head.headers[i].name, "\r\n: ") ||
            strpbrk(head.headers[i].value, "\r\n") ||
            http1_count(&head, head.headers[i].name) == 0)
            abort();
    }
    if (head.chunked && head.content_length >= 0)
        abort();
    (void)http1_has_token(&head, "Connection", "upgrade");
    http1_release(&head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[64];
    size_t used = 0;

    parse(HTTP1_REQUEST, data, size);
    parse(HTTP1_RESPONSE, data, size);
    (void)dial_decode_chunks((const char *)data, size, out, sizeof(out), &used);
    if (used > sizeof(out))
        abort();
    return 0;
}
