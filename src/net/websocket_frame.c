/* websocket_frame.c - heads and masks of frames, RFC 6455 5.2 and 5.3 */
#include "net/websocket_internal.h"

#include <errno.h>
#include <string.h>

void websocket_mask(uint8_t *dst, const uint8_t *src, size_t len,
                    const uint8_t mask[4], uint64_t pos)
{
    uint8_t turned[8];
    uint64_t wide, word;
    size_t i = 0;

    for (size_t k = 0; k < 8; k++)
        turned[k] = mask[(pos + k) & 3];
    memcpy(&wide, turned, 8);
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, src + i, 8);
        word ^= wide;
        memcpy(dst + i, &word, 8);
    }
    for (; i < len; i++)
        dst[i] = src[i] ^ turned[i & 7];
}

size_t websocket_head_make(uint8_t *head, enum websocket_opcode opcode,
                           size_t len, bool masked)
{
    uint8_t bit = masked ? 0x80 : 0;

    head[0] = (uint8_t)(0x80 | opcode);
    if (len <= WEBSOCKET_CONTROL_MAX) {
        head[1] = (uint8_t)(bit | len);
        return 2;
    }
    if (len <= 0xffff) {
        head[1] = bit | 126;
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
        return 4;
    }
    head[1] = bit | 127;
    for (int i = 0; i < 8; i++)
        head[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
    return 10;
}

size_t websocket_head_size(const uint8_t *bytes)
{
    uint8_t len = bytes[1] & 0x7f;
    size_t n = len == 127 ? 10 : len == 126 ? 4 : 2;

    return bytes[1] & 0x80 ? n + 4 : n;
}

int websocket_head_parse(struct websocket_head *head, const uint8_t *bytes)
{
    uint8_t len = bytes[1] & 0x7f;
    size_t ext = len == 127 ? 8 : len == 126 ? 2 : 0;

    memset(head, 0, sizeof(*head));
    head->opcode = bytes[0] & 0x0f;
    head->is_final = bytes[0] & 0x80;
    head->is_masked = bytes[1] & 0x80;
    head->len = ext ? 0 : len;
    for (size_t i = 0; i < ext; i++)
        head->len = head->len << 8 | bytes[2 + i];
    if (bytes[0] & 0x70 || head->len >> 63)
        return -EBADMSG;
    if ((ext == 2 && head->len < 126) || (ext == 8 && head->len <= 0xffff))
        return -EBADMSG; /* 5.2: the shortest form must be used */
    if (head->is_masked)
        memcpy(head->mask, bytes + 2 + ext, sizeof(head->mask));
    return 0;
}
