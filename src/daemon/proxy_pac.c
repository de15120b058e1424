#include "daemon/proxy_pac.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int put(struct buf *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int put(struct buf *out, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return buf_append(out, text, (size_t)len);
}

/* Names are checked before they get here (cluster_info.c, dns_zone.c): letters,
 * digits, '-', '_' and '.'. */
static int put_names(struct buf *out, const char *what, const char *first,
                     const char *const *names, size_t n)
{
    int rc = put(out, "var %s = [", what);

    if (rc == 0 && first)
        rc = put(out, "\".%.253s\"", first);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put(out, "%s\".%.253s\"", i || first ? ", " : "", names[i]);
    return rc < 0 ? rc : put(out, "];\n");
}

/* [address, mask, bits, whether it is the cluster's] */
static int put_nets(struct buf *out, const struct subnet *nets, size_t n,
                    int ours, bool *any)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        char addr[INET_ADDRSTRLEN], mask[INET_ADDRSTRLEN];
        struct in_addr bits = {
            htonl(nets[i].prefix ? ~0U << (32 - nets[i].prefix) : 0)};

        if (nets[i].family != AF_INET)
            continue;
        inet_ntop(AF_INET, nets[i].addr, addr, sizeof(addr));
        inet_ntop(AF_INET, &bits, mask, sizeof(mask));
        rc = put(out, "%s[\"%s\", \"%s\", %u, %d]", *any ? ", " : "", addr,
                 mask, nets[i].prefix, ours);
        *any = true;
    }
    return rc;
}

/* The longest prefix decides, as in the data path; of equal ones "never". */
static const char script[] =
    "function ends(host, list) {\n"
    "  for (var i = 0; i < list.length; i++)\n"
    "    if (host == list[i].substring(1) || dnsDomainIs(host, list[i]))\n"
    "      return true;\n"
    "  return false;\n"
    "}\n"
    "function FindProxyForURL(url, host) {\n"
    "  var best = -1, way = direct;\n"
    "  host = host.toLowerCase().replace(/\\.$/, \"\");\n"
    "  if (/^[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+$/.test(host)) {\n"
    "    for (var i = 0; i < nets.length; i++)\n"
    "      if (nets[i][2] > best && isInNet(host, nets[i][0], nets[i][1])) {\n"
    "        best = nets[i][2];\n"
    "        way = nets[i][3] ? proxy : direct;\n"
    "      }\n"
    "    return way;\n"
    "  }\n"
    "  if (host.indexOf(\":\") >= 0 || ends(host, local) || ends(host, "
    "never))\n"
    "    return direct;\n"
    "  if (host.indexOf(\".\") < 0 || ends(host, names))\n"
    "    return proxy;\n"
    "  return direct;\n"
    "}\n";

int proxy_pac_write(struct buf *out, const char *at,
                    const struct proxy_cluster *cluster)
{
    static const struct proxy_cluster none = {0};
    bool any = false;
    int rc = put(out,
                 "var direct = \"DIRECT\";\n"
                 "var proxy = %s%.300s%s;\n"
                 "var local = [\".localhost\", \".wpad\"];\n",
                 cluster ? "\"PROXY " : "", cluster ? at : "direct",
                 cluster ? "\"" : "");

    if (!cluster)
        cluster = &none;
    if (rc == 0)
        rc = put_names(out, "never", NULL, cluster->excludes,
                       cluster->n_excludes);
    if (rc == 0)
        rc = put_names(out, "names", cluster->domain, cluster->suffixes,
                       cluster->n_suffixes);
    if (rc == 0)
        rc = put(out, "var nets = [");
    if (rc == 0)
        rc = put_nets(out, cluster->bypass, cluster->n_bypass, 0, &any);
    if (rc == 0)
        rc = put_nets(out, cluster->capture, cluster->n_capture, 1, &any);
    if (rc == 0)
        rc = put(out, "];\n");
    return rc < 0 ? rc : buf_append(out, script, strlen(script));
}
