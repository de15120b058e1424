#include "engine/frames.h"

#include <errno.h>
#include <string.h>

static int parse_header(struct engine_frames *f)
{
    const uint8_t *h = f->header;

    if (h[0] > 2 || h[1] || h[2] || h[3])
        return -EBADMSG;
    f->left = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 |
              (uint32_t)h[6] << 8 | h[7];
    if (f->left == 0)
        f->have = 0;
    return 0;
}

int engine_frames_feed(struct engine_frames *f, const uint8_t *data, size_t len,
                       engine_frame_cb *cb, void *arg)
{
    while (len > 0) {
        size_t n;
        int rc;

        if (f->left == 0) {
            n = sizeof(f->header) - f->have;
            n = n < len ? n : len;
            memcpy(f->header + f->have, data, n);
            f->have += (unsigned)n;
            rc = f->have == sizeof(f->header) ? parse_header(f) : 0;
        } else {
            n = f->left < len ? f->left : len;
            rc = cb(arg, f->header[0], data, n);
            f->left -= (uint32_t)n;
            if (f->left == 0)
                f->have = 0;
        }
        if (rc < 0)
            return rc;
        data += n;
        len -= n;
    }
    return 0;
}
