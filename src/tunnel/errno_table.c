/* errno_table.c - errors on the wire: RFC 9209 section 2.3 and doc/protocol.md
 * 2.3. */
#include "tunnel/tunnel.h"

#include <errno.h>
#include <string.h>

static const struct tunnel_errno_row rows[] = {
    {-ECONNREFUSED, 502, "connection_refused"},
    {-EHOSTUNREACH, 502, "destination_ip_unroutable"},
    {-ENETUNREACH, 502, "destination_unavailable"},
    {-ETIMEDOUT, 504, "connection_timeout"},
    {-EACCES, 403, "destination_ip_prohibited"},
    {-EMFILE, 503, "connection_limit_reached"},
    {-EINVAL, 400, "http_request_error"},
    {-EIO, 500, "proxy_internal_error"}, /* the last: all others */
};

#define ROWS (sizeof(rows) / sizeof(*rows))

const struct tunnel_errno_row *tunnel_errno_by_error(int error)
{
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].error == error)
            return &rows[i];
    return &rows[ROWS - 1];
}

const struct tunnel_errno_row *tunnel_errno_by_type(const char *type)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].type, type) == 0)
            return &rows[i];
    return &rows[ROWS - 1];
}
