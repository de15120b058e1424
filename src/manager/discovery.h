/*
 * discovery.h - the documents of the aggregated API, and its errors
 *
 * Kubernetes API conventions: APIGroup, APIResourceList, Status.
 */
#ifndef TP_MANAGER_DISCOVERY_H
#define TP_MANAGER_DISCOVERY_H

#define API_GROUP   "connect.tp.internal"
#define API_VERSION "v1"

/* The document at path as a constant string, or NULL if there is none. */
const char *discovery_document(const char *path);

struct json_object;
/* A Status; the caller owns it. reason "Forbidden", "NotFound", ... */
struct json_object *discovery_status(int code, const char *reason,
                                     const char *message);

#endif
