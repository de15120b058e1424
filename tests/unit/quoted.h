/* quoted.h - JSON in tests, written with ' for " */
#ifndef TP_TESTS_QUOTED_H
#define TP_TESTS_QUOTED_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* The text with its quotes; the caller frees it. */
static inline char *quoted_text(const char *text)
{
    char *copy = strdup(text);

    ck_assert_ptr_nonnull(copy);
    for (char *p = copy; *p; p++) {
        if (*p == '\'')
            *p = '"';
    }
    return copy;
}

/* The object of that text; the test ends where it is none. Owned. */
static inline struct json_object *quoted_parse(const char *text)
{
    char *copy = quoted_text(text);
    struct tp_error err = {0};
    struct json_object *obj = json_parse_text(copy, strlen(copy), &err);

    ck_assert_msg(obj != NULL, "%s: %s", err.text, text);
    free(copy);
    return obj;
}

#endif
