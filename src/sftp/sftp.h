/*
 * sftp.h - SFTP version 3: numbers, attributes and limits
 *
 * draft-ietf-secsh-filexfer-02; the extensions are those of OpenSSH's PROTOCOL
 * file, section 4.
 */
#ifndef TP_SFTP_SFTP_H
#define TP_SFTP_SFTP_H

#include <stddef.h>
#include <stdint.h>

#define SFTP_VERSION 3

/* Section 3: the length field's bytes, the shortest packet (type, id), and the
 * longest that we send or take: data and its heading. */
#define SFTP_LENGTH_BYTES 4
#define SFTP_PACKET_MAX   (256 * 1024 + 1024)
#define SFTP_HANDLE_MAX   256
#define SFTP_PATH_BYTES   4096

enum sftp_type {
    SFTP_INIT = 1,
    SFTP_VERSION_REPLY = 2,
    SFTP_OPEN = 3,
    SFTP_CLOSE = 4,
    SFTP_READ = 5,
    SFTP_WRITE = 6,
    SFTP_LSTAT = 7,
    SFTP_FSTAT = 8,
    SFTP_SETSTAT = 9,
    SFTP_FSETSTAT = 10,
    SFTP_OPENDIR = 11,
    SFTP_READDIR = 12,
    SFTP_REMOVE = 13,
    SFTP_MKDIR = 14,
    SFTP_RMDIR = 15,
    SFTP_REALPATH = 16,
    SFTP_STAT = 17,
    SFTP_RENAME = 18,
    SFTP_READLINK = 19,
    SFTP_SYMLINK = 20,
    SFTP_STATUS = 101,
    SFTP_HANDLE = 102,
    SFTP_DATA = 103,
    SFTP_NAME = 104,
    SFTP_ATTRS = 105,
    SFTP_EXTENDED = 200,
    SFTP_EXTENDED_REPLY = 201,
};

/* Section 7. */
enum sftp_status {
    SFTP_OK = 0,
    SFTP_EOF = 1,
    SFTP_NO_SUCH_FILE = 2,
    SFTP_PERMISSION_DENIED = 3,
    SFTP_FAILURE = 4,
    SFTP_BAD_MESSAGE = 5,
    SFTP_NO_CONNECTION = 6,
    SFTP_CONNECTION_LOST = 7,
    SFTP_OP_UNSUPPORTED = 8,
};

/* Section 6.3. */
enum sftp_open_flag {
    SFTP_FLAG_READ = 0x01,
    SFTP_FLAG_WRITE = 0x02,
    SFTP_FLAG_APPEND = 0x04,
    SFTP_FLAG_CREAT = 0x08,
    SFTP_FLAG_TRUNC = 0x10,
    SFTP_FLAG_EXCL = 0x20,
};

/* Section 5: which members of struct sftp_attrs are there. */
#define SFTP_ATTR_SIZE        0x00000001u
#define SFTP_ATTR_UIDGID      0x00000002u
#define SFTP_ATTR_PERMISSIONS 0x00000004u
#define SFTP_ATTR_ACMODTIME   0x00000008u
#define SFTP_ATTR_EXTENDED    0x80000000u

struct sftp_attrs {
    uint32_t flags;
    uint32_t uid, gid;
    uint32_t mode; /* with the file's type, as st_mode */
    uint32_t atime, mtime;
    uint64_t size;
};

/* Extensions that we use or serve. */
#define SFTP_EXT_POSIX_RENAME "posix-rename@openssh.com"
#define SFTP_EXT_STATVFS      "statvfs@openssh.com"
#define SFTP_EXT_HARDLINK     "hardlink@openssh.com"
#define SFTP_EXT_FSYNC        "fsync@openssh.com"
#define SFTP_EXT_LSETSTAT     "lsetstat@openssh.com"

#define SFTP_HAS_POSIX_RENAME 0x01u
#define SFTP_HAS_STATVFS      0x02u
#define SFTP_HAS_HARDLINK     0x04u
#define SFTP_HAS_FSYNC        0x08u
#define SFTP_HAS_LSETSTAT     0x10u

struct sftp_statvfs {
    uint64_t bsize, frsize, blocks, bfree, bavail, files, ffree, favail;
    uint64_t fsid, flag, namemax;
};

#endif
