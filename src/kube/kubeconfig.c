#include "kube/kubeconfig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "kube/kubeconfig_internal.h"
#include "kube/yaml.h"

#define MAX_FILES   64
#define MAX_ENTRIES 4096

enum section { CLUSTERS, USERS, CONTEXTS, SECTIONS };

static const char *const section_names[] = {"clusters", "users", "contexts"};
static const char *const entry_kinds[] = {"cluster", "user", "context"};

/* All files together. */
struct merged {
    struct {
        struct kube_entry *entries;
        size_t count;
    } sections[SECTIONS];
    char *current;
    char *dirs[MAX_FILES];
    size_t file_count;
    char *files; /* "a, b", for messages */
    bool no_files;
};

static void release_merged(struct merged *m)
{
    for (int s = 0; s < SECTIONS; s++) {
        for (size_t i = 0; i < m->sections[s].count; i++) {
            free(m->sections[s].entries[i].name);
            json_object_put(m->sections[s].entries[i].obj);
        }
        free(m->sections[s].entries);
    }
    for (size_t i = 0; i < m->file_count; i++)
        free(m->dirs[i]);
    free(m->current);
    free(m->files);
}

static const struct kube_entry *find_entry(const struct merged *m,
                                           enum section s, const char *name)
{
    for (size_t i = 0; i < m->sections[s].count; i++) {
        if (!strcmp(m->sections[s].entries[i].name, name))
            return &m->sections[s].entries[i];
    }
    return NULL;
}

static int add_entry(struct merged *m, enum section s, struct json_object *item,
                     const char *dir, struct tp_error *err)
{
    const char *name = json_get_str(item, "name", NULL);
    struct json_object *value = json_get(item, entry_kinds[s]);
    struct kube_entry *entries = m->sections[s].entries, *e;
    size_t count = m->sections[s].count;

    if (!name)
        return tp_error_set(err, -EINVAL, "%s: an entry has no name (a text)",
                            section_names[s]);
    if (value && !json_object_is_type(value, json_type_object))
        return tp_error_set(err, -EINVAL, "%s '%s' must be a mapping",
                            entry_kinds[s], name);
    if (find_entry(m, s, name))
        return 0;
    if (count == MAX_ENTRIES)
        return tp_error_set(err, -E2BIG, "more than %d %s", MAX_ENTRIES,
                            section_names[s]);
    entries = reallocarray(entries, count + 1, sizeof(*entries));
    if (!entries)
        return tp_error_set(err, -ENOMEM, "out of memory");
    m->sections[s].entries = entries;
    e = &entries[count];
    *e = (struct kube_entry){.kind = entry_kinds[s],
                             .name = strdup(name),
                             .obj = json_object_get(value),
                             .dir = dir,
                             .no_files = m->no_files};
    m->sections[s].count++;
    return e->name ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

static int merge_section(struct merged *m, enum section s,
                         struct json_object *doc, const char *dir,
                         struct tp_error *err)
{
    struct json_object *list = json_get(doc, section_names[s]);

    if (!list)
        return 0;
    if (!json_object_is_type(list, json_type_array))
        return tp_error_set(err, -EINVAL, "%s must be a list",
                            section_names[s]);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        int rc = add_entry(m, s, json_object_array_get_idx(list, i), dir, err);

        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Adds one file's text; dir is copied. */
static int merge_text(struct merged *m, const char *text, size_t len,
                      const char *dir, struct tp_error *err)
{
    cleanup_json struct json_object *doc =
        yaml_parse_text(text, len, false, err);
    const char *current = json_get_str(doc, "current-context", "");
    int rc = 0;

    if (!doc)
        return -EBADMSG;
    if (!json_object_is_type(doc, json_type_object))
        return tp_error_set(err, -EBADMSG, "not a kubeconfig");
    if (m->file_count == MAX_FILES)
        return tp_error_set(err, -E2BIG, "too many files");
    m->dirs[m->file_count] = strdup(dir);
    if (!m->dirs[m->file_count])
        return tp_error_set(err, -ENOMEM, "out of memory");
    dir = m->dirs[m->file_count++];
    for (int s = 0; s < SECTIONS && rc == 0; s++)
        rc = merge_section(m, (enum section)s, doc, dir, err);
    if (rc == 0 && !m->current && *current) {
        m->current = strdup(current);
        if (!m->current)
            rc = tp_error_set(err, -ENOMEM, "out of memory");
    }
    return rc;
}

static int note_file(struct merged *m, const char *path, struct tp_error *err)
{
    char *files = NULL;

    if (asprintf(&files, "%s%s%s", m->files ? m->files : "",
                 m->files ? ", " : "", path) < 0)
        return tp_error_set(err, -ENOMEM, "out of memory");
    free(m->files);
    m->files = files;
    return 0;
}

/* The directory of path, absolute: what a relative --kubeconfig names must not
 * depend on where the background helper runs. The name counts, not where a
 * link leads, as for kubectl. */
static char *directory_of(const char *path)
{
    cleanup_free char *copy = strdup(path);
    char *slash = copy ? strrchr(copy, '/') : NULL;

    if (slash == copy)
        return copy ? strdup("/") : NULL;
    if (slash)
        *slash = '\0';
    return realpath(slash ? copy : ".", NULL);
}

static int merge_file(struct merged *m, const char *path, bool must_exist,
                      struct tp_error *err)
{
    cleanup_free char *text = NULL, *dir = NULL;
    size_t len;
    int rc = file_read(path, YAML_MAX_SIZE, &text, &len, err);

    if (rc == -ENOENT && !must_exist)
        return 0;
    if (rc < 0)
        return rc;
    dir = directory_of(path);
    if (!dir)
        return tp_error_set(err, -ENOMEM, "out of memory");
    rc = merge_text(m, text, len, dir, err);
    if (rc < 0)
        return tp_error_wrap(err, "%s", path);
    return note_file(m, path, err);
}

static int merge_list(struct merged *m, const char *env, struct tp_error *err)
{
    cleanup_free char *list = strdup(env);
    char *rest = list;
    int rc = 0;

    for (char *path; rc == 0 && list && (path = strsep(&rest, ":"));) {
        if (*path)
            rc = merge_file(m, path, false, err);
    }
    if (rc == 0 && !m->files)
        rc = tp_error_set(err, -ENOENT,
                          "no file of KUBECONFIG=%s exists; set it, or use "
                          "--kubeconfig",
                          env);
    return rc;
}

static int merge_all(struct merged *m, const char *kubeconfig,
                     struct tp_error *err)
{
    const char *env = getenv("KUBECONFIG"), *home = getenv("HOME");
    cleanup_free char *path = NULL;
    int rc;

    if (kubeconfig)
        return merge_file(m, kubeconfig, true, err);
    if (env && *env)
        return merge_list(m, env, err);
    if (asprintf(&path, "%s/.kube/config", home ? home : "") < 0) {
        path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    rc = merge_file(m, path, false, err);
    if (rc == 0 && !m->files)
        rc = tp_error_set(err, -ENOENT,
                          "no kubeconfig: %s does not exist; set KUBECONFIG "
                          "or use --kubeconfig",
                          path);
    return rc;
}

static int unknown_context(const struct merged *m, const char *name,
                           struct tp_error *err)
{
    char known[256] = "";

    for (size_t i = 0; i < m->sections[CONTEXTS].count; i++) {
        size_t used = strlen(known);

        snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
                 m->sections[CONTEXTS].entries[i].name);
    }
    if (strlen(known) == sizeof(known) - 1)
        strcpy(known + sizeof(known) - 4, "...");
    if (!name)
        return tp_error_set(err, -ENOENT,
                            "%s has no current context; use --context (%s)",
                            m->files, *known ? known : "there is none");
    return tp_error_set(err, -ENOENT, "no context '%s' in %s; there is: %s",
                        name, m->files, *known ? known : "none");
}

/* The entry that the context's member `kind` names. */
static int find_member(const struct merged *m, enum section s,
                       const struct kube_entry *context, char **name,
                       const struct kube_entry **out, struct tp_error *err)
{
    if (kube_entry_text(context, entry_kinds[s], name, err) < 0)
        return -EINVAL;
    *out = *name ? find_entry(m, s, *name) : NULL;
    if (*out)
        return 0;
    return tp_error_set(err, -ENOENT,
                        "context '%s' names the %s '%s', which "
                        "%s does not have",
                        context->name, entry_kinds[s], *name ? *name : "",
                        m->files);
}

static int choose_namespace(const struct kube_entry *context,
                            const struct kube_select *sel, char **out,
                            struct tp_error *err)
{
    if (!sel->namespace && kube_entry_text(context, "namespace", out, err) < 0)
        return -EINVAL;
    if (!*out)
        *out = strdup(sel->namespace ? sel->namespace : "default");
    return *out ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

/* --as and --as-group replace what the kubeconfig says. */
static int apply_flags(struct kube_endpoint *ep, const struct kube_select *sel,
                       struct tp_error *err)
{
    size_t count = 0;

    while (sel->as_groups && sel->as_groups[count])
        count++;
    if (sel->as_user) {
        free(ep->as_user);
        ep->as_user = strdup(sel->as_user);
        if (!ep->as_user)
            return tp_error_set(err, -ENOMEM, "out of memory");
    }
    if (count) {
        kube_strv_free(ep->as_groups);
        ep->as_groups = calloc(count + 1, sizeof(*ep->as_groups));
        for (size_t i = 0; ep->as_groups && i < count; i++)
            ep->as_groups[i] = strdup(sel->as_groups[i]);
        if (!ep->as_groups)
            return tp_error_set(err, -ENOMEM, "out of memory");
    }
    if (!ep->as_user && (ep->as_uid || ep->as_groups || ep->as_extra_json))
        return tp_error_set(err, -EINVAL,
                            "impersonating a group or uid needs a user (--as)");
    return 0;
}

static int resolve(const struct merged *m, const struct kube_select *sel,
                   struct kube_context *ctx, struct tp_error *err)
{
    static const struct kube_entry nobody = {.kind = "user",
                                             .name = (char *)""};
    const char *name = sel->context ? sel->context : m->current;
    const struct kube_entry *context, *cluster, *user = &nobody;
    int rc;

    context = name ? find_entry(m, CONTEXTS, name) : NULL;
    if (!context)
        return unknown_context(m, name, err);
    ctx->name = strdup(context->name);
    ctx->files = strdup(m->files);
    if (!ctx->name || !ctx->files)
        return tp_error_set(err, -ENOMEM, "out of memory");
    rc = find_member(m, CLUSTERS, context, &ctx->cluster, &cluster, err);
    if (rc == 0)
        rc = kube_read_cluster(cluster, ctx, err);
    /* A context without a user is legal: the API server decides. */
    if (rc == 0 && json_get(context->obj, "user"))
        rc = find_member(m, USERS, context, &ctx->user, &user, err);
    if (rc == 0)
        rc = kube_read_user(user, cluster, ctx, err);
    if (rc == 0)
        rc = choose_namespace(context, sel, &ctx->namespace, err);
    if (rc == 0)
        rc = apply_flags(&ctx->endpoint, sel, err);
    return rc;
}

int kube_context_load(struct kube_context *ctx, const struct kube_select *sel,
                      struct tp_error *err)
{
    struct merged m = {0};
    int rc;

    memset(ctx, 0, sizeof(*ctx));
    rc = merge_all(&m, sel->kubeconfig, err);
    if (rc == 0)
        rc = resolve(&m, sel, ctx, err);
    release_merged(&m);
    return rc;
}

int kube_context_parse(struct kube_context *ctx, const struct kube_select *sel,
                       const char *text, size_t len, const char *dir,
                       struct tp_error *err)
{
    struct merged m = {.no_files = !dir};
    int rc;

    memset(ctx, 0, sizeof(*ctx));
    rc = merge_text(&m, text, len, dir ? dir : ".", err);
    if (rc == 0)
        rc = note_file(&m, "the kubeconfig", err);
    if (rc == 0)
        rc = resolve(&m, sel, ctx, err);
    release_merged(&m);
    return rc;
}

void kube_context_release(struct kube_context *ctx)
{
    free(ctx->name);
    free(ctx->cluster);
    free(ctx->user);
    free(ctx->namespace);
    free(ctx->files);
    kube_endpoint_release(&ctx->endpoint);
    kube_exec_destroy(ctx->exec);
    json_object_put(ctx->extension);
    memset(ctx, 0, sizeof(*ctx));
}
