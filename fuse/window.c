#include "fuse/window.h"

#include "fuse/conn.h"

#define INTERVAL_US 10000 /* at least */
/* Of what the rate needs for a round trip. The answer to a large read takes
 * longer than that of the small ones that the round trip is known by, above all
 * by SSH: with 2 the window does not grow to where something else is the limit.
 */
#define GROWTH 4

void window_count(struct window *w, uint64_t bytes, uint64_t rtt)
{
    uint64_t now = conn_clock();
    uint64_t interval = 2 * rtt > INTERVAL_US ? 2 * rtt : INTERVAL_US;

    w->bytes += bytes;
    if (w->at == 0) {
        w->at = now;
        w->bytes = 0;
    } else if (now - w->at > interval) {
        w->rate = w->bytes * 1000000 / (now - w->at);
        w->at = now;
        w->bytes = 0;
    }
}

uint64_t window_bytes(const struct window *w, uint64_t rtt, uint64_t least)
{
    uint64_t wanted = GROWTH * w->rate * rtt / 1000000;

    if (w->rate == 0)
        return 2 * least;
    return wanted < least ? least : wanted;
}
