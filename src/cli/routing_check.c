#include "cli/routing_check.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/sockaddr.h"

/* Two settings of which one subnet cannot be in both. Of one inside the other
 * the longer prefix wins, but virtual subnets must be nobody's. */
static const struct {
    enum config_key a, b;
    bool overlap; /* not only the same one */
} pairs[] = {
    {CONFIG_ALSO_PROXY, CONFIG_NEVER_PROXY, false},
    {CONFIG_ALLOW_CONFLICTING, CONFIG_VNAT, false},
    {CONFIG_ALLOW_CONFLICTING, CONFIG_NEVER_PROXY, false},
    {CONFIG_VIRTUAL_SUBNETS, CONFIG_ALSO_PROXY, true},
    {CONFIG_VIRTUAL_SUBNETS, CONFIG_NEVER_PROXY, true},
    {CONFIG_VIRTUAL_SUBNETS, CONFIG_ALLOW_CONFLICTING, true},
    {CONFIG_VIRTUAL_SUBNETS, CONFIG_VNAT, true},
};

static const char *text_at(const struct client_config *c, enum config_key key,
                           size_t i)
{
    return json_object_get_string(
        json_object_array_get_idx(c->keys[key].value, i));
}

static bool is_both(const char *a, const char *b, bool overlap)
{
    struct subnet x, y;

    if (subnet_parse(&x, a) < 0 || subnet_parse(&y, b) < 0)
        return false;
    return overlap ? subnet_overlaps(&x, &y) : !memcmp(&x, &y, sizeof(x));
}

static int check_pair(const struct client_config *c, size_t pair,
                      struct tp_error *err)
{
    enum config_key a = pairs[pair].a, b = pairs[pair].b;

    for (size_t i = 0; i < json_array_len(c->keys[a].value); i++) {
        for (size_t k = 0; k < json_array_len(c->keys[b].value); k++) {
            const char *one = text_at(c, a, i), *other = text_at(c, b, k);

            if (is_both(one, other, pairs[pair].overlap))
                return tp_error_set(
                    err, -EINVAL,
                    "%s %s and %s %s contradict each other: leave one out",
                    client_config_key_name(a), one, client_config_key_name(b),
                    other);
        }
    }
    return 0;
}

static int check_off(const struct client_config *c, struct tp_error *err)
{
    size_t n = json_array_len(c->keys[CONFIG_VNAT].value);

    for (size_t i = 0; n > 1 && i < n; i++) {
        if (!strcmp(text_at(c, CONFIG_VNAT, i), "off"))
            return tp_error_set(err, -EINVAL,
                                "%s: 'off' goes with nothing else",
                                client_config_key_name(CONFIG_VNAT));
    }
    return 0;
}

int routing_check(const struct client_config *c, struct tp_error *err)
{
    int rc = check_off(c, err);

    for (size_t i = 0; rc == 0 && i < sizeof(pairs) / sizeof(pairs[0]); i++)
        rc = check_pair(c, i, err);
    return rc;
}
