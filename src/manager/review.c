#include "manager/review.h"

#include <errno.h>
#include <stdio.h>

#include "base/json.h"

static bool is_set(const char *text)
{
    return text && *text;
}

void right_format(const struct right *r, char *out, size_t size)
{
    snprintf(out, size, "create %s%s%s%s%s in namespace %s (group %s)",
             r->resource, is_set(r->subresource) ? "/" : "",
             is_set(r->subresource) ? r->subresource : "",
             is_set(r->name) ? " on " : "", is_set(r->name) ? r->name : "",
             r->ns, r->group);
}

static void put_attributes(struct json_object *attributes,
                           const struct right *right)
{
    json_put_str(attributes, "namespace", right->ns);
    json_put_str(attributes, "verb", "create");
    json_put_str(attributes, "group", right->group);
    json_put_str(attributes, "version", "v1");
    json_put_str(attributes, "resource", right->resource);
    if (is_set(right->subresource))
        json_put_str(attributes, "subresource", right->subresource);
    if (is_set(right->name))
        json_put_str(attributes, "name", right->name);
}

struct json_object *review_build_right(const struct identity *id,
                                       const struct right *right)
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
    put_attributes(attributes, right);
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

struct json_object *review_build(const struct identity *id, const char *ns)
{
    const struct right right = {
        .group = "connect.tp.internal",
        .resource = "connections",
        .ns = ns,
    };

    return review_build_right(id, &right);
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
