#include "manager/review.h"

#include <errno.h>

#include "base/json.h"

struct json_object *review_build(const struct identity *id, const char *ns)
{
    struct json_object *review = json_object_new_object();
    struct json_object *spec = json_object_new_object();
    struct json_object *attributes = json_object_new_object();

    if (!review || !spec || !attributes) {
        json_object_put(review);
        json_object_put(spec);
        json_object_put(attributes);
        return NULL;
    }
    json_put_str(attributes, "namespace", ns);
    json_put_str(attributes, "verb", "create");
    json_put_str(attributes, "group", "connect.tp.internal");
    json_put_str(attributes, "version", "v1");
    json_put_str(attributes, "resource", "connections");
    json_put_str(spec, "user", id->user);
    if (*id->uid)
        json_put_str(spec, "uid", id->uid);
    json_object_object_add(spec, "groups", json_object_get(id->groups));
    json_object_object_add(spec, "extra", json_object_get(id->extra));
    json_object_object_add(spec, "resourceAttributes", attributes);
    json_put_str(review, "apiVersion", "authorization.k8s.io/v1");
    json_put_str(review, "kind", "SubjectAccessReview");
    json_object_object_add(review, "spec", spec);
    return review;
}

int review_parse(struct json_object *answer, bool *allowed)
{
    struct json_object *value = json_get(answer, "status.allowed");

    if (!value || !json_object_is_type(value, json_type_boolean))
        return -EBADMSG;
    *allowed = json_object_get_boolean(value) &&
               !json_get_bool(answer, "status.denied", false);
    return 0;
}
