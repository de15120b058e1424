#include "sftp/request.h"

#include <errno.h>
#include <string.h>

/* What a request consists of behind its id, in this order. */
enum {
    PATH = 0x01,
    TARGET = 0x02,
    HANDLE = 0x04,
    FLAGS = 0x08,
    OFFSET = 0x10,
    COUNT = 0x20,
    DATA = 0x40,
    ATTRS = 0x80,
    KNOWN = 0x100,
};

static const uint16_t members[] = {
    [SFTP_OPEN] = KNOWN | PATH | FLAGS | ATTRS,
    [SFTP_CLOSE] = KNOWN | HANDLE,
    [SFTP_READ] = KNOWN | HANDLE | OFFSET | COUNT,
    [SFTP_WRITE] = KNOWN | HANDLE | OFFSET | DATA,
    [SFTP_LSTAT] = KNOWN | PATH,
    [SFTP_FSTAT] = KNOWN | HANDLE,
    [SFTP_SETSTAT] = KNOWN | PATH | ATTRS,
    [SFTP_FSETSTAT] = KNOWN | HANDLE | ATTRS,
    [SFTP_OPENDIR] = KNOWN | PATH,
    [SFTP_READDIR] = KNOWN | HANDLE,
    [SFTP_REMOVE] = KNOWN | PATH,
    [SFTP_MKDIR] = KNOWN | PATH | ATTRS,
    [SFTP_RMDIR] = KNOWN | PATH,
    [SFTP_REALPATH] = KNOWN | PATH,
    [SFTP_STAT] = KNOWN | PATH,
    [SFTP_RENAME] = KNOWN | PATH | TARGET,
    [SFTP_READLINK] = KNOWN | PATH,
    [SFTP_SYMLINK] = KNOWN | PATH | TARGET,
};

static const struct {
    const char *name;
    uint32_t bit;
    uint16_t members;
} extensions[] = {
    {SFTP_EXT_POSIX_RENAME, SFTP_HAS_POSIX_RENAME, PATH | TARGET},
    {SFTP_EXT_STATVFS, SFTP_HAS_STATVFS, PATH},
    {SFTP_EXT_HARDLINK, SFTP_HAS_HARDLINK, PATH | TARGET},
    {SFTP_EXT_FSYNC, SFTP_HAS_FSYNC, HANDLE},
    {SFTP_EXT_LSETSTAT, SFTP_HAS_LSETSTAT, PATH | ATTRS},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static unsigned members_of(enum sftp_type type)
{
    return (size_t)type < COUNT_OF(members) ? members[type] : 0;
}

static void put_text(struct sftp_writer *w, struct sftp_text text)
{
    sftp_put_text(w, text.data, text.len);
}

static void put_members(struct sftp_writer *w, const struct sftp_request *q,
                        unsigned set)
{
    /* OpenSSH has SYMLINK's arguments the other way round than the draft, and
     * everybody follows it: what the link says comes first. */
    bool swapped = q->type == SFTP_SYMLINK;

    if (set & PATH)
        put_text(w, swapped ? q->target : q->path);
    if (set & TARGET)
        put_text(w, swapped ? q->path : q->target);
    if (set & HANDLE)
        put_text(w, q->handle);
    if (set & FLAGS)
        sftp_put_u32(w, q->flags);
    if (set & OFFSET)
        sftp_put_u64(w, q->offset);
    if (set & COUNT)
        sftp_put_u32(w, q->count);
    if (set & DATA)
        sftp_put_u32(w, q->data.len);
    if (set & ATTRS)
        sftp_put_attrs(w, &q->attrs);
}

int sftp_encode_request(struct sftp_writer *w, const struct sftp_request *q)
{
    unsigned set = members_of(q->type);

    sftp_begin(w, q->type);
    sftp_put_u32(w, q->id);
    if (q->type == SFTP_EXTENDED) {
        for (size_t i = 0; i < COUNT_OF(extensions); i++) {
            if (extensions[i].bit != q->extension)
                continue;
            sftp_put_string(w, extensions[i].name);
            set = extensions[i].members;
        }
    }
    put_members(w, q, set);
    return sftp_finish(w, set & DATA ? q->data.len : 0);
}

int sftp_encode_init(struct sftp_writer *w)
{
    sftp_begin(w, SFTP_INIT);
    sftp_put_u32(w, SFTP_VERSION);
    return sftp_finish(w, 0);
}

/* Paths of the system end at a NUL: another file than was named. */
static struct sftp_text get_path(struct sftp_reader *r)
{
    struct sftp_text text = sftp_get_text(r);

    if (text.len > SFTP_PATH_BYTES || memchr(text.data, '\0', text.len))
        r->failed = true;
    return text;
}

static void get_members(struct sftp_request *q, struct sftp_reader *r,
                        unsigned set)
{
    if (set & PATH)
        q->path = get_path(r);
    if (set & TARGET)
        q->target = get_path(r);
    if (q->type == SFTP_SYMLINK) {
        struct sftp_text says = q->path;

        q->path = q->target;
        q->target = says;
    }
    if (set & HANDLE)
        q->handle = sftp_get_text(r);
    if (set & FLAGS)
        q->flags = sftp_get_u32(r);
    if (set & OFFSET)
        q->offset = sftp_get_u64(r);
    if (set & COUNT)
        q->count = sftp_get_u32(r);
    if (set & DATA)
        q->data = sftp_get_text(r);
    if (set & ATTRS)
        sftp_get_attrs(r, &q->attrs);
}

static unsigned get_extension(struct sftp_request *q, struct sftp_reader *r)
{
    struct sftp_text name = sftp_get_text(r);

    for (size_t i = 0; i < COUNT_OF(extensions); i++) {
        if (name.len != strlen(extensions[i].name) ||
            memcmp(name.data, extensions[i].name, name.len) != 0)
            continue;
        q->extension = extensions[i].bit;
        return KNOWN | extensions[i].members;
    }
    return 0;
}

int sftp_decode_request(struct sftp_request *q, const void *data, size_t len)
{
    static const struct sftp_text none = {"", 0};
    struct sftp_reader r;
    unsigned set;

    memset(q, 0, sizeof(*q));
    q->path = q->target = q->handle = q->data = none;
    sftp_reader_init(&r, data, len);
    q->type = (enum sftp_type)sftp_get_u8(&r);
    q->id = sftp_get_u32(&r);
    set = q->type == SFTP_EXTENDED ? get_extension(q, &r) : members_of(q->type);
    if (r.failed)
        return -EBADMSG;
    if (!(set & KNOWN))
        return -EOPNOTSUPP;
    get_members(q, &r, set);
    if ((set & HANDLE) &&
        (q->handle.len == 0 || q->handle.len > SFTP_HANDLE_MAX))
        return -EBADMSG;
    return sftp_reader_done(&r) ? 0 : -EBADMSG;
}

int sftp_decode_init(const void *data, size_t len, uint32_t *version)
{
    struct sftp_reader r;

    sftp_reader_init(&r, data, len);
    if (sftp_get_u8(&r) != SFTP_INIT)
        return -EBADMSG;
    *version = sftp_get_u32(&r);
    return r.failed ? -EBADMSG : 0; /* pairs of extensions may follow */
}
