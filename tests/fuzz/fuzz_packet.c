/* Captured packets: whatever a program of the namespace can send. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct packet_syn syn;
    char text[SOCKADDR_TEXT];

    if (packet_parse_syn(data, len, &syn) == 0) {
        sockaddr_format(&syn.src, text);
        if (syn.src.sa.sa_family != syn.dst.sa.sa_family)
            abort();
    }
    return 0;
}
