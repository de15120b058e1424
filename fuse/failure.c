#include <errno.h>
#include <string.h>

#include "fuse/memory.h"
#include "fuse/mount.h"

struct explain {
    struct mount *m;
    int err;
    attributes_cb *cb;
    void *arg;
};

static void explain_done(struct explain *x, int err)
{
    x->cb(x->arg, err);
    free(x);
}

static void space_cb(void *arg, const struct reply *reply)
{
    struct explain *x = arg;
    struct sftp_reader body = reply->body;
    struct sftp_statvfs st;

    if (reply->err == 0 && sftp_decode_statvfs(&body, &st) == 0 &&
        (st.bavail == 0 || (st.files > 0 && st.ffree == 0)))
        explain_done(x, -ENOSPC);
    else
        explain_done(x, x->err);
}

static void ask_space(struct explain *x)
{
    struct conn_call_args call = {
        .request = {.type = SFTP_EXTENDED, .extension = SFTP_HAS_STATVFS},
        .expect = SFTP_EXTENDED_REPLY,
        .flags = CONN_REPEAT,
        .cb = space_cb,
        .arg = x};

    if (!mount_has(x->m, SFTP_HAS_STATVFS)) {
        explain_done(x, x->err);
        return;
    }
    call.request.path = text_of(x->m->base);
    conn_call(x->m->conns[META], &call);
}

static void exists_cb(void *arg, const struct reply *reply)
{
    struct explain *x = arg;

    if (reply->err == 0)
        explain_done(x, -EEXIST);
    else
        ask_space(x);
}

void failure_explain(struct mount *m, const char *path, bool exists, int err,
                     attributes_cb *cb, void *arg)
{
    struct explain *x = mem_alloc(sizeof(*x));
    struct conn_call_args call = {.request = {.type = SFTP_LSTAT},
                                  .expect = SFTP_ATTRS,
                                  .flags = CONN_REPEAT,
                                  .cb = exists_cb,
                                  .arg = x};

    x->m = m;
    x->err = err;
    x->cb = cb;
    x->arg = arg;
    if (!exists) {
        ask_space(x);
        return;
    }
    call.request.path = text_of(path);
    conn_call(m->conns[META], &call);
}
