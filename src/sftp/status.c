#include "sftp/status.h"

#include <assert.h>
#include <errno.h>

#include "sftp/sftp.h"

static_assert(SFTP_ERR_EOF == -ENODATA, "the end of a file is ENODATA");

int sftp_status_errno(uint32_t status)
{
    switch (status) {
    case SFTP_OK:
        return 0;
    case SFTP_EOF:
        return SFTP_ERR_EOF;
    case SFTP_NO_SUCH_FILE:
        return -ENOENT;
    case SFTP_PERMISSION_DENIED:
        return -EACCES;
    case SFTP_BAD_MESSAGE:
        return -EINVAL;
    case SFTP_OP_UNSUPPORTED:
        return -EOPNOTSUPP;
    default:
        return -EIO;
    }
}

uint32_t sftp_errno_status(int err)
{
    switch (-err) {
    case 0:
        return SFTP_OK;
    case ENODATA:
        return SFTP_EOF;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
        return SFTP_NO_SUCH_FILE;
    case EPERM:
    case EACCES:
    case EXDEV: /* openat2(2): the path leaves the export */
    case EROFS:
        return SFTP_PERMISSION_DENIED;
    case ENAMETOOLONG:
    case EBADF:
    case EINVAL:
        return SFTP_BAD_MESSAGE;
    case ENOSYS:
    case EOPNOTSUPP:
        return SFTP_OP_UNSUPPORTED;
    default:
        return SFTP_FAILURE;
    }
}
