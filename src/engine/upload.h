/* upload.h - a file as the body of a request to the engine; between files of
 * engine/ */
#ifndef TP_ENGINE_UPLOAD_H
#define TP_ENGINE_UPLOAD_H

#include "engine/engine_internal.h"

/* POSTs the tar archive behind fd, from its beginning, on a connection of its
 * own. The answer may be a row of JSON lines; one with `error` is a failure. */
int engine_upload(struct engine *e, const char *path, int fd,
                  struct tp_error *err);

#endif
