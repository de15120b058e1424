/*
 * archive.h - what an image archive (`docker save`) says about its image
 */
#ifndef TP_ENGINE_ARCHIVE_H
#define TP_ENGINE_ARCHIVE_H

#include "base/error.h"

/* The value of a label of the archive's first image, owned; NULL where the
 * image has no such label. The archive may be compressed. 0 or a negative
 * errno with err filled. */
int engine_archive_label(const char *path, const char *label, char **out,
                         struct tp_error *err);

#endif
