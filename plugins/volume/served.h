/*
 * served.h - which of the directories that an engagement serves a volume is
 */
#ifndef TP_VOLUME_SERVED_H
#define TP_VOLUME_SERVED_H

#include "options.h"

struct served {
    char *path; /* owned */
    bool read_only;
};

/* files: FILES of doc/protocol.md 5.1 or {"error", "code"}; may be NULL. The
 * mount is the one that the options name, or the only one. A negative errno
 * with one line that says what to do. */
int served_choose(struct served *s, const struct volume_options *o,
                  const char *volume, struct json_object *files,
                  struct tp_error *err);
void served_release(struct served *s);

#endif
