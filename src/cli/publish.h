/*
 * publish.h - docker's -p syntax
 *
 * [[IP:][HOSTPORT[-HOSTPORT]]:]PORT[-PORT][/tcp|udp|sctp], IPv6 addresses in
 * brackets; no host port: Docker chooses one.
 */
#ifndef TP_CLI_PUBLISH_H
#define TP_CLI_PUBLISH_H

#include "base/error.h"

struct json_object;

/* Adds to `exposed` ({"80/tcp": {}}) and `bindings` ({"80/tcp": [{"HostIp":
 * "", "HostPort": "8080"}]}). 0 or -EINVAL with err filled. */
int publish_parse(const char *text, struct json_object *exposed,
                  struct json_object *bindings, struct tp_error *err);

#endif
