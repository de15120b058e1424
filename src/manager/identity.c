#include "manager/identity.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/json.h"
#include "manager/frontproxy.h"

#define CLAIM "x-remote-" /* the usual --requestheader-... */

static const char *name_at(struct json_object *names, size_t i)
{
    return json_object_get_string(json_object_array_get_idx(names, i));
}

static bool is_named(struct json_object *names, const char *header)
{
    for (size_t i = 0; i < json_array_len(names); i++) {
        if (!strcasecmp(name_at(names, i), header))
            return true;
    }
    return false;
}

/* The only value of the headers in names; two are an attempt to smuggle. */
static int single_value(const struct http1_head *head,
                        struct json_object *names, const char **value,
                        struct tp_error *err)
{
    *value = NULL;
    for (size_t i = 0; i < head->count; i++) {
        if (!is_named(names, head->headers[i].name))
            continue;
        if (*value)
            return tp_error_set(err, -EBADMSG,
                                "the front-proxy header %s comes twice",
                                head->headers[i].name);
        *value = head->headers[i].value;
    }
    return 0;
}

/* Lower case, then percent-decoded; a key that cannot be decoded stays as it
 * is, as in Kubernetes (request/headerrequest). NULL if out of memory. */
static char *decode_key(const char *text)
{
    cleanup_free char *lower = strdup(text);
    size_t len = strlen(text);
    char *key = malloc(len + 1);

    if (!lower || !key) {
        free(key);
        return NULL;
    }
    for (char *p = lower; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (percent_decode(key, len + 1, lower, len) < 0)
        memcpy(key, lower, len + 1);
    return key;
}

static int add_extra(struct json_object *extra, const char *encoded,
                     const char *value)
{
    cleanup_free char *key = decode_key(encoded);
    struct json_object *values;

    if (!key)
        return -ENOMEM;
    if (!json_object_object_get_ex(extra, key, &values)) {
        values = json_object_new_array();
        json_object_object_add(extra, key, values);
    }
    json_object_array_add(values, json_object_new_string(value));
    return 0;
}

static int add_extras(struct identity *id, const struct http1_header *header,
                      struct json_object *prefixes)
{
    for (size_t i = 0; i < json_array_len(prefixes); i++) {
        const char *prefix = name_at(prefixes, i);
        size_t len = strlen(prefix);

        if (!strncasecmp(header->name, prefix, len) && header->name[len])
            return add_extra(id->extra, header->name + len, header->value);
    }
    return 0;
}

static int copy_lists(struct identity *id, const struct http1_head *head,
                      const struct frontproxy *fp)
{
    id->groups = json_object_new_array();
    id->extra = json_object_new_object();
    if (!id->groups || !id->extra)
        return -ENOMEM;
    for (size_t i = 0; i < head->count; i++) {
        const struct http1_header *header = &head->headers[i];
        int rc = add_extras(id, header, fp->extra_prefixes);

        if (rc < 0)
            return rc;
        if (is_named(fp->group_headers, header->name) && *header->value)
            json_object_array_add(id->groups,
                                  json_object_new_string(header->value));
    }
    return 0;
}

int identity_from_headers(struct identity *id, const struct http1_head *head,
                          const struct frontproxy *fp, struct tp_error *err)
{
    const char *user, *uid;
    int rc;

    memset(id, 0, sizeof(*id));
    rc = single_value(head, fp->user_headers, &user, err);
    if (rc == 0)
        rc = single_value(head, fp->uid_headers, &uid, err);
    if (rc < 0)
        return rc;
    if (!user || !*user)
        return tp_error_set(err, -EACCES, "the front proxy names no user");
    id->user = strdup(user);
    id->uid = strdup(uid ? uid : "");
    if (!id->user || !id->uid || copy_lists(id, head, fp) < 0)
        return tp_error_errno(err, -ENOMEM, "identity");
    return 0;
}

bool identity_is_claimed(const struct http1_head *head)
{
    for (size_t i = 0; i < head->count; i++) {
        if (!strncasecmp(head->headers[i].name, CLAIM, strlen(CLAIM)))
            return true;
    }
    return false;
}

int identity_copy(struct identity *to, const struct identity *from)
{
    to->user = strdup(from->user);
    to->uid = strdup(from->uid);
    to->groups = to->extra = NULL;
    if (!to->user || !to->uid ||
        json_object_deep_copy(from->groups, &to->groups, NULL) < 0 ||
        json_object_deep_copy(from->extra, &to->extra, NULL) < 0) {
        identity_release(to);
        return -ENOMEM;
    }
    return 0;
}

void identity_release(struct identity *id)
{
    free(id->user);
    free(id->uid);
    json_object_put(id->groups);
    json_object_put(id->extra);
    memset(id, 0, sizeof(*id));
}

bool identity_same_owner(const struct identity *a, const struct identity *b)
{
    return !strcmp(a->user, b->user) && !strcmp(a->uid, b->uid);
}
