/*
 * options.h - what `docker volume create -o` says of a volume
 */
#ifndef TP_VOLUME_OPTIONS_H
#define TP_VOLUME_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"

struct json_object;

#define VOLUME_NAME_MAX 128
#define CONTROL_PREFIX  "tp-ctl-" /* names of control volumes: then DAEMON */

/* Texts are borrowed from the options' object; NULL: not given. */
struct volume_options {
    bool control; /* a plain directory where a daemon's sockets are */
    const char *engagement;
    const char *mount; /* absolute path in the engaged container */
    const char *dir;   /* below it */
    const char *daemon;
    bool read_only, strict, async_names, default_permissions;
    unsigned timeout, attr_timeout; /* seconds; 0: not given */
};

/* opts: an object of strings, or NULL. -EINVAL with one line that says what to
 * do. */
int volume_options_parse(struct volume_options *o, const char *name,
                         struct json_object *opts, struct tp_error *err);

/* A name that Docker gives to volumes and containers? */
bool volume_name_valid(const char *name);

#endif
