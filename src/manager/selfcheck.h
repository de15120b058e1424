/*
 * selfcheck.h - is the aggregated API served? (`tp-manager check-api`)
 *
 * What `helm test` runs in a pod: it asks the API server as any user does, so
 * that APIService, authority, Service and manager are all on the way.
 */
#ifndef TP_MANAGER_SELFCHECK_H
#define TP_MANAGER_SELFCHECK_H

#include "base/error.h"

struct json_object;

/* Asks until the API is served or so many seconds are over: an APIService
 * takes a while to become available. 0, or a negative errno with err filled. */
int selfcheck_run(unsigned seconds, struct tp_error *err);

/* What one answer says: 0 if it lists connections/portforward, -EAGAIN for
 * what may pass, -EPROTO for what will not. */
int selfcheck_judge(int status, struct json_object *body, struct tp_error *err);

#endif
