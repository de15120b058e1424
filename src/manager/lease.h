/*
 * lease.h - coordination.k8s.io/v1 Leases, built and read
 *
 * Claims (claims.h), replicas (replica_lease.h) and the janitor use them.
 */
#ifndef TP_MANAGER_LEASE_H
#define TP_MANAGER_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#define LEASE_PATH_MAX 512

struct json_object;

/* name "": the collection. */
void lease_path(char out[LEASE_PATH_MAX], const char *ns, const char *name);

/* A new one, renewed now; seconds 0: it is held until it is deleted. Owned;
 * NULL if out of memory. */
struct json_object *lease_build(const char *name, const char *ns,
                                const char *holder, int64_t seconds);

/* Makes an existing one holder's, from now on. */
void lease_renew(struct json_object *lease, const char *holder,
                 int64_t seconds);

/* Renewed within its duration? A lease without a time is not. */
bool lease_is_fresh(struct json_object *lease, int64_t now_ms);
/* Epoch in ms of "2026-01-02T15:04:05.000000Z"; 0 if it is none. */
int64_t lease_time(const char *text);

/* DeleteOptions: only this very version of it. Owned. */
struct json_object *lease_precondition(struct json_object *lease);

int64_t wall_ms(void);

#endif
