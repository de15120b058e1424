/*
 * file.h - small files, read as a whole
 */
#ifndef TP_BASE_FILE_H
#define TP_BASE_FILE_H

#include <stddef.h>

#include "base/error.h"

/* Reads the file at path. *out is its text, NUL-terminated and owned by the
 * caller; *len (unless NULL) its bytes. A pipe is waited for, 10 s.
 * -EISDIR, -EMSGSIZE if it has more than max bytes, or why it cannot be read
 * (-ENOENT, -EACCES ...); *out is untouched then. */
int file_read(const char *path, size_t max, char **out, size_t *len,
              struct tp_error *err);

#endif
