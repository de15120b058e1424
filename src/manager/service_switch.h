/*
 * service_switch.h - Services that lead to the agent by its port's name
 *
 * Where nothing in a pod may redirect (Pod Security baseline, restricted), the
 * Service is changed instead: its numeric targetPort becomes the name of a port
 * that only agents have, and comes back when nobody engages the port any more
 * (KUBERNETES 7). What it was stands in the Service itself, so that any replica
 * puts it back, at any time:
 *
 *   label       tp.internal/switched: "true"
 *   annotation  tp.internal/switched-ports:
 *               [{"port": 80, "protocol": "TCP", "from": 8080, "to":
 * "tp-8080"}]
 *
 * A name that a pod does not have makes its address useless to the Service, so
 * every ready pod behind the Service, whosever it is, must have it. Pure
 * functions on the API server's JSON.
 */
#ifndef TP_MANAGER_SERVICE_SWITCH_H
#define TP_MANAGER_SERVICE_SWITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define SWITCH_LABEL      "tp.internal/switched"
#define SWITCH_ANNOTATION "tp.internal/switched-ports"
#define SWITCH_NAME_MAX   16 /* with the NUL; Kubernetes' limit is 15 */
#define SWITCH_TEXT       300

/* The agent's name for the app's port: "tp-8080", "tp-53-udp". */
void switch_port_name(uint16_t port, bool udp, char out[SWITCH_NAME_MAX]);

/* A container's port that somebody engages by Services. */
struct switch_want {
    char ns[64];
    struct json_object *labels; /* of the pods; borrowed */
    uint16_t port;
    bool udp;
};

struct switch_rules {
    bool may_switch;                 /* else only back */
    bool may_end;                    /* what nobody wants goes back */
    const struct switch_want *ended; /* these do in any case */
    size_t ended_count;
};

struct switch_verdict {
    struct json_object
        *patch;    /* a merge patch of the Service, or NULL; owned */
    bool switches; /* the patch leads to agents */
    bool all;      /* every wanted port leads to agents, or there are no pods */
    char reason[SWITCH_TEXT]; /* why not; also what somebody else has changed */
};

/* Is there anything to look at: is it switched, or does a want lead through it?
 */
bool switch_concerns(struct json_object *service,
                     const struct switch_want *wants, size_t count);

/* What is to be done with a Service; pods is the list behind its selector. */
void switch_judge(struct switch_verdict *v, struct json_object *service,
                  struct json_object *pods, const struct switch_want *wants,
                  size_t count, const struct switch_rules *rules);

#endif
