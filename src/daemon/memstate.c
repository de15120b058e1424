#include "daemon/memstate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"

#define MAGIC     "TPST"
#define HEAD_SIZE 8
#define TEXT_MAX  (1024 * 1024)

int memstate_inherit(void)
{
    const char *text = getenv("TP_STATE_FD");
    int fd = text ? atoi(text) : -1;
    struct stat st;

    unsetenv("TP_STATE_FD");
    if (fd < 3 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size < HEAD_SIZE + TEXT_MAX)
        return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

static int write_all(int fd, const void *data, size_t len, off_t at)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, at);

        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_head(int fd, size_t len)
{
    uint8_t head[HEAD_SIZE] = MAGIC;
    uint32_t be = htonl((uint32_t)len);

    memcpy(head + 4, &be, sizeof(be));
    return write_all(fd, head, sizeof(head), 0);
}

static size_t read_head(int fd)
{
    uint8_t head[HEAD_SIZE];
    uint32_t be;

    if (pread(fd, head, sizeof(head), 0) != sizeof(head) ||
        memcmp(head, MAGIC, 4) != 0)
        return 0;
    memcpy(&be, head + 4, sizeof(be));
    return ntohl(be) <= TEXT_MAX ? ntohl(be) : 0;
}

/* Old secrets do not stay behind. */
static void wipe(int fd)
{
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HEAD_SIZE,
              TEXT_MAX);
}

int memstate_save(int fd, struct json_object *obj, struct tp_error *err)
{
    const char *text =
        obj ? json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN) : "";
    size_t len = strlen(text);
    int rc;

    if (fd < 0)
        return 0;
    if (len > TEXT_MAX)
        return tp_error_set(err, -E2BIG, "the session is too large to keep");
    rc = write_head(fd, 0);
    if (rc == 0) {
        wipe(fd);
        rc = write_all(fd, text, len, HEAD_SIZE);
    }
    if (rc == 0)
        rc = write_head(fd, len);
    return rc < 0 ? tp_error_errno(err, rc, "memory file") : 0;
}

struct json_object *memstate_load(int fd)
{
    size_t len = fd < 0 ? 0 : read_head(fd);
    cleanup_free char *text = len ? malloc(len) : NULL;
    struct tp_error err;
    struct json_object *obj;

    if (!text)
        return NULL;
    if (pread(fd, text, len, HEAD_SIZE) != (ssize_t)len)
        return NULL;
    obj = json_parse_text(text, len, &err);
    if (!obj)
        log_warn("the kept session cannot be read: %s", err.text);
    return obj;
}
