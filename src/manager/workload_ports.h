/*
 * workload_ports.h - which ports of which container are meant, and how they can
 * be taken over
 *
 * A *route* is a port of a Service of the namespace whose selector matches the
 * pod template's labels, followed to the container's port. What a user names is
 * looked for among the routes (the Service port's name or number), then among
 * the declared ports of the containers; a number that nobody declares is a port
 * of its own. Who names a local port only (`guess`) means the only port there
 * is, else the port of the same number.
 *
 * named     every route to that port goes by its name: the agent, as the first
 *           container with a port of that name, is taken instead (KUBERNETES 4)
 * redirect  somebody comes by number, or straight to the pod: netfilter
 * direct    the container is replaced, the agent listens in its place
 * service   nothing in the pod may redirect: the Services that go by number are
 *           led to a port of the agent (service_switch.h), those that go by
 * name as with `named`
 */
#ifndef TP_MANAGER_WORKLOAD_PORTS_H
#define TP_MANAGER_WORKLOAD_PORTS_H

#include "manager/engage_spec.h"

enum port_mode { PORT_NAMED, PORT_REDIRECT, PORT_DIRECT, PORT_SERVICE };

const char *port_mode_name(enum port_mode mode);
/* 0 or -EINVAL. */
int port_mode_parse(const char *text, enum port_mode *mode);

struct resolved_port {
    uint16_t port; /* of the container */
    bool udp;
    enum port_mode mode;
    uint16_t service_port;             /* 0: no Service leads there */
    char name[PORT_NAME_MAX + 1];      /* the container's, or the Service's */
    char requested[PORT_NAME_MAX + 1]; /* as the client said it, or "" */
};

struct resolved {
    char container[64];
    struct resolved_port ports[ENGAGEMENT_PORTS_MAX];
    size_t count;
};

struct ports_question {
    const struct engage_spec *spec;
    struct json_object *pod_template;
    struct json_object *services; /* a ServiceList */
    struct json_object *policies; /* a NetworkPolicyList, or NULL */
    bool switch_services;         /* redirection is not allowed: service */
};

/* 0, or -EINVAL with err saying what to add. */
int ports_resolve(const struct ports_question *q, struct resolved *out,
                  struct tp_error *err);

#endif
