/*
 * yaml.h - YAML texts as JSON objects (libyaml)
 *
 * For kubeconfigs and tp's own configuration. Bounded: size, depth and number
 * of nodes, an alias counting as what it stands for, so that a few lines of
 * anchors cannot fill the memory. Plain scalars become booleans, integers,
 * doubles and null as in YAML 1.2's core schema; all else is text.
 */
#ifndef TP_KUBE_YAML_H
#define TP_KUBE_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define YAML_MAX_SIZE  (8U << 20)
#define YAML_MAX_DEPTH 32
#define YAML_MAX_NODES 100000

struct json_object;

/* The first document; an empty text is an empty object. With `strict` a key
 * that is given twice is an error, else the last one wins. NULL with err
 * filled ("line 7: ..."). The caller owns the result. */
struct json_object *yaml_parse_text(const char *text, size_t len, bool strict,
                                    struct tp_error *err);

#endif
