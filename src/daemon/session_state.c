#include "daemon/session_state.h"

#include <assert.h>

#define BACKOFF_MIN_MS 200
#define BACKOFF_MAX_MS 15000

#define BIT(state) (1u << (state))

static const struct {
    const char *name;
    unsigned next; /* bits of the states that may follow */
} states[] = {
    [SESSION_IDLE] = {"idle", BIT(SESSION_CONNECTING)},
    [SESSION_CONNECTING] = {"connecting",
                            BIT(SESSION_CONNECTED) | BIT(SESSION_WAITING) |
                                BIT(SESSION_REFUSED) | BIT(SESSION_IDLE)},
    [SESSION_CONNECTED] = {"connected",
                           BIT(SESSION_WAITING) | BIT(SESSION_IDLE)},
    [SESSION_WAITING] = {"waiting", BIT(SESSION_CONNECTING) |
                                        BIT(SESSION_REFUSED) |
                                        BIT(SESSION_IDLE)},
    [SESSION_REFUSED] = {"refused",
                         BIT(SESSION_CONNECTING) | BIT(SESSION_IDLE)},
};

static_assert(sizeof(states) / sizeof(*states) == SESSION_STATES,
              "a row for each state");

const char *session_state_name(enum session_state s)
{
    return states[s].name;
}

bool session_state_may_follow(enum session_state from, enum session_state to)
{
    return states[from].next & BIT(to);
}

uint64_t session_backoff_ms(unsigned n, uint32_t random)
{
    uint64_t top = n < 7 ? (uint64_t)BACKOFF_MIN_MS << n : BACKOFF_MAX_MS;

    if (top > BACKOFF_MAX_MS)
        top = BACKOFF_MAX_MS;
    return BACKOFF_MIN_MS + random % (top - BACKOFF_MIN_MS + 1);
}
