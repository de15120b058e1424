#include "kube/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/cleanup.h"
#include "base/json.h"

#define MAX_ANCHORS 64

struct anchor {
    char *name;
    struct json_object *value; /* owned reference */
    unsigned nodes;            /* what an alias to it costs */
    bool complete;
};

struct level {
    struct json_object *value; /* owned by its parent, or the root */
    bool is_map;
    char *key;        /* of the value to come */
    int anchor;       /* index or -1 */
    unsigned at_node; /* nodes when it began */
};

struct reader {
    struct json_object *root;
    bool has_root;
    struct level stack[YAML_MAX_DEPTH];
    unsigned depth;
    struct anchor anchors[MAX_ANCHORS];
    int anchor_count;
    unsigned nodes;
    bool strict;
    size_t line;
    struct tp_error *err;
};

static int fail(struct reader *r, const char *text)
{
    return tp_error_set(r->err, -EBADMSG, "line %zu: %s", r->line, text);
}

static bool is_word(const char *text, const char *lower)
{
    char title[8];

    snprintf(title, sizeof(title), "%s", lower);
    title[0] = (char)toupper((unsigned char)title[0]);
    return !strcmp(text, lower) || !strcmp(text, title) ||
           (!strcasecmp(text, lower) && !strpbrk(text, lower));
}

/* YAML 1.2 core schema, decimal numbers only. */
static bool is_number(const char *text, bool *is_int)
{
    const char *p = text + (*text == '-' || *text == '+');
    size_t digits = strspn(p, "0123456789");
    char *end;

    *is_int = digits > 0 && p[digits] == '\0';
    if (*is_int)
        return p[0] != '0' || digits == 1;
    if (!isdigit((unsigned char)*p) && *p != '.')
        return false;
    if (strspn(p, "0123456789.eE+-") != strlen(p))
        return false;
    strtod(text, &end);
    return *end == '\0' && end != text;
}

/* Returns false if out of memory; *out may be NULL for null. */
static struct json_object *plain_scalar(const char *text)
{
    bool is_int;

    if (!*text || !strcmp(text, "~") || is_word(text, "null"))
        return NULL;
    if (is_word(text, "true"))
        return json_object_new_boolean(1);
    if (is_word(text, "false"))
        return json_object_new_boolean(0);
    if (is_number(text, &is_int)) {
        if (!is_int)
            return json_object_new_double_s(strtod(text, NULL), text);
        errno = 0;
        int64_t number = strtoll(text, NULL, 10);
        if (errno == 0)
            return json_object_new_int64(number);
    }
    return json_object_new_string(text);
}

static int add_anchor(struct reader *r, const yaml_char_t *name)
{
    int at = 0;

    if (!name)
        return -1;
    while (at < r->anchor_count &&
           strcmp(r->anchors[at].name, (const char *)name) != 0)
        at++;
    if (at == r->anchor_count) {
        if (at == MAX_ANCHORS)
            return fail(r, "too many anchors");
        r->anchors[at].name = strdup((const char *)name);
        if (!r->anchors[at].name)
            return fail(r, "out of memory");
        r->anchor_count++;
    }
    json_object_put(r->anchors[at].value);
    r->anchors[at].value = NULL;
    r->anchors[at].complete = false;
    return at;
}

static void finish_anchor(struct reader *r, int at, struct json_object *value,
                          unsigned nodes)
{
    if (at < 0)
        return;
    /* The same name may have been given again further inside. */
    json_object_put(r->anchors[at].value);
    r->anchors[at].value = json_object_get(value);
    r->anchors[at].nodes = nodes;
    r->anchors[at].complete = true;
}

/* Puts value (taken over) where the document is now. */
static int place(struct reader *r, struct json_object *value)
{
    struct level *top = r->depth ? &r->stack[r->depth - 1] : NULL;
    int rc = 0;

    if (!top) {
        r->root = value;
        r->has_root = true;
        return 0;
    }
    if (!top->is_map)
        return json_object_array_add(top->value, value) < 0
                   ? fail(r, "out of memory")
                   : 0;
    if (r->strict && json_object_object_get_ex(top->value, top->key, NULL))
        rc = tp_error_set(r->err, -EBADMSG, "line %zu: '%s' is given twice",
                          r->line, top->key);
    json_object_object_add(top->value, top->key, value);
    free(top->key);
    top->key = NULL;
    return rc;
}

/* In a mapping the first of each pair is the key. */
static bool wants_key(const struct reader *r)
{
    return r->depth && r->stack[r->depth - 1].is_map &&
           !r->stack[r->depth - 1].key;
}

static int on_scalar(struct reader *r, const yaml_event_t *ev)
{
    const char *text = (const char *)ev->data.scalar.value;
    struct json_object *value;
    int anchor;

    if (strlen(text) != ev->data.scalar.length)
        return fail(r, "text with a NUL byte");
    if (wants_key(r)) {
        r->stack[r->depth - 1].key = strdup(text);
        return r->stack[r->depth - 1].key ? 0 : fail(r, "out of memory");
    }
    anchor = add_anchor(r, ev->data.scalar.anchor);
    if (anchor < -1)
        return anchor;
    value = ev->data.scalar.plain_implicit ? plain_scalar(text)
                                           : json_object_new_string(text);
    finish_anchor(r, anchor, value, 1);
    return place(r, value);
}

static int on_start(struct reader *r, bool is_map, const yaml_char_t *name)
{
    struct json_object *value;
    struct level *top;
    int anchor, rc;

    if (wants_key(r))
        return fail(r, "a key must be a plain word");
    if (r->depth == YAML_MAX_DEPTH)
        return fail(r, "nested too deep");
    anchor = add_anchor(r, name);
    if (anchor < -1)
        return anchor;
    value = is_map ? json_object_new_object() : json_object_new_array();
    rc = place(r, value);
    if (rc < 0)
        return rc;
    top = &r->stack[r->depth++];
    *top = (struct level){value, is_map, NULL, anchor, r->nodes};
    return 0;
}

static int on_end(struct reader *r)
{
    struct level *top = &r->stack[--r->depth];

    free(top->key);
    top->key = NULL;
    finish_anchor(r, top->anchor, top->value, r->nodes - top->at_node + 1);
    return 0;
}

static int on_alias(struct reader *r, const yaml_char_t *name)
{
    struct json_object *copy = NULL;
    const struct anchor *a = NULL;

    for (int i = 0; i < r->anchor_count; i++) {
        if (!strcmp(r->anchors[i].name, (const char *)name))
            a = &r->anchors[i];
    }
    if (!a || !a->complete)
        return fail(r, "an alias to something that is not there");
    if (wants_key(r))
        return fail(r, "a key must be a plain word");
    r->nodes += a->nodes;
    if (r->nodes > YAML_MAX_NODES)
        return fail(r, "too large with its aliases");
    if (a->value && json_object_deep_copy(a->value, &copy, NULL) < 0)
        return fail(r, "out of memory");
    return place(r, copy);
}

/* Returns 1 at the end of the document. */
static int on_event(struct reader *r, const yaml_event_t *ev)
{
    r->line = ev->start_mark.line + 1;
    if (++r->nodes > YAML_MAX_NODES)
        return fail(r, "too many values");
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(r, ev);
    case YAML_MAPPING_START_EVENT:
        return on_start(r, true, ev->data.mapping_start.anchor);
    case YAML_SEQUENCE_START_EVENT:
        return on_start(r, false, ev->data.sequence_start.anchor);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return on_end(r);
    case YAML_ALIAS_EVENT:
        return on_alias(r, ev->data.alias.anchor);
    case YAML_DOCUMENT_END_EVENT:
    case YAML_STREAM_END_EVENT:
        return 1;
    default:
        return 0;
    }
}

static int read_document(struct reader *r, yaml_parser_t *parser)
{
    int rc = 0;

    while (rc == 0) {
        yaml_event_t ev;

        if (!yaml_parser_parse(parser, &ev)) {
            r->line = parser->problem_mark.line + 1;
            return fail(r, parser->problem ? parser->problem : "not YAML");
        }
        rc = on_event(r, &ev);
        yaml_event_delete(&ev);
    }
    return rc < 0 ? rc : 0;
}

static void release_reader(struct reader *r)
{
    for (unsigned i = 0; i < r->depth; i++)
        free(r->stack[i].key);
    for (int i = 0; i < r->anchor_count; i++) {
        free(r->anchors[i].name);
        json_object_put(r->anchors[i].value);
    }
}

struct json_object *yaml_parse_text(const char *text, size_t len, bool strict,
                                    struct tp_error *err)
{
    struct reader r = {.strict = strict, .err = err};
    yaml_parser_t parser;
    int rc;

    if (len > YAML_MAX_SIZE) {
        tp_error_set(err, -EMSGSIZE, "larger than %u MiB", YAML_MAX_SIZE >> 20);
        return NULL;
    }
    if (!yaml_parser_initialize(&parser)) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    rc = read_document(&r, &parser);
    yaml_parser_delete(&parser);
    release_reader(&r);
    if (rc < 0) {
        json_object_put(r.root);
        return NULL;
    }
    return r.root ? r.root : json_object_new_object();
}
