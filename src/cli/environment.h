/*
 * environment.h - the variables of a pod's container, written for programs here
 *
 * Values come from the cluster and may hold anything: newlines, quotes, `$(x)`.
 * Names outside [A-Za-z_][A-Za-z0-9_.-]* are left out.
 */
#ifndef TP_CLI_ENVIRONMENT_H
#define TP_CLI_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct json_object;

/* Of --env-syntax; NULL-terminated. */
extern const char *const environment_syntaxes[];

bool environment_is_name(const char *name);
/* How many variables of env have a name that is left out. */
size_t environment_count_odd(struct json_object *env);

/* Can the syntax say it? Of the names above. */
bool environment_fits(const char *syntax, const char *name, const char *value);
/* "A, B": those that the syntax cannot say. */
void environment_left_out(struct json_object *env, const char *syntax,
                          char *out, size_t size);

/* The text of a file. docker: NAME=VALUE lines, which cannot hold a newline:
 * such variables are left out and counted in *skipped. compose: NAME="..."
 * escaped; sh: export NAME='...'; json: an object. Owned; NULL if out of
 * memory. */
char *environment_format(struct json_object *env, const char *syntax,
                         size_t *skipped);

/* Writes text to path, mode 0600, replacing what was there in one step ("-":
 * standard output). */
int environment_write(const char *path, const char *text, struct tp_error *err);

#endif
