#include "sftpd/handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sftpd_handle *sftpd_handle_new(struct sftpd_handles *h)
{
    for (size_t i = 0; i < SFTPD_HANDLES_MAX; i++) {
        struct sftpd_handle *handle = &h->list[i];
        uint32_t turn = handle->turn + 1;

        if (handle->used)
            continue;
        *handle = (struct sftpd_handle){.used = true, .turn = turn, .fd = -1};
        return handle;
    }
    return NULL;
}

static void put_be32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

void sftpd_handle_write(const struct sftpd_handles *h,
                        const struct sftpd_handle *handle,
                        uint8_t out[SFTPD_HANDLE_BYTES])
{
    put_be32(out, (uint32_t)(handle - h->list));
    put_be32(out + 4, handle->turn);
}

struct sftpd_handle *sftpd_handle_find(struct sftpd_handles *h,
                                       struct sftp_text text)
{
    struct sftp_reader r;
    uint32_t index, turn;

    sftp_reader_init(&r, text.data, text.len);
    index = sftp_get_u32(&r);
    turn = sftp_get_u32(&r);
    if (!sftp_reader_done(&r) || index >= SFTPD_HANDLES_MAX ||
        !h->list[index].used || h->list[index].turn != turn)
        return NULL;
    return &h->list[index];
}

int sftpd_handle_free(struct sftpd_handle *handle)
{
    int rc = 0;

    if (handle->fd >= 0 && close(handle->fd) < 0)
        rc = -errno;
    if (handle->dir)
        closedir(handle->dir);
    for (size_t i = 0; handle->names && handle->names[i]; i++)
        free(handle->names[i]);
    free(handle->names);
    free(handle->above);
    *handle = (struct sftpd_handle){.turn = handle->turn, .fd = -1};
    return rc;
}

void sftpd_handles_release(struct sftpd_handles *h)
{
    for (size_t i = 0; i < SFTPD_HANDLES_MAX; i++) {
        if (h->list[i].used)
            sftpd_handle_free(&h->list[i]);
    }
}
