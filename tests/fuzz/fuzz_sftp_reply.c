/* SFTP replies as a client reads them: the first byte is the packet's type. */
#include <stdlib.h>

#include "sftp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_names(struct sftp_reader *r)
{
    struct sftp_name name;
    uint32_t left;

    if (sftp_decode_names(r, &left) < 0)
        return;
    while (sftp_next_name(r, &left, &name) > 0)
        if (sftp_name_is_entry(name.name) &&
            (name.name.len == 0 || name.name.len > 255))
            abort();
}

static void read_body(uint8_t type, struct sftp_reader *r)
{
    struct sftp_reply_status status;
    struct sftp_statvfs st;
    struct sftp_attrs attrs;
    struct sftp_text text;
    uint32_t bits;

    switch (type) {
    case SFTP_VERSION_REPLY:
        (void)sftp_decode_version(r, &bits);
        break;
    case SFTP_STATUS:
        (void)sftp_decode_status(r, &status);
        break;
    case SFTP_HANDLE:
        if (sftp_decode_handle(r, &text) == 0 && text.len > SFTP_HANDLE_MAX)
            abort();
        break;
    case SFTP_DATA:
        (void)sftp_decode_data(r, &text);
        break;
    case SFTP_NAME:
        read_names(r);
        break;
    case SFTP_ATTRS:
        (void)sftp_decode_attrs(r, &attrs);
        break;
    case SFTP_EXTENDED_REPLY:
        (void)sftp_decode_statvfs(r, &st);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sftp_reader r;

    if (size == 0)
        return 0;
    sftp_reader_init(&r, data + 1, size - 1);
    read_body(data[0], &r);
    if (r.at > r.end)
        abort();
    return 0;
}
