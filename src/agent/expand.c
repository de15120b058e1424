#include "agent/expand.h"

#include <string.h>

/* p is at "$(". What `$(NAME)` stands for, or itself. */
static int expand_reference(struct buf *out, const char **p,
                            expand_lookup_fn *lookup, void *arg)
{
    const char *name = *p + 2, *end = strchr(name, ')'), *value;

    if (!end) { /* an opened one that does not close is no reference */
        *p += 2;
        return buf_append(out, "$(", 2);
    }
    value = lookup(arg, name, (size_t)(end - name));
    if (value) {
        *p = end + 1;
        return buf_append(out, value, strlen(value));
    }
    name = *p;
    *p = end + 1;
    return buf_append(out, name, (size_t)(end + 1 - name));
}

int expand_value(struct buf *out, const char *value, expand_lookup_fn *lookup,
                 void *arg)
{
    const char *p = value;
    int rc = 0;

    while (*p && rc == 0) {
        size_t plain = strcspn(p, "$");

        if (plain > 0) {
            rc = buf_append(out, p, plain);
            p += plain;
        } else if (p[1] == '(') {
            rc = expand_reference(out, &p, lookup, arg);
        } else {
            rc = buf_append(out, "$", 1);
            p += p[1] == '$' ? 2 : 1;
        }
    }
    return rc;
}
