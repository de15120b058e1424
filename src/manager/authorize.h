/*
 * authorize.h - asks the API server whether a user may connect
 *
 * No answer is kept: each call is one SubjectAccessReview.
 */
#ifndef TP_MANAGER_AUTHORIZE_H
#define TP_MANAGER_AUTHORIZE_H

#include "manager/identity.h"

struct api;
struct metrics;
struct authorization;

/* 0: allowed; -EACCES: not; another negative errno: nobody could tell. */
typedef void authorize_cb(void *arg, int status);

/* Copies id. NULL if out of memory; else cb comes once, from the loop. */
struct authorization *authorize_start(struct api *api, struct metrics *metrics,
                                      const struct identity *id, const char *ns,
                                      authorize_cb *cb, void *arg);
/* The same for any right. */
struct right;
struct authorization *authorize_right(struct api *api, struct metrics *metrics,
                                      const struct identity *id,
                                      const struct right *right,
                                      authorize_cb *cb, void *arg);
/* No callback comes any more; the request itself goes on. */
void authorize_cancel(struct authorization *a);

#endif
