/*
 * image.h - the daemon's image in the engine
 *
 * tp brings the image along as an archive: $TP_IMAGE_DIR, the directory of the
 * program and build/images below it, or the installed package data. The label
 * internal.tp.build tells whether the engine has the same one.
 */
#ifndef TP_CLI_IMAGE_H
#define TP_CLI_IMAGE_H

#include "cli/cli.h"
#include "engine/engine.h"

/* Loads the image if the engine lacks it or has another build. Without an
 * archive what the engine has is used. *ref is static. */
int image_ensure(const struct cli *cli, struct engine *e, const char **ref,
                 struct tp_error *err);

/* The path of an archive of that name, owned, or NULL. */
char *image_find_archive(const char *file);

#endif
