/*
 * engagement_internal.h - the parts of engagements
 *
 *   engagement.c          the table, states, watchers
 *   engagement_spec.c     what a request asks for, checked
 *   engagement_manager.c  what the manager is asked and says
 *   engagement_withdraw.c what the manager is to end, now or with the next link
 *   engagement_address.c  does the host of --address exist?
 *   engagement_deliver.c  streams of the manager to local programs
 *   engagement_shortcut.c addresses in the cluster that lead back here
 *   engagement_files.c    the key, the socket and connections of its volumes
 *   engagement_topod.c    local listeners whose connections go to the pod
 */
#ifndef TP_DAEMON_ENGAGEMENT_INTERNAL_H
#define TP_DAEMON_ENGAGEMENT_INTERNAL_H

#include <sys/queue.h>

#include "daemon/engagement.h"
#include "tunnel/tunnel.h"

#define ENGAGEMENT_ID_LEN    26
#define ENGAGEMENT_PORTS_MAX 64

#define WITHDRAWALS_MAX  256
#define PATH_ENGAGEMENTS "/tp/v1/engagements"

struct delivery;
struct destinations;
struct look_up;
struct files_conn;
struct listener;
struct topod;
struct address_check;
struct withdrawal;

/* One --port: from a port of the container to a local one. */
struct eng_port {
    char requested[64]; /* as the user said it */
    bool udp;
    uint16_t local;  /* 0: the same as the container's */
    uint16_t remote; /* of the container; 0 until the manager has said it */
};

struct eng_topod {
    uint16_t port;
    bool udp;
};

struct eng_spec {
    char name[254], type[16], ns[64], workload[300], container[64];
    char service[254], address[254];
    struct eng_port ports[ENGAGEMENT_PORTS_MAX];
    size_t port_count;
    struct eng_topod to_pod[ENGAGEMENT_PORTS_MAX];
    size_t to_pod_count;
    bool force, yes;
    bool no_shortcut;
    bool read_only; /* all its volumes */
};

struct engagement {
    TAILQ_ENTRY(engagement) entry;
    struct engagements *e;
    char id[ENGAGEMENT_ID_LEN + 1];
    struct eng_spec spec;
    struct eng_port ports[ENGAGEMENT_PORTS_MAX]; /* as the manager has it */
    size_t port_count;
    struct json_object *request; /* as it came, for the next tp-daemon */
    struct json_object *remote;  /* ENGAGEMENT, the newest; NULL: none */
    enum engagement_state state;
    bool ending;    /* withdrawn; until it is over it is delivered */
    bool resolving; /* the host of --address is looked for */
    char message[512], code[24], warning[320];
    LIST_HEAD(, delivery) deliveries;
    unsigned delivery_count;
    LIST_HEAD(, topod) listeners;
    struct destinations *destinations; /* NULL: none are known */
    struct listener *files_listener;   /* NULL: none */
    LIST_HEAD(, files_conn) files_conns;
    unsigned files_count;
};

struct engagements {
    uv_loop_t *loop;
    struct session *session;
    uint32_t mark;
    const char *files_dir; /* NULL: no sockets */
    struct tunnel *tunnel; /* the outgoing one; NULL: none */
    bool able;
    uv_timer_t *retry; /* of those that the manager could not take yet */
    TAILQ_HEAD(, engagement) list;
    size_t count;
    LIST_HEAD(, address_check) checks;
    TAILQ_HEAD(, withdrawal) withdrawals; /* engagement_withdraw.c */
    size_t withdrawal_count;
    struct engagement_watcher *watchers;
    LIST_HEAD(, look_up) look_ups; /* engagement_shortcut.c */
};

/* engagement.c */
extern const struct session_engagements engagement_session_ops;
bool engagement_has_traffic(const struct engagement *eng);
void engagement_changed(struct engagement *eng);
/* It is over: watchers are told, then it is freed. */
void engagement_fail(struct engagement *eng, const char *code,
                     const char *message);
/* The same without a warning: it was to be. */
void engagement_over(struct engagement *eng, const char *message);
struct engagement *engagements_by_id(const struct engagements *e,
                                     const char *id);
/* Keeps the table for the next tp-daemon. */
void engagements_keep(struct engagements *e);
/* Soon what the manager could not take is asked again. */
void engagements_retry(struct engagements *e);
/* Without telling the manager. */
void engagement_free(struct engagement *eng);

/* engagement_spec.c: 0 or -EINVAL with err filled. */
int engagement_spec_parse(struct eng_spec *spec, struct json_object *request,
                          const char *default_ns, struct tp_error *err);
/* The same thing is asked for? */
bool engagement_spec_same(const struct eng_spec *a, const struct eng_spec *b);
/* ENGAGE of doc/protocol.md; owned. */
struct json_object *engagement_spec_to_json(const struct eng_spec *spec,
                                            const char *id);

/* engagement_manager.c */
void engagement_announce(struct engagement *eng); /* POST */
/* Takes what the manager says of it. */
void engagement_take(struct engagement *eng, struct json_object *remote);

/* engagement_withdraw.c */
/* The manager is to end it: now, or when there is a link again. */
void engagement_withdraw(struct engagements *e, const char *id,
                         const char *name);
/* What is left of that is sent; new_link: also what the manager knows. */
void engagement_withdraw_all(struct engagements *e, bool new_link);
/* It is over: nobody is to be told. */
void engagement_withdrawn(struct engagements *e, const char *id);
/* Asks the manager what it has of this session; what is not in the table was
 * left over and is withdrawn. */
void engagement_reconcile(struct engagements *e);
/* Adds what the next tp-daemon has to withdraw; takes such an item back. */
void engagement_withdrawals_keep(const struct engagements *e,
                                 struct json_object *array);
bool engagement_withdrawal_resume(struct engagements *e,
                                  struct json_object *kept);
void engagement_withdrawals_free(struct engagements *e);

/* engagement_address.c */
void engagement_address_check(struct engagement *eng);
void engagement_address_forget(struct engagements *e);

/* engagement_deliver.c */
int engagement_deliver(struct engagements *e, struct tunnel_stream *s,
                       const struct tunnel_open *open);
unsigned engagement_deliveries(const struct engagement *eng);
void engagement_deliveries_end(struct engagement *eng);

/* engagement_shortcut.c: takes "destinations" of an ENGAGEMENT. */
void engagement_shortcut_take(struct engagement *eng, struct json_object *list);
void engagement_shortcut_forget(struct engagement *eng);
/* Names that are being looked up are for nobody any more. */
void engagement_shortcut_close(struct engagements *e);

/* engagement_topod.c */
int engagement_topod_start(struct engagement *eng, struct tp_error *err);
void engagement_topod_stop(struct engagement *eng);

/* engagement_files.c: the pair is in the request, to be kept with it */
int engagement_files_make_key(struct engagement *eng, struct tp_error *err);
/* Takes out of a stranger's request what looks like one. */
void engagement_files_strip(struct json_object *request);
void engagement_files_start(struct engagement *eng);
void engagement_files_stop(struct engagement *eng);

#endif
