#include "sftp/reply.h"

#include <errno.h>
#include <string.h>

#define NAME_BYTES 255 /* NAME_MAX */

/* Names and versions of the extensions, one row each. */
static const struct {
    const char *name, *version;
    uint32_t bit;
} extension_names[] = {
    {SFTP_EXT_POSIX_RENAME, "1", SFTP_HAS_POSIX_RENAME},
    {SFTP_EXT_STATVFS, "2", SFTP_HAS_STATVFS},
    {SFTP_EXT_HARDLINK, "1", SFTP_HAS_HARDLINK},
    {SFTP_EXT_FSYNC, "1", SFTP_HAS_FSYNC},
    {SFTP_EXT_LSETSTAT, "1", SFTP_HAS_LSETSTAT},
};

#define N_EXTENSIONS (sizeof(extension_names) / sizeof(extension_names[0]))

static int done(const struct sftp_reader *r)
{
    return sftp_reader_done(r) ? 0 : -EBADMSG;
}

static bool is_text(struct sftp_text text, const char *want)
{
    return text.len == strlen(want) && !memcmp(text.data, want, text.len);
}

int sftp_decode_status(struct sftp_reader *r, struct sftp_reply_status *out)
{
    out->code = sftp_get_u32(r);
    out->message = (struct sftp_text){"", 0};
    if (!r->failed && sftp_reader_left(r) == 0)
        return 0;
    out->message = sftp_get_text(r);
    if (!r->failed && sftp_reader_left(r) == 0)
        return 0;
    sftp_get_text(r);
    return done(r);
}

int sftp_decode_handle(struct sftp_reader *r, struct sftp_text *out)
{
    *out = sftp_get_text(r);
    if (out->len == 0 || out->len > SFTP_HANDLE_MAX)
        return -EBADMSG;
    return done(r);
}

int sftp_decode_data(struct sftp_reader *r, struct sftp_text *out)
{
    *out = sftp_get_text(r);
    return done(r);
}

int sftp_decode_attrs(struct sftp_reader *r, struct sftp_attrs *out)
{
    sftp_get_attrs(r, out);
    return done(r);
}

int sftp_decode_statvfs(struct sftp_reader *r, struct sftp_statvfs *out)
{
    uint64_t *const members[] = {&out->bsize, &out->frsize, &out->blocks,
                                 &out->bfree, &out->bavail, &out->files,
                                 &out->ffree, &out->favail, &out->fsid,
                                 &out->flag,  &out->namemax};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        *members[i] = sftp_get_u64(r);
    return done(r);
}

int sftp_decode_version(struct sftp_reader *r, uint32_t *extensions)
{
    uint32_t version = sftp_get_u32(r);

    *extensions = 0;
    while (!r->failed && sftp_reader_left(r) > 0) {
        struct sftp_text name = sftp_get_text(r), data = sftp_get_text(r);

        for (size_t i = 0; i < N_EXTENSIONS; i++)
            if (is_text(name, extension_names[i].name) &&
                is_text(data, extension_names[i].version))
                *extensions |= extension_names[i].bit;
    }
    if (r->failed)
        return -EBADMSG;
    return version < SFTP_VERSION ? -EPROTONOSUPPORT : 0;
}

int sftp_decode_names(struct sftp_reader *r, uint32_t *count)
{
    *count = sftp_get_u32(r);
    return r->failed ? -EBADMSG : 0;
}

int sftp_next_name(struct sftp_reader *r, uint32_t *left, struct sftp_name *out)
{
    if (*left == 0)
        return sftp_reader_left(r) == 0 ? 0 : -EBADMSG;
    --*left;
    out->name = sftp_get_text(r);
    out->longname = sftp_get_text(r);
    sftp_get_attrs(r, &out->attrs);
    return r->failed ? -EBADMSG : 1;
}

bool sftp_name_is_entry(struct sftp_text name)
{
    if (name.len == 0 || name.len > NAME_BYTES)
        return false;
    if (is_text(name, ".") || is_text(name, ".."))
        return false;
    return !memchr(name.data, '/', name.len) &&
           !memchr(name.data, '\0', name.len);
}

static void begin_reply(struct sftp_writer *w, enum sftp_type type, uint32_t id)
{
    sftp_begin(w, type);
    sftp_put_u32(w, id);
}

int sftp_encode_version(struct sftp_writer *w, uint32_t extensions)
{
    sftp_begin(w, SFTP_VERSION_REPLY);
    sftp_put_u32(w, SFTP_VERSION);
    for (size_t i = 0; i < N_EXTENSIONS; i++) {
        if (!(extensions & extension_names[i].bit))
            continue;
        sftp_put_string(w, extension_names[i].name);
        sftp_put_string(w, extension_names[i].version);
    }
    return sftp_finish(w, 0);
}

int sftp_encode_status(struct sftp_writer *w, uint32_t id, uint32_t code,
                       const char *message)
{
    begin_reply(w, SFTP_STATUS, id);
    sftp_put_u32(w, code);
    sftp_put_string(w, message);
    sftp_put_string(w, ""); /* the message's language */
    return sftp_finish(w, 0);
}

int sftp_encode_handle(struct sftp_writer *w, uint32_t id, const void *handle,
                       size_t len)
{
    begin_reply(w, SFTP_HANDLE, id);
    sftp_put_text(w, handle, len);
    return sftp_finish(w, 0);
}

int sftp_encode_data(struct sftp_writer *w, uint32_t id, size_t len)
{
    begin_reply(w, SFTP_DATA, id);
    sftp_put_u32(w, (uint32_t)len);
    return sftp_finish(w, len);
}

int sftp_encode_attrs(struct sftp_writer *w, uint32_t id,
                      const struct sftp_attrs *attrs)
{
    begin_reply(w, SFTP_ATTRS, id);
    sftp_put_attrs(w, attrs);
    return sftp_finish(w, 0);
}

int sftp_encode_statvfs(struct sftp_writer *w, uint32_t id,
                        const struct sftp_statvfs *st)
{
    const uint64_t members[] = {st->bsize,  st->frsize, st->blocks, st->bfree,
                                st->bavail, st->files,  st->ffree,  st->favail,
                                st->fsid,   st->flag,   st->namemax};

    begin_reply(w, SFTP_EXTENDED_REPLY, id);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        sftp_put_u64(w, members[i]);
    return sftp_finish(w, 0);
}

void sftp_begin_names(struct sftp_writer *w, uint32_t id, size_t *mark)
{
    begin_reply(w, SFTP_NAME, id);
    *mark = w->len;
    sftp_put_u32(w, 0);
}

int sftp_add_name(struct sftp_writer *w, const char *name, const char *longname,
                  const struct sftp_attrs *attrs)
{
    size_t before = w->len;

    sftp_put_string(w, name);
    sftp_put_string(w, longname);
    sftp_put_attrs(w, attrs);
    if (!w->failed)
        return 0;
    w->len = before;
    w->failed = false;
    return -ENOBUFS;
}

int sftp_end_names(struct sftp_writer *w, size_t mark, uint32_t count)
{
    struct sftp_writer at = *w;

    at.len = mark;
    sftp_put_u32(&at, count);
    return sftp_finish(w, 0);
}
