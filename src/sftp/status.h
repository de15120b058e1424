/* status.h - status codes of SFTP and errno */
#ifndef TP_SFTP_STATUS_H
#define TP_SFTP_STATUS_H

#include <stdint.h>

/* What the end of a file or of a directory becomes. */
#define SFTP_ERR_EOF (-61) /* -ENODATA */

/* 0 for SFTP_OK, else a negative errno; an unknown code is -EIO. FAILURE is
 * -EIO too: SFTP 3 has one number for EEXIST, ENOSPC, ENOTEMPTY and more, and
 * the caller may know better. */
int sftp_status_errno(uint32_t status);

/* The code for a negative errno (or 0). */
uint32_t sftp_errno_status(int err);

#endif
