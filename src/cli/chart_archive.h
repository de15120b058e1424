/*
 * chart_archive.h - the Helm chart that tp carries
 *
 * chart/local.mk packs chart/tp into a tar.gz and makes chart_archive_data of
 * it, so that the chart is always the one of this tp's version.
 */
#ifndef TP_CLI_CHART_ARCHIVE_H
#define TP_CLI_CHART_ARCHIVE_H

#include <stddef.h>

#include "base/error.h"

extern const unsigned char chart_archive_data[];
extern const size_t chart_archive_size;

/* Extracts the carried chart into a new directory of mode 0700 below TMPDIR.
 * On success *dir is that directory (the caller frees it, after
 * chart_archive_remove()); the chart is its only entry, "tp". On failure
 * nothing is left behind. */
int chart_archive_extract(char **dir, struct tp_error *err);

/* Extracts the regular files and directories of a tar archive, compressed or
 * not, below dir, which exists: files 0600, directories 0700. Names that leave
 * dir, other kinds of entries, more than 1000 of them or a file of more than
 * 4 MiB are errors (-EBADMSG). */
int chart_archive_unpack(const void *data, size_t len, const char *dir,
                         struct tp_error *err);

/* Removes dir and what is in it; never follows a link or leaves the file
 * system. Returns 0 or a negative errno; a directory that is gone is success.
 */
int chart_archive_remove(const char *dir);

#endif
