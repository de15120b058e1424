#include "cli/host_routes.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <linux/route.h>

#include "base/json.h"

#define MIN_V4    8 /* shorter ones are default routes in disguise */
#define MIN_V6    16
#define MAX_LINES 4096

bool host_routes_parse_v4(const char *line, struct subnet *net)
{
    unsigned dst, mask, flags;
    char name[17];

    if (sscanf(line, "%16s %8x %*x %4x %*d %*d %*d %8x", name, &dst, &flags,
               &mask) != 4 ||
        !(flags & RTF_UP) || flags & RTF_REJECT || !strcmp(name, "lo"))
        return false;
    *net = (struct subnet){.family = AF_INET};
    dst &= mask;
    memcpy(net->addr, &dst, sizeof(dst)); /* as the kernel holds it */
    net->prefix = (unsigned)__builtin_popcount(mask);
    return net->prefix >= MIN_V4 && ntohl(dst) >> 16 != 0xa9fe;
}

bool host_routes_parse_v6(const char *line, struct subnet *net)
{
    char dst[33], name[17];
    unsigned prefix, flags;

    if (sscanf(line, "%32s %2x %*s %*s %*s %*x %*x %*x %8x %16s", dst, &prefix,
               &flags, name) != 4 ||
        strlen(dst) != 32 || prefix > 128 || !(flags & RTF_UP) ||
        flags & RTF_REJECT || !strcmp(name, "lo"))
        return false;
    *net = (struct subnet){.family = AF_INET6, .prefix = prefix};
    for (size_t i = 0; i < 16; i++) {
        unsigned byte;

        if (sscanf(dst + 2 * i, "%2x", &byte) != 1)
            return false;
        net->addr[i] = (uint8_t)byte;
    }
    return prefix >= MIN_V6 && net->addr[0] != 0xff &&
           !(net->addr[0] == 0xfe && (net->addr[1] & 0xc0) == 0x80);
}

static bool has(struct json_object *list, const char *text)
{
    for (size_t i = 0; i < json_array_len(list); i++) {
        if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)),
                    text))
            return true;
    }
    return false;
}

static void add_file(struct json_object *out, const char *path,
                     bool (*parse)(const char *, struct subnet *))
{
    FILE *f = fopen(path, "re");
    char line[256], text[SUBNET_TEXT];
    struct subnet net;

    for (int n = 0; f && n < MAX_LINES && fgets(line, sizeof(line), f); n++) {
        if (parse(line, &net) && !has(out, subnet_format(&net, text)))
            json_object_array_add(out, json_object_new_string(text));
    }
    if (f)
        fclose(f);
}

void host_routes_add(struct json_object *out)
{
    add_file(out, "/proc/net/route", host_routes_parse_v4);
    add_file(out, "/proc/net/ipv6_route", host_routes_parse_v6);
}
