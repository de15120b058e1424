#include "daemon/dns_translate.h"

#include <errno.h>
#include <string.h>

#include "daemon/dns_record.h"

#define KEY_V4_HINT 4
#define KEY_V6_HINT 6

/* One address of 4 or 16 bytes. */
static int translate_one(const struct vnat *v, uint8_t *bytes, size_t width)
{
    union sockaddr_any addr;

    sockaddr_from_bytes(&addr, width == 16 ? AF_INET6 : AF_INET, bytes);
    if (!vnat_to_virtual(v, &addr))
        return 0;
    memcpy(bytes, sockaddr_bytes(&addr), width);
    return 1;
}

static int translate_hints(const struct vnat *v, uint8_t *data, size_t len,
                           size_t width)
{
    int n = 0;

    if (len % width)
        return -EBADMSG;
    for (size_t i = 0; i < len; i += width)
        n += translate_one(v, data + i, width);
    return n;
}

/* Priority, target, then parameters: key, length, value. */
static int translate_service(const struct vnat *v, uint8_t *msg,
                             const struct dns_record *rec)
{
    size_t end = rec->data + rec->len, at;
    int n = 0, rc = dns_name_skip(msg, end, rec->data + 2);

    if (rc < 0)
        return -EBADMSG;
    for (at = (size_t)rc; at < end;) {
        uint16_t key, len;

        if (end - at < 4)
            return -EBADMSG;
        key = dns_get16(msg + at);
        len = dns_get16(msg + at + 2);
        at += 4;
        if (len > end - at)
            return -EBADMSG;
        rc = 0;
        if (key == KEY_V4_HINT || key == KEY_V6_HINT)
            rc = translate_hints(v, msg + at, len, key == KEY_V4_HINT ? 4 : 16);
        if (rc < 0)
            return rc;
        n += rc;
        at += len;
    }
    return n;
}

static int translate_record(const struct vnat *v, uint8_t *msg,
                            const struct dns_record *rec)
{
    if (rec->class != DNS_CLASS_IN)
        return 0;
    switch (rec->type) {
    case DNS_TYPE_A:
        return rec->len == 4 ? translate_one(v, msg + rec->data, 4) : -EBADMSG;
    case DNS_TYPE_AAAA:
        return rec->len == 16 ? translate_one(v, msg + rec->data, 16)
                              : -EBADMSG;
    case DNS_TYPE_SVCB:
    case DNS_TYPE_HTTPS:
        return translate_service(v, msg, rec);
    default:
        return 0;
    }
}

int dns_translate(const struct vnat *v, uint8_t *msg, size_t len)
{
    struct dns_reader r;
    struct dns_record rec;
    int n = 0, rc;

    if (v->n == 0)
        return 0;
    rc = dns_reader_init(&r, msg, len);
    if (rc < 0)
        return rc;
    while ((rc = dns_reader_next(&r, &rec)) == 1) {
        rc = translate_record(v, msg, &rec);
        if (rc < 0)
            return rc;
        n += rc;
    }
    if (rc < 0)
        return rc;
    if (n > 0)
        msg[3] &= (uint8_t)~DNS_AD;
    return n;
}
