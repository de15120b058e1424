/*
 * link_age.c - a link is made anew in time
 *
 * The API server says who a user is when a link begins, and is not asked again
 * while it lasts: a token that expires or a certificate that is revoked would
 * not matter. So the client is asked for a new link when five sixths of the
 * life are over (event `renew`), and at the end of it this one takes no new
 * streams; those that it has go on, and rights are asked for each minute as
 * ever. What the manager opens (incoming) hangs on engagements, which end with
 * the session.
 */
#include "manager/link_internal.h"

static void age_cb(uv_timer_t *timer)
{
    struct link *link = timer->data;

    if (!link->renewing) {
        link->renewing = true;
        link_events_send(link, "{\"type\":\"renew\"}");
        return; /* comes again, by its repeat */
    }
    uv_timer_stop(timer);
    link_events_send(link, "{\"type\":\"drain\"}");
    link_drain(link);
}

void link_age_start(struct link *link)
{
    uint64_t life = (uint64_t)link->links->env.lifetime * 1000;

    uv_timer_init(link->links->env.loop, &link->age);
    link->age.data = link;
    if (life == 0 || link->direction == LINK_INCOMING)
        return;
    uv_timer_start(&link->age, age_cb, life - life / 6, life / 6);
}
