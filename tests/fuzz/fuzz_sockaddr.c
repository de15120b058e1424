/* Addresses, host:port and subnets: what is accepted survives a round trip. */
#include <stdlib.h>
#include <string.h>

#include "base/sockaddr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[128], out[SUBNET_TEXT], addr_text[SOCKADDR_TEXT];
    union sockaddr_any addr, again;
    struct subnet net, net_again;

    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (!sockaddr_parse_hostport(&addr, text)) {
        sockaddr_format(&addr, addr_text);
        if (sockaddr_parse_hostport(&again, addr_text) ||
            !sockaddr_equal(&addr, &again))
            abort();
    }
    if (!subnet_parse(&net, text)) {
        subnet_format(&net, out);
        if (subnet_parse(&net_again, out) || !subnet_overlaps(&net, &net_again))
            abort();
    }
    return 0;
}
