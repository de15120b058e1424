/* fuzz_frames.c - Docker's framing; any cut must give the same bytes */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "engine/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct sum {
    uint64_t bytes, hash;
};

static int sum_cb(void *arg, unsigned stream, const uint8_t *data, size_t len)
{
    struct sum *s = arg;

    for (size_t i = 0; i < len; i++)
        s->hash = (s->hash ^ data[i] ^ (stream << 8)) * 1099511628211ULL;
    s->bytes += len;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct engine_frames whole = {0}, cut = {0};
    struct sum a = {0}, b = {0};
    int rc = engine_frames_feed(&whole, data, len, sum_cb, &a), rc2 = 0;

    for (size_t i = 0; i < len && rc2 == 0; i++)
        rc2 = engine_frames_feed(&cut, data + i, 1, sum_cb, &b);
    if (rc != rc2 || a.bytes != b.bytes || a.hash != b.hash)
        abort();
    return 0;
}
