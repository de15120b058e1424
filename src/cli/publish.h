/*
 * publish.h - what the container is made with: docker's -p, -h, --add-host
 *
 * [[IP:][HOSTPORT[-HOSTPORT]]:]PORT[-PORT][/tcp|udp|sctp], IPv6 addresses in
 * brackets; no host port: Docker chooses one.
 */
#ifndef TP_CLI_PUBLISH_H
#define TP_CLI_PUBLISH_H

#include <stdbool.h>

#include "base/error.h"

struct json_object;

/* Adds to `exposed` ({"80/tcp": {}}) and `bindings` ({"80/tcp": [{"HostIp":
 * "", "HostPort": "8080"}]}). 0 or -EINVAL with err filled. */
int publish_parse(const char *text, struct json_object *exposed,
                  struct json_object *bindings, struct tp_error *err);

/* A host's name, at most 63 characters. */
bool publish_hostname_valid(const char *name);

/* NAME:ADDRESS with an IP address or Docker's host-gateway. */
bool publish_host_valid(const char *text);

#endif
