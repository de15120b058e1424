/* session_link.c - a link of a session, of each kind */
#include <errno.h>
#include <stdlib.h>

#include "daemon/session_internal.h"

struct session_link *session_link_create(struct session *s,
                                         struct link_config *config,
                                         const struct link_ops *ops,
                                         struct tp_error *err)
{
    struct session_link *sl = calloc(1, sizeof(*sl));

    if (!sl) {
        tp_error_errno(err, -ENOMEM, "link");
        return NULL;
    }
    config->session = &s->config;
    config->name = s->name;
    config->mark = s->env.mark;
    sl->s = s;
    sl->direction = config->direction;
    sl->link = link_create(s->env.loop, config, ops, sl, err);
    if (!sl->link) {
        free(sl);
        return NULL;
    }
    return sl;
}

void session_link_drop(struct session_link **slot)
{
    if (!*slot)
        return;
    link_destroy((*slot)->link);
    free(*slot);
    *slot = NULL;
}
