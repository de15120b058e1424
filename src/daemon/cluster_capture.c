/*
 * cluster_capture.c - which subnets of the cluster are captured, and as what
 *
 * Those that nothing here has are captured as they are. The others, and those
 * that the user wants so, are noted until all is known that a virtual subnet
 * must not overlap with, and then given one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/cluster_info_internal.h"

struct wish {
    struct subnet net;
    char reason[200];
    struct json_object *shown; /* the array that it is to be in; borrowed */
};

static void take_pool(struct build *b, struct json_object *session)
{
    static const char *const defaults[] = {VNAT_POOL_V4, VNAT_POOL_V6};
    struct subnet_list wanted = {0};

    cluster_add_plain(b, &wanted, json_get_array(session, "virtualSubnets"));
    for (size_t i = 0; i < wanted.n; i++) {
        struct tp_error err = {0};
        char text[SUBNET_TEXT];

        if (route_policy_check(b->policy, &wanted.nets[i], &err) == -EACCES)
            cluster_reject(b, subnet_format(&wanted.nets[i], text), err.text);
        else
            subnet_list_add(&b->pool, &wanted.nets[i]);
    }
    subnet_list_release(&wanted);
    for (size_t i = 0; i < sizeof(defaults) / sizeof(*defaults); i++) {
        bool there = false;
        struct subnet net;

        subnet_parse(&net, defaults[i]);
        for (size_t k = 0; k < b->pool.n; k++)
            there |= b->pool.nets[k].family == net.family;
        if (!there)
            subnet_list_add(&b->pool, &net);
    }
}

static void take_vnat(struct build *b, const char *text)
{
    static const struct {
        const char *name;
        unsigned classes;
    } names[] = {{"service", SUBNET_SERVICE},
                 {"pods", SUBNET_POD},
                 {"also", SUBNET_ALSO},
                 {"all", SUBNET_SERVICE | SUBNET_POD | SUBNET_ALSO}};
    struct subnet net;

    if (!strcmp(text, "off"))
        b->vnat_off = true;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!strcmp(text, names[i].name))
            b->translate |= names[i].classes;
    }
    if (subnet_parse(&net, text) == 0)
        subnet_list_add(&b->translated, &net);
}

void cluster_capture_begin(struct build *b, struct json_object *session)
{
    struct json_object *list = json_get_array(session, "vnat");

    for (size_t i = 0; i < json_array_len(list); i++)
        take_vnat(b, cluster_text_at(list, i));
    take_pool(b, session);
}

void cluster_add_plain(struct build *b, struct subnet_list *list,
                       struct json_object *array)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        const char *text = cluster_text_at(array, i);
        struct subnet net;

        if (subnet_parse(&net, text) < 0)
            cluster_reject(b, text, "not a subnet");
        else if (subnet_list_add(list, &net) < 0)
            cluster_reject(b, text, "too many subnets");
    }
}

static void add_wish(struct build *b, const struct subnet *net,
                     const char *reason, struct json_object *shown)
{
    struct wish *wishes;

    if (b->n_wishes >= SUBNET_LIST_MAX)
        return;
    wishes = realloc(b->wishes, (b->n_wishes + 1) * sizeof(*wishes));
    if (!wishes)
        return;
    b->wishes = wishes;
    wishes += b->n_wishes++;
    *wishes = (struct wish){.net = *net, .shown = shown};
    snprintf(wishes->reason, sizeof(wishes->reason), "%s", reason);
}

static void judge(struct build *b, const char *text, const struct subnet *net,
                  enum subnet_class class, struct json_object *shown)
{
    struct tp_error err = {0};
    int rc = route_policy_check(b->policy, net, &err);

    if (rc == -EADDRINUSE && b->vnat_off)
        rc = tp_error_set(&err, -EACCES,
                          "%.200s; allow it by allowConflictingSubnets",
                          err.text);
    if (rc == -EADDRINUSE)
        add_wish(b, net, err.text, shown);
    else if (rc < 0)
        cluster_reject(b, text, err.text);
    else if (b->translate & class || subnet_list_covers(&b->translated, net))
        add_wish(b, net, "asked for (vnat)", shown);
    else if (subnet_list_add(&b->ci->capture, net) < 0)
        cluster_reject(b, text, "too many subnets");
    else
        json_object_array_add(shown, json_object_new_string(text));
}

void cluster_add_captured(struct build *b, struct json_object *array,
                          enum subnet_class class, struct json_object *shown)
{
    for (size_t i = 0; i < json_array_len(array); i++) {
        const char *text = cluster_text_at(array, i);
        struct subnet net;

        if (subnet_parse(&net, text) < 0)
            cluster_reject(b, text, "not a subnet");
        else
            judge(b, text, &net, class, shown);
    }
}

/* ---- when all are there ---- */

static void add_all(struct subnet_list *to, const struct subnet_list *from)
{
    for (size_t i = 0; i < from->n; i++)
        subnet_list_add(to, &from->nets[i]);
}

static void show_pair(struct build *b, const struct vnat_pair *pair,
                      const char *reason)
{
    struct json_object *entry = json_object_new_object();
    char text[SUBNET_TEXT];

    json_put_str(entry, "subnet", subnet_format(&pair->real, text));
    json_put_str(entry, "virtual", subnet_format(&pair->virt, text));
    json_put_str(entry, "reason", reason);
    json_object_array_add(json_get_array(b->ci->subnets, "virtual"), entry);
    log_info("%s is reached as %s: %s", json_get_str(entry, "subnet", ""), text,
             reason);
}

/* shown NULL: it is a part of one that is shown. */
static void grant(struct build *b, const struct wish *wish,
                  const struct subnet_list *taken)
{
    struct cluster_info *ci = b->ci;
    struct tp_error err = {0};
    char text[SUBNET_TEXT];
    int rc = vnat_add(&ci->vnat, &wish->net, &b->pool, taken, b->former, &err);

    subnet_format(&wish->net, text);
    if (rc == -EEXIST)
        return;
    if (rc < 0) {
        cluster_reject(b, text, err.text);
        return;
    }
    if (wish->shown)
        json_object_array_add(wish->shown, json_object_new_string(text));
    show_pair(b, &ci->vnat.pairs[ci->vnat.n - 1], wish->reason);
}

/* What the user wants of a subnet that is captured as it is otherwise. */
static void grant_part(struct build *b, const struct subnet *net,
                       const struct subnet_list *taken)
{
    struct wish wish = {.net = *net, .reason = "asked for (vnat)"};
    char text[SUBNET_TEXT];

    for (size_t i = 0; i < b->ci->vnat.n; i++) {
        if (subnet_overlaps(&b->ci->vnat.pairs[i].real, net))
            return;
    }
    if (!subnet_list_covers(&b->ci->vnat.plain, net)) {
        cluster_reject(b, subnet_format(net, text),
                       "nothing there is reached through the cluster (vnat)");
        return;
    }
    grant(b, &wish, taken);
}

static void punch(struct cluster_info *ci, const struct subnet *net)
{
    struct subnet part;

    subnet_list_add(&ci->holes, net);
    if (vnat_map_subnet(&ci->vnat, net, &part))
        subnet_list_add(&ci->holes, &part);
}

void cluster_info_bypass(struct cluster_info *ci, const struct subnet *net)
{
    subnet_list_add(&ci->bypass, net);
    subnet_list_add(&ci->vnat.plain, net);
    punch(ci, net);
}

/* Virtual addresses are captured, the real ones not: also where a wider subnet
 * is. */
static void capture_pairs(struct cluster_info *ci)
{
    for (size_t i = 0; i < ci->vnat.n; i++) {
        const struct vnat_pair *pair = &ci->vnat.pairs[i];

        subnet_list_add(&ci->capture, &pair->virt);
        if (subnet_list_covers(&ci->vnat.plain, &pair->real))
            subnet_list_add(&ci->holes, &pair->real);
    }
}

void cluster_capture_end(struct build *b)
{
    struct cluster_info *ci = b->ci;
    struct subnet_list taken = {0};

    cluster_put_array(ci->subnets, "virtual");
    add_all(&taken, &b->policy->local);
    add_all(&taken, &b->policy->host);
    add_all(&taken, &ci->capture);
    add_all(&taken, &ci->bypass);
    add_all(&ci->vnat.plain, &ci->capture);
    for (size_t i = 0; i < b->n_wishes; i++)
        grant(b, &b->wishes[i], &taken);
    for (size_t i = 0; i < b->translated.n; i++)
        grant_part(b, &b->translated.nets[i], &taken);
    capture_pairs(ci);
    add_all(&ci->vnat.plain, &ci->bypass);
    for (size_t i = 0; i < ci->bypass.n; i++)
        punch(ci, &ci->bypass.nets[i]);
    subnet_list_release(&taken);
    subnet_list_release(&b->translated);
    subnet_list_release(&b->pool);
    free(b->wishes);
}
