#include "net/socket.h"

#include <sys/socket.h>
#include <unistd.h>

void socket_abort(int fd)
{
    static const struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}
