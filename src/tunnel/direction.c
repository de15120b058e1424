#include "tunnel/direction.h"

#include <stddef.h>

const struct link_upgrade link_upgrades[LINK_DIRECTIONS] = {
    [LINK_OUTGOING] = {"tp/1", "v1.link.tp.internal"},
    [LINK_INCOMING] = {"tp-incoming/1", "v1.incoming.tp.internal"},
    [LINK_DIRECT] = {"tp-direct/1", NULL},
};
