/* SFTP requests as a server reads them; what was understood is encoded again
 * and must be understood the same. */
#include <stdlib.h>
#include <string.h>

#include "sftp/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[SFTP_PACKET_MAX + 64];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sftp_request q, second;
    struct sftp_writer w;
    uint32_t version;

    (void)sftp_decode_init(data, size, &version);
    if (size > SFTP_PACKET_MAX || sftp_decode_request(&q, data, size) < 0)
        return 0;
    q.attrs.flags &= ~SFTP_ATTR_EXTENDED; /* pairs are not kept */
    sftp_writer_init(&w, again, sizeof(again));
    if (sftp_encode_request(&w, &q) < 0)
        return 0;
    if (q.type == SFTP_WRITE) {
        memcpy(again + w.len, q.data.data, q.data.len);
        w.len += q.data.len;
    }
    if (sftp_decode_request(&second, again + 4, w.len - 4) < 0 ||
        second.type != q.type || second.path.len != q.path.len ||
        second.target.len != q.target.len || second.offset != q.offset)
        abort();
    return 0;
}
