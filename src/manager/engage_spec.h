/*
 * engage_spec.h - ENGAGE: what a client asks for (doc/protocol.md)
 *
 * Foreign bytes: every member is checked for its type, its characters and its
 * length; what is not known is ignored, what is wrong refuses the whole.
 */
#ifndef TP_MANAGER_ENGAGE_SPEC_H
#define TP_MANAGER_ENGAGE_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "manager/engagements.h"
#include "manager/workload_kind.h"

#define PORT_NAME_MAX 63

struct engage_port {
    char remote[PORT_NAME_MAX + 1]; /* a name, or a number in decimal */
    bool udp;
    bool guess; /* only a local port was given, which remote is: see
                   workload_ports.h */
};

struct engage_spec {
    char id[ENGAGEMENT_ID_LEN + 1];
    char name[254]; /* the user's */
    enum engagement_type type;
    char ns[64];
    const struct workload_kind *kind; /* NULL: not given */
    char workload[WORKLOAD_NAME_MAX + 1];
    char container[64], service[64]; /* "": not given */
    struct engage_port ports[ENGAGEMENT_PORTS_MAX];
    size_t port_count;
    struct engagement_port to_pod[ENGAGEMENT_PORTS_MAX];
    size_t to_pod_count;
    bool force; /* take over */
    bool yes;   /* an interruption is fine */
};

bool engagement_id_is_valid(const char *id);

/* "intercept"; NULL-safe. 0 or -EINVAL. */
int engagement_type_parse(const char *text, enum engagement_type *type);
const char *engagement_type_name(enum engagement_type type);

/* 0, or -EINVAL with err filled. */
int engage_spec_parse(struct engage_spec *spec, const char *body, size_t len,
                      struct tp_error *err);

/* A decimal port number, or 0 if text is none. */
uint16_t port_number(const char *text);

#endif
