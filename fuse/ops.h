/* ops.h - the kernel's requests; one table, in ops.c */
#ifndef TP_FUSE_OPS_H
#define TP_FUSE_OPS_H

#include <errno.h>

#include "fuse/mount.h"
#include "sftp/status.h"

extern const struct fuse_lowlevel_ops mount_ops;

static inline struct mount *mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* An errno for the kernel from what a call ended with. */
static inline int errno_of(int err)
{
    if (err == -ECONNRESET || err == -ETIMEDOUT)
        return EIO;
    return err == SFTP_ERR_EOF ? EIO : -err;
}

/* ops_names.c */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
               fuse_ino_t newparent, const char *newname, unsigned flags);
void op_readlink(fuse_req_t req, fuse_ino_t ino);

/* ops_make.c */
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
              dev_t rdev);
void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
                const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
             const char *newname);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi);

/* ops_open.c */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* ops_attr.c */
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
                struct fuse_file_info *fi);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

#endif
