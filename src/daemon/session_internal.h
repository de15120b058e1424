/*
 * session_internal.h - the parts of a session
 *
 *   session.c             life, states, credentials
 *   session_link.c        one link
 *   session_links.c       links: making, losing, replacing
 *   session_incoming.c    the link on which the manager opens streams
 *   session_direct.c      the link that does not pass the API server
 *   session_former.c      links that were replaced and still have conversations
 *   session_apply.c       what the manager said, to DNS, data path, resolv.conf
 *   session_status.c      the status object
 */
#ifndef TP_DAEMON_SESSION_INTERNAL_H
#define TP_DAEMON_SESSION_INTERNAL_H

#include "daemon/cluster_info.h"
#include "daemon/link.h"
#include "daemon/proxy.h"
#include "daemon/session.h"
#include "daemon/session_config.h"

#define SESSION_NAME_LEN 32

/* A link and its session: what the link's callbacks get. */
struct session_link {
    struct session *s;
    struct link *link;
    enum link_direction direction;
    bool draining;                /* its manager has said so */
    int64_t retired;              /* EPOCH when it became a former one */
    uint64_t bytes_in, bytes_out; /* counted already; see session_former.c */
};

/* Each may hold 8 MiB of unread bytes and a descriptor. */
#define SESSION_FORMER_MAX 8

struct session_former {
    struct session_link *links[SESSION_FORMER_MAX]; /* oldest first */
    size_t count;
};

struct direct_ask;

/* The link that does not pass the API server, see session_direct.c. */
struct session_direct {
    bool offered; /* the manager says that there are such links */
    struct session_link *current, *next;
    struct session_former former;
    struct direct_ask *ask;     /* a ticket is asked for */
    struct json_object *ticket; /* endpoints of it are tried */
    size_t tried;               /* of its endpoints */
    unsigned attempts;
    uv_timer_t *retry;
    int64_t since; /* EPOCH */
    char trying[300], endpoint[300];
    char failure[512]; /* of the last endpoint that was tried */
    char error[512];   /* why there is none, "" if there is */
};

struct session {
    struct session_env env;
    enum session_state state;
    int64_t since; /* EPOCH of the state */
    char error[512], code[24];

    struct session_config config; /* json NULL: no session */
    char name[SESSION_NAME_LEN + 1];

    struct session_link *current; /* carries the traffic; NULL: none */
    struct session_link *next;    /* is being made */
    struct session_former former; /* still have conversations */
    struct session_direct direct;
    struct session_link *incoming, *incoming_next;
    struct session_former incoming_former;
    bool incoming_wanted, incoming_websocket;
    unsigned incoming_attempts;
    uv_timer_t *incoming_retry;
    char incoming_error[512]; /* why there is none */
    bool websocket;           /* worked the last time */
    bool was_connected;       /* since `connect` */
    unsigned attempts, reconnects;
    int64_t link_since; /* EPOCH */
    uint64_t never_ms;  /* loop time since when the answer is "never" */
    uint64_t retry_ms;  /* loop time of the next attempt */
    uv_timer_t *retry;

    struct proxy_cluster proxy_cluster; /* points into info and config */
    struct cluster_info info;
    bool applied; /* info is in force */
    struct json_object *info_json, *manager;
    char *user;

    void (*need_cb)(void *arg);
    void *need_arg;
    bool need;                                     /* credentials are wanted */
    const struct session_engagements *engagements; /* or NULL */
    void *engagements_arg;
    bool can_engage;        /* the manager of the current link */
    char helper_error[400]; /* since it was asked the last time */
    uint64_t asked_ms;
    uv_timer_t *ask;

    struct session_watcher *watchers;
};

/* session.c: the only place where the state changes. `error` and `code` NULL:
 * no error. */
void session_enter(struct session *s, enum session_state state,
                   const char *code, const char *error);
void session_notify(struct session *s);
void session_need_credentials(struct session *s);

/* session_incoming.c */
void session_incoming_update(struct session *s);
void session_incoming_drop(struct session *s);
void session_incoming_retry_cb(uv_timer_t *timer);

/* session_former.c */
/* Takes the link; the oldest goes if there are too many. */
void session_former_add(struct session_former *f, struct session_link *sl);
/* Drops the link if it is one of them; false if it is not. */
bool session_former_ended(struct session_former *f, struct session_link *sl);
void session_former_drop(struct session_former *f);
/* Counts what they have moved up to now. */
void session_former_count(const struct session_former *f);
/* Adds an object for each to the array. */
void session_former_list(const struct session_former *f,
                         struct json_object *array);

/* session_link.c */
/* Fills in of config what is the session's. The callbacks get the session_link.
 * NULL with err. */
struct session_link *session_link_create(struct session *s,
                                         struct link_config *config,
                                         const struct link_ops *ops,
                                         struct tp_error *err);
/* Destroys and frees what is there, and leaves NULL. */
void session_link_drop(struct session_link **slot);

/* session_links.c */
void session_dial(struct session *s);
void session_drop_links(struct session *s);
void session_retry_cb(uv_timer_t *timer);

/* session_apply.c */
int session_apply(struct session *s, struct json_object *info,
                  struct tp_error *err);
/* Puts everything back as it was without a cluster. */
void session_unapply(struct session *s);
void session_forget_cluster(struct session *s);
/* New streams go by the direct link, else by the current one; t is the latter's
 * tunnel or NULL. */
void session_use_tunnel(struct session *s, struct tunnel *t);
void session_use_links(struct session *s);

/* session_direct.c */
/* Makes the direct link if there could be one. */
void session_direct_update(struct session *s);
void session_direct_drop(struct session *s);
void session_direct_retry_cb(uv_timer_t *timer);
/* NULL: this manager has no such links. The caller puts it. */
struct json_object *session_direct_status(const struct session *s);

#endif
