/*
 * file.h - small files, read and written as a whole
 */
#ifndef TP_BASE_FILE_H
#define TP_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Reads the file at path. *out is its text, NUL-terminated and owned by the
 * caller; *len (unless NULL) its bytes. A pipe is waited for, 10 s.
 * -EISDIR, -EMSGSIZE if it has more than max bytes, or why it cannot be read
 * (-ENOENT, -EACCES ...); *out is untouched then. */
int file_read(const char *path, size_t max, char **out, size_t *len,
              struct tp_error *err);

/* All of it, or -errno. The descriptor blocks. */
int file_write_all(int fd, const void *data, size_t len);

/* The file at path becomes this text, with mode 0600, or stays what it was:
 * PATH.new is written and renamed. durable: it is on the disk before that.
 * -errno. */
int file_replace(const char *path, const char *text, bool durable);

#endif
