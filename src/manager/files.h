/*
 * files.h - small files that are mounted into the pod
 */
#ifndef TP_MANAGER_FILES_H
#define TP_MANAGER_FILES_H

#include "base/error.h"

#define FILE_MAX (1024 * 1024)

/* The whole of a regular file as a string; the caller frees it. NULL with err
 * filled. */
char *file_read_text(const char *path, struct tp_error *err);

#endif
