/* Fuzzes src/tunnel/capsule.c: whatever the pieces are, the datagrams are the
 * same, and none is longer than UDP allows. */
#include <stdlib.h>

#include "tunnel/capsule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
    size_t n, bytes;
};

static int datagram_cb(void *arg, const void *data, size_t len)
{
    struct sum *sum = arg;

    if (len > CAPSULE_PAYLOAD_MAX)
        abort();
    for (size_t i = 0; i < len; i++)
        sum->bytes = sum->bytes * 31 + ((const uint8_t *)data)[i];
    sum->n++;
    return 0;
}

static struct sum read_in(const uint8_t *data, size_t size, size_t piece)
{
    struct capsule_reader r;
    struct sum sum = {0};

    capsule_reader_init(&r);
    for (size_t at = 0; at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;

        if (capsule_read(&r, data + at, len, datagram_cb, &sum) != 0)
            abort();
    }
    capsule_reader_release(&r);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum whole = read_in(data, size, size + 1);
    struct sum bytes = read_in(data, size, 1);
    struct sum some = read_in(data, size, 5);

    if (whole.n != bytes.n || whole.bytes != bytes.bytes || whole.n != some.n ||
        whole.bytes != some.bytes)
        abort();
    return 0;
}
