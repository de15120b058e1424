/*
 * requests.h - the calls of docker.volumedriver/1.0, one row each
 */
#ifndef TP_VOLUME_REQUESTS_H
#define TP_VOLUME_REQUESTS_H

#include "server.h"
#include "volumes.h"

/* A server_cb; arg is the struct volumes. */
void requests_handle(void *arg, struct server_request *r, const char *path,
                     struct json_object *body);

#endif
